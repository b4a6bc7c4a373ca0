//! Where a service is: `auth.platform:8080`.

use super::node::quoted;
use std::net::Ipv6Addr;

/// A service by its host and port, in lower case.
pub struct Service {
    host: String,
    port: u16,
}

impl Service {
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(format!("{} begins with {scheme}://: write HOST:PORT", quoted(text)));
        }
        let Some((host, port)) = text.split_once(':') else {
            return Err(format!("{} has no port: write HOST:PORT", quoted(text)));
        };
        if !is_host(host) {
            return Err(format!("{} is no host name", quoted(host)));
        }
        Ok(Self {
            host: host.to_ascii_lowercase(),
            port: self::port(port)?,
        })
    }

    /// As Istio names the cluster of a service.
    pub fn cluster(&self) -> String {
        format!("outbound|{}||{}", self.port, self.host)
    }

    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// `host`, `host:port`, `[::1]:8080`
pub fn authority(text: &str) -> Result<String, String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    if !is_host(host) && !is_bracketed(host) {
        return Err(format!("{} is no host and port", quoted(text)));
    }
    port.map(self::port).transpose()?;
    Ok(text.to_owned())
}

/// A DNS name or an IPv4 address; underscores stand in names of Docker and of Envoy clusters.
pub fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn is_bracketed(text: &str) -> bool {
    text.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok())
}

fn port(text: &str) -> Result<u16, String> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|port| digits && *port > 0)
        .ok_or_else(|| format!("{} is no port", quoted(text)))
}

#[cfg(test)]
mod tests {
    use super::{Service, authority};

    #[test]
    fn services() {
        let cluster = |text| Service::parse(text).map(|service| service.cluster());
        assert_eq!(cluster("Auth.x:80"), Ok("outbound|80||auth.x".into()));
        for text in [
            "auth",
            "auth:",
            "auth:0",
            "auth:+80",
            "auth:65536",
            ":80",
            "a b:80",
            "-a:80",
            "a..b:80",
            "a:80:80",
        ] {
            assert!(cluster(text).is_err(), "{text}");
        }
    }

    #[test]
    fn authorities() {
        for text in ["auth", "auth:80", "10.0.0.1", "[::1]", "[::1]:80"] {
            assert!(authority(text).is_ok(), "{text}");
        }
        for text in ["", "a/b", "a:b", "::1", "[::1", "[::g]", "user@a", "outbound|80||a"] {
            assert!(authority(text).is_err(), "{text}");
        }
    }
}

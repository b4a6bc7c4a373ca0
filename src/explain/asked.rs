//! A request as somebody types it.

use crate::header::{HeaderName, Headers};
use crate::request::Connection;
use std::net::IpAddr;
use std::sync::Arc;

/// Envoy's default for all headers of a request together; it answers 431 to more.
const MAX_HEADER_BYTES: usize = 60 * 1024;

#[derive(Clone, Debug)]
pub struct Asked {
    /// As the filter would see them.
    pub headers: Arc<Headers>,
    /// How much follows the headers; None: nothing.
    pub body_bytes: Option<usize>,
    pub from: From,
}

/// Where it comes from.
#[derive(Clone, Debug, Default)]
pub struct From {
    pub ip: Option<IpAddr>,
    pub tls: bool,
    pub peer: Option<String>,
}

impl Connection for From {
    fn source_ip(&self) -> Option<IpAddr> {
        self.ip
    }

    fn tls(&self) -> bool {
        self.tls
    }

    fn peer(&self) -> Option<String> {
        self.peer.clone()
    }
}

impl Asked {
    /// `POST https://shop.example.com/orders/1?x=1`, the URL alone for GET, or `CONNECT shop.example.com:443`; `headers`
    /// are `name: value`. Nothing is normalised: what is written is what is sent.
    pub fn parse<'a>(line: &str, headers: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let (method, url) = match line.trim().split_once(' ') {
            Some((method, url)) => (method, url.trim()),
            None => ("GET", line.trim()),
        };
        let (scheme, authority, target) = match url.split_once("://") {
            Some((scheme @ ("http" | "https"), rest)) => {
                let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                let (authority, target) = rest.split_at_checked(end).unwrap_or((rest, ""));
                let target = match target.starts_with('/') {
                    true => target.to_owned(),
                    false => format!("/{target}"),
                };
                (scheme, authority, Some(target))
            }
            None if method == "CONNECT" => ("https", url, None),
            _ => {
                // What stands behind may be a credential.
                let shown = line.split('?').next().unwrap_or_default();
                return Err(format!(
                    "{shown:?} is no request: write 'GET https://shop.example.com/orders/1'"
                ));
            }
        };
        let mut sent = Sent::default();
        sent.push(":method", method)?;
        sent.push(":scheme", scheme)?;
        let own = headers.into_iter().map(header).collect::<Result<Vec<_>, _>>()?;
        let host = own.iter().rev().find(|(name, _)| name == "host");
        sent.push(":authority", host.map_or(authority, |(_, host)| host))?;
        if let Some(target) = target {
            sent.push(":path", &target)?;
        }
        for (name, value) in own.iter().filter(|(name, _)| name != "host") {
            sent.push(name, value)?;
        }
        Ok(Self {
            headers: Arc::new(sent.0.into_iter().collect()),
            body_bytes: None,
            from: From {
                tls: scheme == "https",
                ..From::default()
            },
        })
    }

    /// No body comes.
    pub fn ends(&self) -> bool {
        self.body_bytes.is_none()
    }
}

#[derive(Default)]
struct Sent(Vec<(String, String)>);

impl Sent {
    fn push(&mut self, name: &str, value: &str) -> Result<(), String> {
        if let Some(c) = value.chars().find(|c| matches!(c, '\r' | '\n' | '\0')) {
            return Err(format!("{name}: {c:?} cannot stand in a header"));
        }
        // Envoy joins these before a filter sees them.
        let first = self.0.iter_mut().find(|(other, _)| other == name);
        match first.filter(|_| name == "authorization") {
            Some((_, first)) => {
                first.push(',');
                first.push_str(value);
            }
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
        let bytes: usize = self.0.iter().map(|(name, value)| name.len() + value.len()).sum();
        match bytes > MAX_HEADER_BYTES {
            true => Err(format!("headers of {bytes} bytes, Envoy takes {MAX_HEADER_BYTES}")),
            false => Ok(()),
        }
    }
}

fn header(line: &str) -> Result<(String, String), String> {
    // The value may be a credential: it is not shown.
    let Some((name, value)) = line.split_once(':').filter(|(name, _)| !name.is_empty()) else {
        return Err("a header is written `name: value`; `:path` and its like come from the URL".into());
    };
    let name = HeaderName::parse(name.trim())?;
    Ok((name.as_str().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(asked: &Asked) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        asked
            .headers
            .iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    #[track_caller]
    fn check(line: &str, headers: &[&str], expected: &[(&str, &str)]) {
        let asked = Asked::parse(line, headers.iter().copied()).expect("a request");
        let expected: Vec<_> = expected
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        assert_eq!(pairs(&asked), expected, "{line}");
    }

    #[test]
    fn read_as_sent() {
        check(
            "POST https://Shop.example.com:8443//a/%2e?x=1#f",
            &["X-A: b:c ", "authorization: a", "Authorization: b"],
            &[
                (":method", "POST"),
                (":scheme", "https"),
                (":authority", "Shop.example.com:8443"),
                (":path", "//a/%2e?x=1#f"),
                ("x-a", "b:c"),
                ("authorization", "a,b"),
            ],
        );
        check(
            "http://a?b",
            &["Host: c"],
            &[
                (":method", "GET"),
                (":scheme", "http"),
                (":authority", "c"),
                (":path", "/?b"),
            ],
        );
        check(
            "CONNECT a:443",
            &[],
            &[(":method", "CONNECT"), (":scheme", "https"), (":authority", "a:443")],
        );
    }

    #[test]
    fn refused() {
        for (line, header) in [
            ("GET /orders?key=s3cret", "a: b"),
            ("GET ftp://a/", "a: b"),
            ("", "a: b"),
            ("http://a/", "s3cret"),
            ("http://a/", ":path: /b"),
            ("http://a/", "a b: c"),
            ("http://a/", "a: b\r\nc: d"),
        ] {
            let fault = Asked::parse(line, [header]).expect_err(line);
            assert!(!fault.contains("s3cret"), "{fault}");
        }
        let long = format!("a: {}", "x".repeat(MAX_HEADER_BYTES));
        assert!(Asked::parse("http://a/", [long.as_str()]).is_err());
    }
}

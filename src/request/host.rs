//! The host a caller names.

use std::net::{IpAddr, Ipv6Addr};

/// One DNS name or IP address: lower case, no trailing dot; and the port, if one was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Lower case, without the trailing dot, with the port as sent.
    authority: String,
    /// Bytes of `authority` that are the name.
    name_len: usize,
}

impl Host {
    /// None where the bytes are not exactly one DNS name or IP address with at most one port.
    pub fn parse(raw: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(raw).ok()?;
        let (name, port) = split_port(text)?;
        let name = match name.strip_prefix('[') {
            Some(inner) => {
                let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
                format!("[{address}]")
            }
            None => {
                let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
                is_dns_name(&name).then_some(name)?
            }
        };
        let name_len = name.len();
        let authority = match port {
            Some(port) => name + ":" + port,
            None => name,
        };
        Some(Self { authority, name_len })
    }

    /// What rules match.
    pub fn name(&self) -> &str {
        self.authority.get(..self.name_len).unwrap_or_default()
    }

    /// What `:authority` becomes.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    let bytes = text.as_bytes();
    let after_name = bytes.iter().position(|b| *b == b']').unwrap_or_default();
    let Some(colon) = bytes.iter().skip(after_name).position(|b| *b == b':') else {
        return Some((text, None));
    };
    let colon = colon + after_name;
    let (name, port) = (text.get(..colon)?, text.get(colon + 1..)?);
    // `parse` takes `+80` and `080`; neither is a port to everybody.
    let one_form = port.bytes().all(|b| b.is_ascii_digit()) && (port == "0" || !port.starts_with('0'));
    let _: u16 = port.parse().ok()?;
    one_form.then_some((name, Some(port)))
}

/// RFC 1035 lengths; letters, digits, hyphen and, as resolvers and clusters use it, underscore.
/// An all-numeric last label is an IPv4 address or nothing.
pub(crate) fn is_dns_name(name: &str) -> bool {
    if name.len() > 253 {
        return false;
    }
    let (mut before, mut label_bytes, mut all_digits) = (b'.', 0, true);
    for byte in name.bytes() {
        match (byte, before) {
            (b'.', b'.' | b'-') | (b'-', b'.') => return false,
            (b'.', _) => (label_bytes, all_digits) = (0, true),
            (b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_', _) if label_bytes < 63 => {
                label_bytes += 1;
                all_digits &= byte.is_ascii_digit();
            }
            _ => return false,
        }
        before = byte;
    }
    !matches!(before, b'.' | b'-') && (!all_digits || matches!(name.parse(), Ok(IpAddr::V4(_))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn host(raw: &str, name: &str, authority: &str) {
        let host = Host::parse(raw.as_bytes()).expect(raw);
        assert_eq!((host.name(), host.authority()), (name, authority));
    }

    #[test]
    fn one_form() {
        host("shop.example.com", "shop.example.com", "shop.example.com");
        host("Shop.EXAMPLE.com.:443", "shop.example.com", "shop.example.com:443");
        host("a_b.svc", "a_b.svc", "a_b.svc");
        host("10.0.0.1:8080", "10.0.0.1", "10.0.0.1:8080");
        host("[2001:DB8::0:1]:80", "[2001:db8::1]", "[2001:db8::1]:80");
        host("localhost", "localhost", "localhost");
    }

    #[test]
    fn anything_else_is_refused() {
        for raw in [
            "",
            ".",
            "a..b",
            "a,b",
            "a.com,b.com",
            "a b",
            "a@b",
            "user@a.com",
            "a.com:",
            "a.com:x",
            "a.com:99999",
            "a.com:080",
            "a.com:+80",
            "a.com:80:80",
            "[::1",
            "::1",
            "[::1]x",
            "[1.2.3.4]",
            "1.2.3",
            "256.1.1.1",
            "-a.com",
            "a-.com",
            "a.com/",
            "a.com?x",
            "a%41.com",
            "é.com",
            "a.com..",
            "outbound|80||a.b",
            "[]",
            "[::1%eth0]",
        ] {
            assert_eq!(Host::parse(raw.as_bytes()), None, "{raw}");
        }
        assert_eq!(Host::parse(b"a\xff.com"), None);
        assert_eq!(Host::parse(b"a\0.com"), None);
        let long = format!("{}.com", "a".repeat(64));
        assert_eq!(Host::parse(long.as_bytes()), None);
    }
}

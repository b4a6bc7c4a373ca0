//! The host a caller names.

use super::scan;
use super::text::Text;
use crate::header::Headers;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// One DNS name or IP address: lower case, no trailing dot; and the port, if one was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Lower case, without the trailing dot, with the port as sent.
    authority: Text,
    /// Bytes of `authority` that are the name.
    name_len: usize,
}

impl Host {
    /// None where the bytes are not exactly one DNS name or IP address with at most one port.
    pub fn parse(raw: &[u8]) -> Option<Self> {
        Self::read(raw, None)
    }

    /// [`Self::parse`] for an authority that stands in `headers`.
    pub(super) fn of(headers: &Arc<Headers>, raw: &[u8]) -> Option<Self> {
        Self::read(raw, Some(headers))
    }

    fn read(raw: &[u8], headers: Option<&Arc<Headers>>) -> Option<Self> {
        match name_in_one_form(raw) {
            Some(name_len) => Some(Self {
                authority: Text::as_it_came(raw, headers),
                name_len,
            }),
            None => Self::in_any_form(raw),
        }
    }

    /// What [`Self::parse`] says, at the cost of a look at every part of it.
    fn in_any_form(raw: &[u8]) -> Option<Self> {
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
        Some(Self {
            authority: Text::made(authority.into_bytes()),
            name_len,
        })
    }

    /// What rules match.
    pub fn name(&self) -> &str {
        std::str::from_utf8(self.name_bytes()).unwrap_or_default()
    }

    pub fn name_bytes(&self) -> &[u8] {
        self.authority_bytes().get(..self.name_len).unwrap_or_default()
    }

    /// What `:authority` becomes.
    pub fn authority(&self) -> &str {
        // Names, addresses and ports are ASCII.
        std::str::from_utf8(self.authority_bytes()).unwrap_or_default()
    }

    pub fn authority_bytes(&self) -> &[u8] {
        self.authority.as_bytes()
    }

    /// False where it may have come in another form.
    pub(super) fn is_sent(&self) -> bool {
        self.authority.is_sent()
    }
}

/// Bytes of the name, where the authority goes on as it came.
fn name_in_one_form(raw: &[u8]) -> Option<usize> {
    let name_len = scan::host_len(raw)?;
    match raw.get(name_len..)? {
        [] => Some(name_len),
        [b':', port @ ..] => is_port(port).then_some(name_len),
        _ => None,
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
    is_port(port.as_bytes()).then_some((name, Some(port)))
}

/// `+80` and `080`, which some read, are no port to everybody.
fn is_port(port: &[u8]) -> bool {
    matches!(port, [b'0'] | [b'1'..=b'9', ..])
        && port.len() <= 5
        && port.iter().all(u8::is_ascii_digit)
        && port.iter().fold(0, |number, b| number * 10 + u32::from(b & 0xf)) <= u32::from(u16::MAX)
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
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use proptest::sample::select;

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

    proptest! {
        /// Pieces that are nearly all in the normal form, and bytes of any kind among them.
        #[test]
        fn a_host_taken_as_it_came_is_what_a_full_look_says(
            pieces in vec(prop_oneof![
                12 => "[a-z0-9_]{1,4}",
                6 => Just(".".to_owned()),
                4 => Just("-".to_owned()),
                1 => select(vec![":", "A", "10", "[", "::1", "]", "\u{e9}", ","]).prop_map(str::to_owned),
                1 => Just("a".repeat(62)),
                1 => any::<char>().prop_map(String::from),
            ], 0..6),
            port in option::of(prop_oneof!["[0-9]{0,6}", "[+0]?[0-9]{1,5}", "6553[0-9]", "[0-9]{1,3}[^0-9]"]),
            cut: u8,
        ) {
            let mut raw = pieces.concat().into_bytes();
            // Now and then no text at all.
            if cut == 0 {
                raw.push(0xff);
            }
            if let Some(port) = port {
                raw.push(b':');
                raw.extend(port.bytes());
            }
            prop_assert_eq!(Host::parse(&raw), Host::in_any_form(&raw), "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn every_byte_is_read_as_a_full_look_reads_it() {
        for byte in 0..=u8::MAX {
            for raw in [
                &[byte][..],
                &[byte, b'a'],
                &[b'a', byte],
                &[b'a', byte, b'a'],
                &[b'a', b'.', byte, b'a'],
                &[b'a', b'-', byte, b'a'],
            ] {
                assert_eq!(Host::parse(raw), Host::in_any_form(raw), "{}", raw.escape_ascii());
            }
        }
    }

    #[test]
    fn a_port_is_a_number_in_one_form() {
        for port in 0..=70_000u32 {
            assert_eq!(is_port(port.to_string().as_bytes()), port <= 65_535, "{port}");
        }
        for no_port in [
            "",
            "00",
            "01",
            "+1",
            "-1",
            "1a",
            "a",
            " 1",
            "100000",
            "4294967297",
            "18446744073709551617",
        ] {
            assert!(!is_port(no_port.as_bytes()), "{no_port}");
        }
    }
}

//! One look at each byte, for what nearly every request is: in its normal form already. Whatever is
//! not is left to the code that knows the form; tests hold both to one answer.

use crate::bytes::find;

/// In a path: may not stand right behind a slash.
const NOT_FIRST: u8 = 1;
/// In a path: to be encoded, decoded, refused, or the end of it.
const ODD: u8 = 2;
/// In a path: begins a segment. Two bits above [`NOT_FIRST`], which the next byte then may not be.
const SLASH: u8 = 4;
/// The same three in a host, where a label is begun and ended by a letter, a digit or `_`.
const HOST: u32 = 4;
/// In a query: what it may not hold.
const NOT_IN_QUERY: u8 = 8;
const NOT_ASCII: u8 = 0x80;

static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < classes.len() {
        #[expect(clippy::indexing_slicing, reason = "below its length, and checked by the compiler")]
        {
            classes[byte] = class(byte as u8);
        }
        byte += 1;
    }
    classes
};

const fn class(byte: u8) -> u8 {
    let in_path = match byte {
        b'/' => NOT_FIRST | SLASH,
        b'.' => NOT_FIRST,
        b'?' | b'%' | b'\\' | b';' | b'#' => ODD,
        b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' => ODD,
        0x21..=0x7e => 0,
        _ => ODD,
    };
    let in_host = match byte {
        b'a'..=b'z' | b'0'..=b'9' | b'_' => 0,
        b'.' | b'-' => NOT_FIRST | SLASH,
        _ => ODD,
    };
    let in_query = match byte {
        0..=0x20 | 0x7f | b'#' => NOT_IN_QUERY,
        0x80.. => NOT_ASCII,
        _ => 0,
    };
    in_path | in_host << HOST | in_query
}

fn class_of(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(u8::MAX)
}

/// How much of `target` is a path in its normal form in which no segment but the last is empty and none
/// begins with a dot. It begins with a slash.
pub(super) fn path_len(target: &[u8]) -> usize {
    let mut unfit = ODD;
    let end = target.iter().position(|byte| {
        let class = class_of(*byte);
        let ends = class & unfit != 0;
        unfit = ODD | class >> 2 & NOT_FIRST;
        ends
    });
    end.unwrap_or(target.len())
}

/// How much of `authority` is a DNS name in lower case. None where only a second look can tell.
pub(super) fn host_len(authority: &[u8]) -> Option<usize> {
    let mut unfit = (ODD | NOT_FIRST) << HOST;
    let end = authority.iter().position(|byte| {
        let class = class_of(*byte);
        let ends = class & unfit != 0;
        unfit = ODD << HOST | class >> 2 & NOT_FIRST << HOST;
        ends
    });
    let end = end.unwrap_or(authority.len());
    // So short that no label is too long; and behind a digit the last one may be an address.
    let last = authority.get(..end).filter(|name| name.len() < 64)?.last()?;
    matches!(last, b'a'..=b'z' | b'_').then_some(end)
}

/// Escapes in it are nobody's business but the upstream's. Raw bytes have to be text: the proxy
/// takes nothing else for a callout, so the service would be asked about another query.
pub(super) fn is_query(query: &[u8]) -> bool {
    let all = query.iter().fold(0, |all, byte| all | class_of(*byte));
    all & NOT_IN_QUERY == 0 && (all & NOT_ASCII == 0 || std::str::from_utf8(query).is_ok())
}

/// A look that is given up costs more than what it saves, and a caller may write nothing but first bytes.
const MOST_BEGINNINGS: usize = 32;

/// Whether `text` may stand anywhere in `bytes`: never false where it does, and true as well where its first
/// byte stands too often to look behind each.
pub(super) fn may_hold(bytes: &[u8], text: &[u8]) -> bool {
    let Some((first, rest)) = text.split_first() else {
        return true;
    };
    let mut behind = bytes;
    for _ in 0..MOST_BEGINNINGS {
        let Some(at) = find(*first, behind) else {
            return false;
        };
        behind = behind.get(at + 1..).unwrap_or_default();
        if behind.starts_with(rest) {
            return true;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_is_held_where_a_window_is_equal(bytes in "[ab]{0,20}", text in "[ab]{0,4}") {
            let (bytes, text) = (bytes.as_bytes(), text.as_bytes());
            let windows = text.is_empty() || bytes.windows(text.len()).any(|window| window == text);
            prop_assert_eq!(may_hold(bytes, text), windows);
        }

        #[test]
        fn a_query_is_text_without_controls(bytes: Vec<u8>, text: String) {
            for query in [&bytes[..], text.as_bytes()] {
                let held = query.iter().any(|b| matches!(b, 0..=0x20 | 0x7f | b'#'));
                prop_assert_eq!(is_query(query), !held && std::str::from_utf8(query).is_ok());
            }
        }
    }

    #[test]
    fn what_has_too_many_beginnings_may_hold_anything() {
        for (beginnings, expected) in [(MOST_BEGINNINGS - 1, false), (MOST_BEGINNINGS, true), (60_000, true)] {
            assert_eq!(may_hold(&vec![b's'; beginnings], b"session"), expected, "{beginnings}");
        }
    }

    #[test]
    fn no_byte_is_passed_over_in_a_query() {
        for byte in 0..=u8::MAX {
            let taken = !matches!(byte, 0..=0x20 | 0x7f | b'#' | 0x80..);
            assert_eq!(is_query(&[b'a', byte]), taken, "{byte}");
        }
    }
}

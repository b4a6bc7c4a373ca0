//! Values that header parsers cannot misread: decode(encode(x)) == x, whatever x holds.

use crate::request::path::{percent_decode, push_escape};

/// `%`, control and non-ASCII bytes are percent-encoded; and a space at either end, which HTTP
/// would trim (RFC 9110 section 5.5).
pub fn encode_scalar(text: &str, value: &mut String) {
    if text.bytes().all(|b| matches!(b, b'!'..=b'~') && b != b'%') {
        value.push_str(text);
        return;
    }
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        let trimmed = byte == b' ' && (at == 0 || at == last);
        push(byte, trimmed || byte == b'%', value);
    }
}

/// In a list, comma and every space as well.
pub fn encode_element(text: &str, value: &mut String) {
    if text
        .bytes()
        .all(|b| matches!(b, b'!'..=b'~') && !matches!(b, b'%' | b','))
    {
        value.push_str(text);
        return;
    }
    for byte in text.bytes() {
        push(byte, matches!(byte, b'%' | b',' | b' '), value);
    }
}

fn push(byte: u8, special: bool, value: &mut String) {
    match special || !(0x20..0x7f).contains(&byte) {
        true => push_escape(value, byte),
        false => value.push(char::from(byte)),
    }
}

/// What an upstream does with a scalar header. None where it is not one of ours.
pub fn decode_scalar(value: &str) -> Option<String> {
    percent_decode(value)
}

/// What an upstream does with a list header.
pub fn decode_list(value: &str) -> Option<Vec<String>> {
    value.split(',').map(percent_decode).collect()
}

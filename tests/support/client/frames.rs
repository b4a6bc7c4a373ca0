//! HTTP/2 written by hand, for what the h2 crate does not let out: any bytes in `:path` and
//! `:authority`, pseudo-headers twice or missing, upper case, control characters.
use std::net::SocketAddr;

use super::Failure;
use super::http1::Connection;
use crate::support::message::Response;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// Sends these fields as the headers of a stream. The response has status and body only; the
/// other headers would need a whole HPACK decoder.
pub(super) fn exchange(addr: SocketAddr, fields: &[(&[u8], &[u8])], body: &[u8]) -> Result<Response, Failure> {
    let mut connection = Connection::open(addr, crate::support::SHORT)?;
    let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // SETTINGS_HEADER_TABLE_SIZE = 0: the peer indexes nothing, each response stands alone.
    put(&mut out, SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]);
    let block: Vec<u8> = fields.iter().flat_map(|(name, value)| literal(name, value)).collect();
    assert!(
        block.len() < 16_384 && body.len() < 16_384,
        "raw HTTP/2 sends one frame of each"
    );
    let end = if body.is_empty() { END_STREAM } else { 0 };
    put(&mut out, HEADERS, END_HEADERS | end, 1, &block);
    if !body.is_empty() {
        put(&mut out, DATA, END_STREAM, 1, body);
    }
    connection.write(out)?;

    let mut response = Response::default();
    loop {
        let head = connection.exactly(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let payload = connection.exactly(length)?;
        let (kind, flags) = (head[3], head[4]);
        match kind {
            SETTINGS if flags & 1 == 0 => {
                let mut acknowledged = Vec::new();
                put(&mut acknowledged, SETTINGS, 1, 0, &[]);
                connection.write(acknowledged)?;
            }
            HEADERS if response.status == 0 => response.status = status(&payload)?,
            DATA if flags & PADDED == 0 => response.body.extend(payload),
            RST_STREAM | GOAWAY => return Err(Failure::Reset),
            _ => {}
        }
        if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
            return Ok(response);
        }
    }
}

fn put(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A field with its name and value as they are (RFC 7541, 6.2.2: neither indexed nor compressed).
fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = vec![0];
    for text in [name, value] {
        let mut rest = text.len();
        if rest < 127 {
            out.push(rest as u8);
        } else {
            out.push(127);
            rest -= 127;
            while rest >= 128 {
                out.push(rest as u8 | 128);
                rest >>= 7;
            }
            out.push(rest as u8);
        }
        out.extend_from_slice(text);
    }
    out
}

/// `:status` is the first field of a response: one of seven indexed ones, or three digits.
fn status(block: &[u8]) -> Result<u16, Failure> {
    let unreadable = || Failure::Malformed(format!("no :status in {}", block.escape_ascii()));
    // A change of the table's size may come before it.
    let start = block.iter().position(|b| b & 0xe0 != 0x20).ok_or_else(unreadable)?;
    let block = &block[start..];
    let known = [200, 204, 206, 304, 400, 404, 500];
    match *block {
        [first @ 0x88..=0x8e, ..] => Ok(known[usize::from(first - 0x88)]),
        // A literal named by the static table's entries 8 to 14, all of which are :status.
        [first, length, ..] if (8..=14).contains(&(first & 0x3f)) => {
            let text = block.get(2..2 + usize::from(length & 0x7f)).ok_or_else(unreadable)?;
            let digits = if length & 0x80 == 0 {
                text.to_vec()
            } else {
                digits(text)
            };
            let text = String::from_utf8(digits).map_err(|_| unreadable())?;
            text.parse().map_err(|_| unreadable())
        }
        _ => Err(unreadable()),
    }
}

/// Huffman-coded digits (RFC 7541, appendix B): 0 to 2 take five bits, 3 to 9 six, from 0x19 on.
fn digits(coded: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> = coded
        .iter()
        .flat_map(|b| (0..8).rev().map(move |i| b >> i & 1))
        .collect();
    let number = |bits: &[u8]| bits.iter().fold(0, |n, bit| n << 1 | bit);
    let (mut at, mut out) = (0, Vec::new());
    while out.len() < 3 && at + 5 <= bits.len() {
        let five = number(&bits[at..at + 5]);
        if five <= 2 {
            out.push(b'0' + five);
            at += 5;
        } else if at + 6 <= bits.len() {
            out.push((b'3' + number(&bits[at..at + 6])).wrapping_sub(0x19));
            at += 6;
        } else {
            break;
        }
    }
    out
}

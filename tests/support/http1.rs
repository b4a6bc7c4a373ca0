//! HTTP/1.1 on the wire, for the stub server and the raw client alike. Deliberately lenient: it
//! hands on what it reads, judging is for the test.
use std::io::{self, Read, Write};

use super::message::Headers;

/// The start line and headers of one message.
pub struct Head {
    pub start: Vec<u8>,
    pub headers: Headers,
}

/// A stream with what was read beyond the last message.
pub struct Wire<S> {
    pub stream: S,
    pub ahead: Vec<u8>,
}

impl<S: Read> Wire<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    /// `None` when the peer closed before the first byte.
    pub fn head(&mut self) -> io::Result<Option<Head>> {
        let mut searched = 0;
        loop {
            if let Some(at) = find(&self.ahead[searched..], b"\r\n\r\n") {
                let raw: Vec<u8> = self.ahead.drain(..searched + at + 4).collect();
                return Ok(Some(parse_head(&raw[..raw.len() - 4])));
            }
            searched = self.ahead.len().saturating_sub(3);
            if self.more()? == 0 {
                return if self.ahead.is_empty() {
                    Ok(None)
                } else {
                    Err(cut("in the headers"))
                };
            }
        }
    }

    /// A body by transfer-encoding or content-length, and its trailers. `until_close` is what a
    /// response without either means.
    pub fn body(&mut self, headers: &Headers, until_close: bool) -> io::Result<(Vec<u8>, Headers)> {
        let chunked = headers
            .text("transfer-encoding")
            .is_some_and(|v| v.to_ascii_lowercase().contains("chunked"));
        if chunked {
            return self.chunks();
        }
        if let Some(length) = headers.text("content-length") {
            let length = length
                .trim()
                .parse()
                .map_err(|_| malformed(format!("content-length {length:?}")))?;
            return Ok((self.exactly(length)?, Headers::default()));
        }
        if until_close {
            while self.more()? > 0 {}
            return Ok((std::mem::take(&mut self.ahead), Headers::default()));
        }
        Ok((Vec::new(), Headers::default()))
    }

    pub fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            if self.more()? == 0 {
                return Err(cut("in the body"));
            }
        }
        Ok(self.ahead.drain(..length).collect())
    }

    fn chunks(&mut self) -> io::Result<(Vec<u8>, Headers)> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let digits = line.split(|b| *b == b';').next().unwrap_or_default();
            let size = std::str::from_utf8(digits)
                .ok()
                .and_then(|s| usize::from_str_radix(s.trim(), 16).ok());
            match size {
                None => {
                    return Err(malformed(format!("chunk size {:?}", line.escape_ascii().to_string())));
                }
                Some(0) => break,
                Some(size) => {
                    body.extend(self.exactly(size)?);
                    self.exactly(2)?;
                }
            }
        }
        let mut trailers = Headers::default();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok((body, trailers));
            }
            push_line(&mut trailers, &line);
        }
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = find(&self.ahead, b"\r\n") {
                let mut line: Vec<u8> = self.ahead.drain(..at + 2).collect();
                line.truncate(at);
                return Ok(line);
            }
            if self.more()? == 0 {
                return Err(cut("in a line"));
            }
        }
    }

    fn more(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 64 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
                Ok(n) => {
                    self.ahead.extend_from_slice(&buffer[..n]);
                    return Ok(n);
                }
            }
        }
    }
}

/// Writes a start line and headers, with the empty line.
pub fn put_head(out: &mut Vec<u8>, start: &[u8], headers: &Headers) {
    out.extend_from_slice(start);
    out.extend_from_slice(b"\r\n");
    put_lines(out, headers);
}

/// Writes a body as one chunk, the last chunk and the trailers.
pub fn put_chunked(out: &mut Vec<u8>, body: &[u8], trailers: &Headers) {
    put_chunk(out, body);
    out.extend_from_slice(b"0\r\n");
    put_lines(out, trailers);
}

pub fn put_chunk(out: &mut Vec<u8>, body: &[u8]) {
    if !body.is_empty() {
        let _ = write!(out, "{:x}\r\n", body.len());
        out.extend_from_slice(body);
        out.extend_from_slice(b"\r\n");
    }
}

fn put_lines(out: &mut Vec<u8>, headers: &Headers) {
    for (name, value) in headers.iter() {
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

fn parse_head(raw: &[u8]) -> Head {
    let mut rest = raw;
    let mut lines = Vec::new();
    while let Some(at) = find(rest, b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines.push(rest);
    let mut headers = Headers::default();
    for line in &lines[1..] {
        push_line(&mut headers, line);
    }
    Head {
        start: lines[0].to_vec(),
        headers,
    }
}

fn push_line(headers: &mut Headers, line: &[u8]) {
    let colon = line.iter().position(|b| *b == b':').unwrap_or(line.len());
    let value = line.get(colon + 1..).unwrap_or_default();
    headers.push(&line[..colon], value.trim_ascii());
}

fn find(within: &[u8], what: &[u8]) -> Option<usize> {
    within.windows(what.len()).position(|w| w == what)
}

fn cut(place: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("closed {place}"))
}

fn malformed(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

use std::time::Duration;

use serde_json::{Value, json};

use super::Received;
use crate::support::message::{Headers, lossy};

/// What the stub does about a request.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Headers,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Headers,
    pub(super) chunked: bool,
    pub(super) delay: Duration,
    pub(super) end: End,
}

/// How the answer ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Whole,
    /// Nothing is sent, the connection is closed.
    Close,
    /// Nothing is sent, the connection is reset.
    Reset,
    /// Nothing is sent and nothing happens until the stub is dropped or the peer leaves.
    Never,
    /// These bytes instead of an answer, then the connection is closed.
    Raw(Vec<u8>),
    /// Status line and half of the headers, then the connection is closed.
    HalfHeaders,
    /// Headers and half of the body, then a reset.
    ResetInBody,
    /// Headers and half of the body, then nothing until the stub is dropped.
    StallInBody,
    /// Headers and half of the body at once, the rest so much later.
    RestAfter(Duration),
    /// Over HTTP/2, the stream is refused before anything was done about it.
    RefusedStream,
    /// `101`, then every byte is sent back.
    Echo,
}

impl Reply {
    pub fn ok() -> Self {
        Self::status(200)
    }

    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Headers::default(),
            body: Vec::new(),
            trailers: Headers::default(),
            chunked: false,
            delay: Duration::ZERO,
            end: End::Whole,
        }
    }

    /// `{"method", "path", "headers": [[name, value], ..], "body_length", "trailers"}`.
    pub fn echo(request: &Received) -> Self {
        let pairs = |headers: &Headers| -> Value { headers.iter().map(|(n, v)| json!([lossy(n), lossy(v)])).collect() };
        Self::ok().json(json!({
            "method": request.method,
            "path": request.path(),
            "headers": pairs(&request.headers),
            "body_length": request.body.len(),
            "trailers": pairs(&request.trailers),
        }))
    }

    /// `101` with the headers of a WebSocket handshake, then every byte is sent back.
    pub fn upgrade() -> Self {
        Self::status(101)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .end(End::Echo)
    }

    pub fn close() -> Self {
        Self::ok().end(End::Close)
    }

    pub fn reset() -> Self {
        Self::ok().end(End::Reset)
    }

    pub fn never() -> Self {
        Self::ok().end(End::Never)
    }

    /// These bytes instead of an answer.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::ok().end(End::Raw(bytes.into()))
    }

    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Headers of about so many bytes altogether, 4 KiB each.
    pub fn headers_of(mut self, bytes: usize) -> Self {
        for i in 0..bytes.div_ceil(4096) {
            self.headers.push(format!("x-filler-{i}"), vec![b'a'; 4080]);
        }
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn json(self, value: Value) -> Self {
        self.header("content-type", "application/json").body(value.to_string())
    }

    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    pub fn trailer(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.trailers.push(name, value);
        self
    }

    /// Before anything is sent; ends early when the stub is dropped.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    pub fn end(mut self, end: End) -> Self {
        self.end = end;
        self
    }
}

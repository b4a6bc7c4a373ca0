//! Requests and responses as both wires carry them: header values are bytes, order and
//! duplicates are kept.
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Request {
    pub method: Vec<u8>,
    /// The request target on HTTP/1, `:path` on HTTP/2.
    pub target: Vec<u8>,
    /// The `host` header on HTTP/1, `:authority` on HTTP/2; `None` sends neither.
    pub authority: Option<Vec<u8>>,
    pub headers: Headers,
    pub body: Vec<u8>,
    pub trailers: Headers,
    /// HTTP/1: send the body in chunks even without trailers.
    pub chunked: bool,
    /// Keep the end of the body back, as a client that leaves in the middle does.
    pub unfinished: bool,
    /// How long the whole response may take.
    pub timeout: Duration,
}

pub fn get(target: impl AsRef<[u8]>) -> Request {
    request("GET", target)
}

pub fn post(target: impl AsRef<[u8]>, body: impl Into<Vec<u8>>) -> Request {
    request("POST", target).body(body)
}

/// A request for the host `test`; `.host(..)` or `.no_host()` say otherwise.
pub fn request(method: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Request {
    Request {
        method: method.as_ref().to_vec(),
        target: target.as_ref().to_vec(),
        authority: Some(b"test".to_vec()),
        headers: Headers::default(),
        body: Vec::new(),
        trailers: Headers::default(),
        chunked: false,
        unfinished: false,
        timeout: super::wait::SHORT,
    }
}

impl Request {
    pub fn host(mut self, authority: impl AsRef<[u8]>) -> Self {
        self.authority = Some(authority.as_ref().to_vec());
        self
    }

    pub fn no_host(mut self) -> Self {
        self.authority = None;
        self
    }

    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(name, value);
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn trailer(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.trailers.push(name, value);
        self
    }

    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    pub fn unfinished(mut self) -> Self {
        self.unfinished = true;
        self
    }

    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

#[derive(Clone, Debug, Default)]
pub struct Response {
    pub status: u16,
    pub headers: Headers,
    pub body: Vec<u8>,
    pub trailers: Headers,
    /// Status codes of the 1xx answers before this one.
    pub informational: Vec<u16>,
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("the body is no JSON ({e}): {} {}", self.status, self.text()))
    }

    /// The first header of that name, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.text(name)
    }
}

/// Headers in order. Names are compared without regard to case.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(Vec<u8>, Vec<u8>)>);

impl Headers {
    pub fn push(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.0.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
    }

    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, v)| v)
    }

    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        self.iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, v)| v)
            .collect()
    }

    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(lossy)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub fn names(&self) -> Vec<String> {
        self.iter().map(|(n, _)| lossy(n)).collect()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(n, v)| (n.as_slice(), v.as_slice()))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map()
            .entries(
                self.iter()
                    .map(|(n, v)| (n.escape_ascii().to_string(), v.escape_ascii().to_string())),
            )
            .finish()
    }
}

pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

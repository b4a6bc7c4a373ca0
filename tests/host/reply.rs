//! Local replies: what the filter asked for, and what Envoy makes of it for the client.

use super::headers::HeaderMap;

/// An answer that the filter gave in place of the upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalReply {
    pub status: u32,
    pub details: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub grpc_status: Option<i32>,
}

impl LocalReply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Headers and body for the client; a gRPC request gets its status in headers.
    pub(super) fn rendered(&self, request: &HeaderMap) -> (HeaderMap, Vec<u8>) {
        let mut headers = HeaderMap::default();
        headers.add(b":status", self.status.to_string().as_bytes());
        for (name, value) in self.headers.pairs() {
            headers.add(name.as_bytes(), value);
        }
        let kind = request.first(b"content-type").unwrap_or_default();
        if kind == b"application/grpc" || kind.starts_with(b"application/grpc+") {
            headers.set(b":status", b"200");
            headers.set(b"content-type", b"application/grpc");
            let code = self.grpc_status.unwrap_or_else(|| grpc_status_of(self.status));
            headers.set(b"grpc-status", code.to_string().as_bytes());
            if !self.body.is_empty() {
                headers.set(b"grpc-message", &self.body);
            }
            headers.remove(b"content-length");
            return (headers, Vec::new());
        }
        if !self.body.is_empty() {
            headers.set(b"content-length", self.body.len().to_string().as_bytes());
            if headers.first(b"content-type").is_none() {
                headers.set(b"content-type", b"text/plain");
            }
        }
        (headers, self.body.clone())
    }
}

/// What becomes of a request whose headers the filter made unsendable.
pub(super) fn invalid_headers() -> LocalReply {
    LocalReply {
        status: 503,
        details: "invalid_headers".into(),
        ..LocalReply::default()
    }
}

fn grpc_status_of(status: u32) -> i32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

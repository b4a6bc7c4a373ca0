//! One request over either wire, whatever bytes it holds, and what everybody saw of it.

use crate::support::{Failure, Gate, Received, Request, Response, Wire};
use serde_json::{Value, json};

/// What client, auth service and upstream saw of one request.
#[derive(Debug)]
pub struct Seen {
    /// 0: the connection or the stream was ended without a response.
    pub status: u16,
    /// Over HTTP/2 without headers.
    pub response: Response,
    pub auth: Vec<Received>,
    pub upstream: Vec<Received>,
}

impl Seen {
    /// 400 without anybody else being asked; some bytes make Envoy end an HTTP/2 stream instead.
    pub fn is_bad_request(&self) -> bool {
        matches!(self.status, 0 | 400) && self.auth.is_empty() && self.upstream.is_empty()
    }

    /// Refused by the filter, not by Envoy before it.
    pub fn is_refused_by_the_filter(&self) -> bool {
        self.response.text().contains("\"error\":\"bad_request\"")
    }

    /// What the upstream got, once.
    #[track_caller]
    pub fn at_upstream(&self) -> &Received {
        match self.upstream.as_slice() {
            [one] => one,
            other => panic!(
                "the upstream was reached {} times, the client saw {} {}",
                other.len(),
                self.status,
                self.response.text()
            ),
        }
    }

    /// What the auth service got, once.
    #[track_caller]
    pub fn at_auth(&self) -> &Received {
        match self.auth.as_slice() {
            [one] => one,
            other => panic!(
                "the auth service was asked {} times, the client saw {}",
                other.len(),
                self.status
            ),
        }
    }
}

/// For the HTTP connection manager: by itself Envoy waits a second before it closes a connection that
/// sent what it cannot read.
pub fn hangs_up_at_once() -> Value {
    json!({"delayed_close_timeout": "0.001s"})
}

/// Sends it and looks; nothing else may be under way on this gate.
pub fn see(gate: &Gate, wire: Wire, request: &Request) -> Seen {
    gate.auth.clear();
    gate.upstream.clear();
    let response = send(gate, wire, request).unwrap_or_default();
    Seen {
        status: response.status,
        response,
        auth: gate.auth.received(),
        upstream: gate.upstream.received(),
    }
}

/// Any bytes anywhere. A request with trailers has to be one that HTTP libraries let through.
pub fn send(gate: &Gate, wire: Wire, request: &Request) -> Result<Response, Failure> {
    if wire == Wire::H1 || !request.trailers.is_empty() {
        return gate.client(wire).try_send(request);
    }
    let authority = request.authority.as_deref();
    let pseudo: [(&[u8], Option<&[u8]>); 4] = [
        (b":method", Some(&request.method)),
        (b":scheme", Some(b"http")),
        (b":authority", authority),
        (b":path", Some(&request.target)),
    ];
    let fields: Vec<(Vec<u8>, Vec<u8>)> = pseudo
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_vec(), value?.to_vec())))
        .chain(
            request
                .headers
                .iter()
                .map(|(n, v)| (n.to_ascii_lowercase(), v.to_vec())),
        )
        .collect();
    let fields: Vec<(&[u8], &[u8])> = fields.iter().map(|(n, v)| (&n[..], &v[..])).collect();
    gate.h2().raw_fields(&fields, &request.body)
}

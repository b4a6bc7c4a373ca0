//! Calls to other clusters: what was sent, what comes back, and who hears of it.

use super::abi;
use super::headers::HeaderMap;
use super::vm::{enter, with};
use std::time::Duration;

/// A call in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callout {
    pub token: u32,
    pub cluster: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: HeaderMap,
    pub timeout: Duration,
    /// The effective context when it was dispatched: its owner. It dies with its owner.
    pub context: u32,
    /// For a gRPC call: service and method.
    pub grpc: Option<(String, String)>,
    pub sent_at_ns: u64,
}

/// What Envoy knows of a cluster; one that a test does not name is healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cluster {
    Healthy,
    Unknown,
    NoHealthyHost,
}

/// What the filter can read while it is told of an answer; no headers after a reset.
#[derive(Default)]
pub struct Answer {
    pub headers: Option<HeaderMap>,
    pub body: Vec<u8>,
    pub trailers: HeaderMap,
    pub grpc_status: u32,
    pub grpc_message: Vec<u8>,
}

/// Hands an answer to the filter, in the context that owns the call.
#[track_caller]
pub fn deliver(token: u32, answer: Answer) {
    let callout = take(token);
    assert!(callout.grpc.is_none(), "callout {token} is a gRPC call");
    let count = answer.headers.as_ref().map_or(0, HeaderMap::len);
    let (body, trailers) = (answer.body.len(), answer.trailers.len());
    with(|vm| vm.answer = Some(answer));
    let context = callout.context;
    enter(context, || unsafe {
        abi::proxy_on_http_call_response(context, token, count, body, trailers)
    });
    with(|vm| vm.answer = None);
}

/// Hands the message, or the status and its text, to the filter.
#[track_caller]
pub fn deliver_grpc(token: u32, answer: Result<Vec<u8>, (u32, String)>) {
    let callout = take(token);
    assert!(callout.grpc.is_some(), "callout {token} is not a gRPC call");
    let context = callout.context;
    match answer {
        Ok(body) => {
            let size = body.len();
            with(|vm| {
                vm.answer = Some(Answer {
                    body,
                    ..Answer::default()
                })
            });
            enter(context, || unsafe { abi::proxy_on_grpc_receive(context, token, size) });
        }
        Err((grpc_status, message)) => {
            let grpc_message = message.into_bytes();
            with(|vm| {
                vm.answer = Some(Answer {
                    grpc_status,
                    grpc_message,
                    ..Answer::default()
                })
            });
            enter(context, || unsafe {
                abi::proxy_on_grpc_close(context, token, grpc_status)
            });
        }
    }
    with(|vm| vm.answer = None);
}

/// Envoy's own answer in place of a service's: it looks like a real one with three headers.
pub fn synthetic(status: &str, text: &str) -> Answer {
    let length = text.len().to_string();
    let headers = [
        (":status", status),
        ("content-length", &length),
        ("content-type", "text/plain"),
    ];
    Answer {
        headers: Some(HeaderMap::of(&headers)),
        body: text.into(),
        ..Answer::default()
    }
}

#[track_caller]
fn take(token: u32) -> Callout {
    let callout = with(|vm| vm.callouts.remove(&token));
    callout.unwrap_or_else(|| panic!("no callout {token} is in flight"))
}

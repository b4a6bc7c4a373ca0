//! `retry_on`: Envoy's conditions by their own names, status codes among them.

use super::node::{Node, Value, quoted};
use super::sink::{Checked, Sink};

/// What `x-envoy-retry-on` knows; `retriable-status-codes` is written as the codes themselves.
const HTTP: [&str; 10] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "retriable-headers",
    "http3-post-connect-failure",
];
/// What `x-envoy-retry-grpc-on` knows.
pub const GRPC: [&str; 5] = [
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

#[derive(PartialEq, Eq, Hash)]
pub enum Condition {
    Named(&'static str),
    Status(u64),
}

/// `grpc`: [`GRPC`], where calls may be gRPC's.
pub fn read(sink: &Sink, node: &Node, grpc: &[&'static str]) -> Checked<Vec<Condition>> {
    sink.distinct(node, |item| condition(sink, item, grpc))
}

fn condition(sink: &Sink, node: &Node, grpc: &[&'static str]) -> Checked<Condition> {
    let text = match &node.value {
        Value::Number(number) => number.to_string(),
        _ => sink.text(node)?.to_owned(),
    };
    let mut known = HTTP.iter().chain(grpc).copied();
    if let Some(known) = known.clone().find(|known| *known == text) {
        return Ok(Condition::Named(known));
    }
    if let Ok(code @ 400..=599) = text.parse::<u64>() {
        return Ok(Condition::Status(code));
    }
    let shown = quoted(&text);
    if text == "retriable-status-codes" {
        return Err(sink.fault(node, format!("{shown}: write the codes themselves, as 503")));
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(sink.fault(node, format!("status {shown} is outside 400 to 599")));
    }
    let hint = sink.hint(&text, &mut known);
    Err(sink.fault(node, format!("unknown condition {shown}{hint}")))
}

/// The value of `x-envoy-retry-on`, or of `x-envoy-retry-grpc-on`; empty where there is none.
pub fn names(conditions: &[Condition], grpc: bool) -> String {
    let mut words: Vec<&str> = Vec::new();
    let mut codes = false;
    for condition in conditions {
        match condition {
            Condition::Named(name) if GRPC.contains(name) == grpc => words.push(name),
            Condition::Named(_) => {}
            Condition::Status(_) => codes = !grpc,
        }
    }
    if codes {
        words.push("retriable-status-codes");
    }
    words.join(",")
}

/// The value of `x-envoy-retriable-status-codes`.
pub fn codes(conditions: &[Condition]) -> String {
    let codes: Vec<String> = conditions
        .iter()
        .filter_map(|condition| match condition {
            Condition::Named(_) => None,
            Condition::Status(code) => Some(code.to_string()),
        })
        .collect();
    codes.join(",")
}

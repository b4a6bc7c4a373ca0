//! When Envoy asks again.

use crate::config::node::{Node, Value, quoted};
use crate::config::read::{Fields, Known};
use crate::config::sink::{Checked, Sink};
use crate::policy::CalloutRetry;
use std::time::Duration;

const FIELDS: Known = Known {
    now: &["attempts", "retry_on", "per_try_timeout"],
    later: &[],
};

/// What `x-envoy-retry-on` knows; `retriable-status-codes` is written as the codes themselves.
const CONDITIONS: [&str; 10] = [
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

/// More would outlast every timeout that a caller waits for.
const MOST: u64 = 5;

#[derive(PartialEq, Eq, Hash)]
enum Condition {
    Named(&'static str),
    Status(u64),
}

pub fn read(sink: &Sink, node: &Node, timeout: Checked<Duration>) -> Checked<CalloutRetry> {
    let fields = Fields::of(sink, node, &FIELDS)?;
    let attempts = fields
        .required("attempts", ": write 1, the tries besides the first")
        .and_then(|node| sink.whole(node, 1..=MOST));
    let conditions = fields
        .required("retry_on", ": write [gateway-error, reset, connect-failure]")
        .and_then(|node| sink.distinct(node, |item| condition(sink, item)));
    let per_try_timeout = fields.optional("per_try_timeout", |node| per_try(sink, node, timeout));
    let conditions = conditions?;
    Ok(CalloutRetry {
        attempts: u32::try_from(attempts?).unwrap_or(u32::MAX),
        retry_on: retry_on(&conditions),
        retriable_status_codes: codes(&conditions),
        per_try_timeout: per_try_timeout?,
    })
}

fn condition(sink: &Sink, node: &Node) -> Checked<Condition> {
    let text = match &node.value {
        Value::Number(number) => number.to_string(),
        _ => sink.text(node)?.to_owned(),
    };
    if let Some(known) = CONDITIONS.iter().find(|known| **known == text) {
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
    let hint = sink.hint(&text, CONDITIONS.into_iter());
    Err(sink.fault(node, format!("unknown condition {shown}{hint}")))
}

fn per_try(sink: &Sink, node: &Node, timeout: Checked<Duration>) -> Checked<Duration> {
    let value = sink.duration(node, super::SHORTEST..=super::LONGEST)?;
    match timeout {
        Ok(timeout) if value >= timeout => {
            let message = format!("{value:?} is not below the timeout of {timeout:?}");
            Err(sink.fault(node, message))
        }
        _ => Ok(value),
    }
}

fn retry_on(conditions: &[Condition]) -> String {
    let mut words: Vec<&str> = conditions
        .iter()
        .filter_map(|condition| match condition {
            Condition::Named(name) => Some(*name),
            Condition::Status(_) => None,
        })
        .collect();
    if words.len() < conditions.len() {
        words.push("retriable-status-codes");
    }
    words.join(",")
}

fn codes(conditions: &[Condition]) -> String {
    let codes: Vec<String> = conditions
        .iter()
        .filter_map(|condition| match condition {
            Condition::Named(_) => None,
            Condition::Status(code) => Some(code.to_string()),
        })
        .collect();
    codes.join(",")
}

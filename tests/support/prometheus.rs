//! What a Prometheus answers.

use super::{LONG, get, h1};
use serde_json::Value;
use std::net::SocketAddr;

/// The elements of an instant query's vector; None while it cannot answer. A query that is wrong fails the test.
#[track_caller]
pub fn query(addr: SocketAddr, query: &str) -> Option<Vec<Value>> {
    api(addr, &format!("/api/v1/query?query={}", encoded(query)))
}

/// The result of a call of its API.
#[track_caller]
pub fn api(addr: SocketAddr, target: &str) -> Option<Vec<Value>> {
    let response = h1(addr).try_send(&get(target).host("prometheus").timeout(LONG)).ok()?;
    if response.status == 503 {
        return None;
    }
    let answer = response.json();
    assert_eq!(answer["status"], "success", "{target}: {answer}");
    Some(answer["data"]["result"].as_array()?.clone())
}

pub fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| match b.is_ascii_alphanumeric() {
            true => char::from(b).to_string(),
            false => format!("%{b:02x}"),
        })
        .collect()
}

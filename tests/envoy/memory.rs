//! Answers of the auth service that are remembered, and that many wait for together.

mod crowd;
mod faults;
mod flood;
mod forget;
mod outage;
mod replaced;

use std::time::Duration;

use serde_json::json;

use crate::policies::{asking, decisions};
use crate::support::*;

/// One rule that asks `auth` about `authorization`; `cache` and `more` go into the callout, `rest` into the policy.
fn policy(timeout: &str, cache: &str, more: &str, rest: &str) -> String {
    let callout = format!(
        "timeout: {timeout}\ncredential: [\"header:authorization\"]\ncache: {{ {cache} }}\n{more}\nprincipal: {{ subject: x-auth-user, groups: x-auth-groups }}"
    );
    asking(&callout, rest)
}

/// Without an upstream: the proxy answers, and says who it was told called.
fn direct(policy: String) -> GateBuilder {
    let told = json!([{"header": {"key": "x-seen", "value": "%REQ(x-user-id)%"}}]);
    Gate::builder().policy(policy).routes(json!([
        {"match": {"prefix": "/"}, "direct_response": {"status": 200}, "response_headers_to_add": told},
    ]))
}

/// An auth service that knows everybody by their token, but for those who begin with `bad`.
fn knows(request: &Received) -> Reply {
    let token = request.header("authorization").unwrap_or_default();
    match token.starts_with("bad") {
        true => Reply::status(401),
        false => Reply::ok().header("x-auth-user", token),
    }
}

fn from(token: &str) -> Request {
    get("/").header("authorization", token)
}

fn metric(gate: &Gate, name: &str) -> u64 {
    gate.envoy.stat(&format!("wasmcustom.meshgate_{name}")).unwrap_or(0)
}

fn answers(gate: &Gate, from: &str) -> u64 {
    metric(gate, &format!("answers_total.authenticator=account.from={from}"))
}

fn seen(response: &Response) -> String {
    response.header("x-seen").unwrap_or_default()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn a_remembered_answer_is_not_asked_again() {
    let gate = Gate::builder()
        .policy(policy("5s", "ttl: 1h", "", ""))
        .auth(knows)
        .start();
    for wire in Wire::BOTH {
        for _ in 0..50 {
            let sent = from("ada").header("x-user-id", "forged").header("x-request-id", "1");
            assert_eq!(gate.client(wire).send(&sent).status, 200);
        }
    }
    assert_eq!(gate.auth.count(), 1);
    let upstream = gate.upstream.received();
    assert_eq!(upstream.len(), 100);
    for request in &upstream {
        assert_eq!(request.headers.all("x-user-id"), [b"ada"]);
        assert!(!request.has("authorization"));
    }
    assert_eq!((answers(&gate, "asked"), answers(&gate, "remembered")), (1, 99));
    assert_eq!(gate.send(&from("eve")).status, 200);
    assert_eq!(gate.send(&get("/other").header("authorization", "ada")).status, 200);
    assert_eq!(gate.auth.count(), 3, "another caller, another path");
    assert_eq!(
        gate.upstream.received()[100].header("x-user-id").as_deref(),
        Some("eve")
    );
    let lines = decisions(&gate, "/other", 1);
    assert_eq!(
        (&lines[0]["answer"], &lines[0]["username"]),
        (&json!("asked"), &json!("ada"))
    );
    gate.envoy.wait_for_stat(
        "wasmcustom.meshgate_cache_entries.authenticator=account",
        |n| n == 3,
        SHORT,
    );
}

/// What is left of a life is counted by Envoy's clock.
#[test]
fn an_answer_ends_with_its_life() {
    let gate = direct(policy("5s", "ttl: 300ms", "", "")).auth(knows).start();
    assert_eq!(gate.send(&from("ada")).status, 200);
    until("the answer's end", SHORT, || {
        assert_eq!(gate.send(&from("ada")).status, 200);
        (gate.auth.count() == 2).then_some(())
    });
    assert!(answers(&gate, "remembered") > 0);
}

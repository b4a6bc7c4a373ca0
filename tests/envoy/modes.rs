//! Policies that only watch: `mode: observe`, shadow rules; and preflights, which nobody asks about.
use serde_json::json;

use crate::policies::{alice, asking, decisions, log_lines};
use crate::support::*;

const RULES: &str = r#"
rules:
- { name: closed, match: { hosts: ["*"], paths: ["/closed"] }, refuse: 404 }
- { name: ops, match: { hosts: ["*"], paths: ["/ops"] }, require: { groups: { any_of: [ops] } } }
- { name: orders, match: { hosts: ["*"], paths: ["/orders/**"] } }
"#;

fn count(gate: &Gate, name: &str) -> u64 {
    gate.envoy.stat(&format!("wasmcustom.meshgate_{name}")).unwrap_or(0)
}

#[test]
fn observe_changes_nothing_and_says_what_it_would_have_done() {
    let gate = Gate::start(asking(
        "credential: ['header:authorization']",
        &format!("mode: observe\n{RULES}"),
    ));
    assert_eq!(count(&gate, "policy_observing"), 1);
    let warning =
        |line: &serde_json::Value| line["level"] == "warn" && line["msg"].as_str().unwrap_or("").contains("observe");
    assert!(log_lines(&gate.envoy.log()).iter().any(warning));
    type Row = (
        &'static str,
        Request,
        fn(&Received) -> Reply,
        &'static str,
        &'static str,
        usize,
    );
    let known = |target: &str| get(target).header("authorization", "Bearer abc");
    let rows: Vec<Row> = vec![
        ("closed", get("/closed"), |_| alice(), "closed", "closed", 0),
        ("no rule", get("/none"), |_| alice(), "none", "no_rule", 0),
        ("nobody", get("/orders/1"), |_| alice(), "orders", "unauthenticated", 0),
        ("known", known("/orders/2"), |_| alice(), "orders", "allowed", 1),
        (
            "denied",
            known("/orders/3"),
            |_| Reply::status(403),
            "orders",
            "denied",
            1,
        ),
        (
            "failed",
            known("/orders/4"),
            |_| Reply::status(500),
            "orders",
            "auth_unavailable",
            1,
        ),
        ("not in the group", known("/ops"), |_| alice(), "ops", "forbidden", 1),
        (
            "two readings",
            get("/orders/%2e%2e/x"),
            |_| alice(),
            "none",
            "bad_request",
            0,
        ),
    ];
    for (what, request, reply, rule, outcome, asked) in rows {
        for wire in Wire::BOTH {
            let about = format!("{what} over {wire:?}");
            gate.auth.answer(reply);
            gate.auth.clear();
            let requests = format!("requests_total.rule={rule}.outcome={outcome}");
            let before = count(&gate, &requests);
            let request = request
                .clone()
                .header("x-user-id", "the caller's own")
                .header("x-original-url", "/admin");
            let response = gate.client(wire).send(&request);
            assert_eq!(response.status, 200, "{about}");
            let seen = gate.upstream.last();
            assert_eq!(seen.target, request.target, "{about}");
            for (name, value) in request.headers.iter() {
                let name = message::lossy(name);
                assert_eq!(seen.headers.all(&name), [value], "{about}: {name}");
            }
            assert_eq!(gate.auth.count(), asked, "{about}");
            assert_eq!(count(&gate, &requests), before + 1, "{about}: {requests}");
        }
        let target = message::lossy(&request.target);
        let line = &decisions(&gate, &target, 2)[1];
        assert_eq!(line["outcome"], outcome, "{what}");
        assert_eq!(line["enforced"], json!(false), "{what}");
    }
}

/// Without the host's flag the body never comes: enforced, that is a refusal.
#[test]
fn observe_lets_a_request_go_on_whose_body_the_service_cannot_be_shown() {
    let callout = "send: { body: { max: 4B, host_flag: allow_on_headers_stop_iteration } }";
    for flag in [false, true] {
        let gate = Gate::builder()
            .policy(asking(callout, "mode: observe"))
            .auth(|_| alice())
            .allow_on_headers_stop_iteration(flag)
            .start();
        for wire in Wire::BOTH {
            for request in [
                post("/up", "hello"),
                post("/up", "hello").chunked(),
                post("/up", "hello").trailer("x-up", "1"),
            ] {
                let response = gate.client(wire).send(&request);
                assert_eq!(response.status, 200, "{wire:?}, flag {flag}");
                assert_eq!(gate.upstream.last().body, b"hello", "{wire:?}, flag {flag}");
            }
        }
        let outcome = if flag { "body_too_large" } else { "auth_unavailable" };
        assert_eq!(count(&gate, &format!("requests_total.rule=all.outcome={outcome}")), 6);
        gate.envoy.assert_no_trap();
    }
}

#[test]
fn a_shadow_rule_is_told_of_and_the_next_rule_decides() {
    let gate = Gate::start(asking(
        "principal: { subject: x-auth-user, groups: x-auth-groups }",
        r#"
rules:
- { name: lock, match: { hosts: ["*"], paths: ["/orders/**"] }, refuse: 403, mode: shadow }
- { name: ops-only, match: { hosts: ["*"], paths: ["/orders/**"] }, require: { groups: { any_of: [ops] } }, mode: shadow }
- { name: orders, match: { hosts: ["*"], paths: ["/orders/**"] } }
"#,
    ));
    for (groups, outcome) in [("ops", "allowed"), ("sales", "forbidden")] {
        gate.auth.answer(move |_| alice().header("x-auth-groups", groups));
        let target = format!("/orders/{groups}");
        assert_eq!(gate.send(&get(&target)).status, 200);
        let line = &decisions(&gate, &target, 1)[0];
        assert_eq!((&line["rule"], &line["outcome"]), (&json!("orders"), &json!("allowed")));
        assert_eq!(line["shadow"], format!("lock=closed,ops-only={outcome}"));
        assert_eq!(
            count(&gate, &format!("shadow_requests_total.rule=ops-only.outcome={outcome}")),
            1
        );
    }
    assert_eq!(count(&gate, "shadow_requests_total.rule=lock.outcome=closed"), 2);
    assert_eq!(count(&gate, "requests_total.rule=orders.outcome=allowed"), 2);
    assert_eq!(gate.auth.count(), 2, "one question for each request");
}

#[test]
fn preflights_pass_or_stop_without_a_question() {
    let gate = Gate::start(asking(
        "",
        r#"
rules:
- { name: open, match: { hosts: ["*"], paths: ["/open/**"], methods: [PUT] }, cors: { preflight: pass } }
- { name: shut, match: { hosts: ["*"], paths: ["/shut/**"] } }
"#,
    ));
    let preflight = |target: &str, method: &str| {
        request("OPTIONS", target)
            .header("origin", "https://shop.example.com")
            .header("access-control-request-method", method)
            .header("x-user-id", "forged")
    };
    for wire in Wire::BOTH {
        gate.upstream.clear();
        for (request, status, outcome) in [
            (preflight("/open/1", "PUT"), 200, "preflight"),
            (preflight("/open/1", "DELETE"), 403, "no_rule"),
            (preflight("/shut/1", "PUT"), 403, "forbidden"),
        ] {
            let response = gate.client(wire).send(&request);
            assert_eq!(response.status, status, "{wire:?} {outcome}");
        }
        assert_eq!((gate.auth.count(), gate.upstream.count()), (0, 1), "{wire:?}");
        assert!(!gate.upstream.last().has("x-user-id"));
    }
    assert_eq!(count(&gate, "requests_total.rule=open.outcome=preflight"), 2);
    assert_eq!(gate.envoy.stat("wasmcustom.meshgate_policy_observing"), Some(0));
    assert_eq!(count(&gate, "requests_total.rule=shut.outcome=forbidden"), 2);
}

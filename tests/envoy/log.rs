//! What is told of a decision: one JSON line, the access log, metrics. And what is told nowhere.
mod secrets;

use serde_json::{Value, json};

use crate::policies::{alice, asking, decisions, log_lines};
use crate::support::*;

const STATE: [&str; 4] = ["rule", "outcome", "cause", "subject"];

fn access_log() -> Value {
    let state = |name: &str| format!("%FILTER_STATE(wasm.meshgate_{name}:PLAIN)%");
    let mut fields: Value = STATE
        .iter()
        .map(|name| ((*name).to_owned(), json!(state(name))))
        .collect();
    fields["path"] = json!("%REQ(:PATH)%");
    fields
}

const POLICY: &str = r#"
revision: "2026-11-20.r7"
log: { access: [rule, outcome, cause, subject] }
rules:
- { name: closed, match: { hosts: ["*"], paths: ["/closed/**"] }, refuse: 404 }
- { name: orders, match: { hosts: ["*"], paths: ["/orders/**"] } }"#;

#[test]
fn each_decision_is_one_json_line_with_these_keys() {
    let gate = Gate::builder()
        .policy(asking("", POLICY))
        .auth(|_| alice())
        .hcm(json!({"preserve_external_request_id": true}))
        .start();
    let id = "11111111-2222-4333-8444-555555555555";
    for (wire, target) in [(Wire::H1, "/orders/1"), (Wire::H2, "/orders/2")] {
        let request = get(target)
            .host("Shop.example.com:8080")
            .header("x-request-id", id)
            .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert_eq!(gate.client(wire).send(&request).status, 200);
        let lines = decisions(&gate, target, 1);
        let line = lines[0].as_object().unwrap();
        for (key, value) in [
            ("level", json!("info")),
            ("msg", json!("allowed")),
            ("request_id", json!(id)),
            ("trace_id", json!("0af7651916cd43dd8448eb211c80319c")),
            ("username", json!("alice")),
            ("requestURL", json!(format!("http://Shop.example.com:8080{target}"))),
            ("rule", json!("orders")),
            ("revision", json!("2026-11-20.r7")),
            ("outcome", json!("allowed")),
            ("cause", json!("")),
            ("authenticator", json!("account")),
        ] {
            assert_eq!(line.get(key), Some(&value), "{wire:?}: {key}");
        }
        assert!(line["time"].as_str().is_some_and(|t| t.ends_with('Z')), "{line:?}");
        assert!(line["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0 && ms < 10_000.0));
        assert!(line["file"].as_str().is_some_and(|f| f.starts_with("src/")), "{line:?}");
        assert!(line["line"].as_u64().is_some() && line["module"].as_str().is_some());
    }
    gate.send(&get("/closed/1"));
    let line = &decisions(&gate, "/closed/1", 1)[0];
    assert_eq!(
        (&line["outcome"], &line["cause"], &line["username"]),
        (&json!("closed"), &json!("refuse"), &json!(""))
    );
    assert_eq!(decisions(&gate, "http", 3).len(), 3, "one line for each request");
}

#[test]
fn the_access_log_reads_the_decision_from_filter_state() {
    let gate = Gate::builder()
        .policy(asking("credential: ['header:authorization']", POLICY))
        .access_log(access_log())
        .start();
    let known = |target: &str| get(target).header("authorization", "Bearer abc");
    type Row = (Request, fn(&Received) -> Reply, [Option<&'static str>; 4]);
    let rows: [Row; 6] = [
        (
            known("/orders/1"),
            |_| alice(),
            [Some("orders"), Some("allowed"), None, Some("alice")],
        ),
        (
            known("/orders/2"),
            |_| Reply::status(403),
            [Some("orders"), Some("denied"), Some("service"), None],
        ),
        (
            known("/orders/3"),
            |_| Reply::close(),
            [Some("orders"), Some("auth_unavailable"), Some("reset"), None],
        ),
        (
            get("/orders/4"),
            |_| alice(),
            [Some("orders"), Some("unauthenticated"), Some("no_credential"), None],
        ),
        (
            get("/closed/5"),
            |_| alice(),
            [Some("closed"), Some("closed"), Some("refuse"), None],
        ),
        (
            get("/other"),
            |_| alice(),
            [Some("none"), Some("no_rule"), Some("no_rule"), None],
        ),
    ];
    for (n, (request, reply, expected)) in rows.iter().enumerate() {
        gate.auth.answer(*reply);
        gate.send(request);
        let line = &gate.access_log(n + 1)[n];
        for (name, value) in STATE.iter().zip(expected) {
            // What is not set stands as null.
            assert_eq!(line[name].as_str(), *value, "{name} of {line}");
        }
    }
}

#[test]
fn the_shipped_tags_make_labels_of_metrics() {
    let tag = |name: &str| json!({"tag_name": name, "regex": format!("(\\.{name}=([^.]+))")});
    let gate = Gate::builder()
        .policy(asking("", POLICY))
        .auth(|_| alice())
        .stats_tags(
            ["rule", "outcome", "authenticator", "result", "revision"]
                .map(tag)
                .as_slice()
                .into(),
        )
        .start();
    gate.send(&get("/orders/1"));
    gate.send(&get("/orders/2"));
    gate.send(&get("/closed/1"));
    let metrics = gate.envoy.prometheus();
    for line in [
        r#"meshgate_requests_total{rule="orders",outcome="allowed"} 2"#,
        r#"meshgate_requests_total{rule="closed",outcome="closed"} 1"#,
        r#"meshgate_callouts_total{authenticator="account",result="allowed"} 2"#,
        r#"meshgate_policy_observing{} 0"#,
    ] {
        assert!(
            metrics.lines().any(|l| l == line),
            "{line} is not among {}",
            ours(&metrics)
        );
    }
    // The revision's dots would end the label.
    let info = metrics
        .lines()
        .find(|l| l.starts_with("meshgate_policy_info{"))
        .expect("the revision");
    assert_eq!(info, r#"meshgate_policy_info{revision="2026-11-20_r7"} 1"#);
}

fn ours(metrics: &str) -> String {
    metrics
        .lines()
        .filter(|l| l.contains("meshgate_"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// `log_lines` fails on a line that is no JSON object, `Envoy::log` would show replaced bytes.
#[test]
fn hostile_bytes_stay_one_line_of_utf8_json() {
    let gate = Gate::builder().policy(asking("", POLICY)).start();
    gate.auth
        .answer(|_| Reply::ok().header("x-auth-user", "a\"b\\c<\u{2028}\u{e9}>"));
    let mut sent = 0;
    for value in [
        &b"\xff\xfe"[..],
        b"\"}{\"level\":\"error\"",
        b"a\\u0000",
        b"\xe2\x80",
        b"<script>",
        b"%0a%0d",
        b"\x80\xbf\xc0\xf5",
        &[b'a'; 4000],
    ] {
        let target = [b"/orders/1?", value].concat();
        let request = get("/orders/1")
            .header("traceparent", value)
            .header("b3", value)
            .header("referer", value);
        gate.send(&request);
        sent += 1;
        // What the HTTP/2 client lets out, and Envoy in.
        let fields: [(&[u8], &[u8]); 5] = [
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":authority", b"test"),
            (b":path", &target),
            (b"traceparent", value),
        ];
        if gate.h2().raw_fields(&fields, b"").is_ok() {
            sent += 1;
        }
    }
    let lines = until("a line for each request", SHORT, || {
        let lines = log_lines(&gate.envoy.log());
        let decided = lines.iter().filter(|line| line.get("outcome").is_some()).count();
        (decided >= sent).then_some(lines)
    });
    let decided: Vec<&Value> = lines.iter().filter(|line| line.get("outcome").is_some()).collect();
    assert_eq!(decided.len(), sent);
    assert!(decided.iter().any(|line| line["username"] == "a\"b\\c<\u{2028}\u{e9}>"));
    let bytes = std::fs::read(gate.envoy.dir().join("envoy.log")).unwrap();
    assert!(std::str::from_utf8(&bytes).is_ok(), "Envoy's log is no UTF-8");
    gate.envoy.assert_no_trap();
}

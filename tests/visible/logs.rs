//! Every line of Envoy's output is a JSON object, whatever comes in and whatever goes wrong.

use crate::outcomes::{POLICY, lines, start};
use crate::policies::json;
use crate::shipped::Shipped;
use crate::support::*;
use serde_json::Value;

#[test]
fn hostile_bytes_stay_inside_their_line() {
    let (envoy, auth, _upstream) = start(POLICY);
    auth.answer(|_| Reply::ok().header("x-auth-user", "a\"b\\c\u{2028}\u{e9}%s%j"));
    let addr = envoy.listener("edge");
    let mut sent = 0;
    for value in [
        &b"\xff\xfe"[..],
        b"\"}\\n{\"level\":\"error\"",
        b"a\\u0000\\",
        b"\xe2\x80",
        b"%j%v\x7f",
        &[b'"'; 4000],
    ] {
        let target = [b"/shop?", value].concat();
        let request = get(target)
            .host("localhost")
            .header("authorization", "Bearer ann")
            .header("traceparent", value)
            .header("x-request-id", value);
        if h1(addr).try_send(&request).is_ok() {
            sent += 1;
        }
    }
    assert!(sent >= 4, "{sent}");
    // Some of it Envoy refuses by itself.
    until("the access log's line about each request", LONG, || {
        let all = lines(&envoy);
        let access = all.iter().filter(|line| line.get("duration_ms").is_some());
        (access.count() >= sent).then_some(())
    });
    let all = lines(&envoy);
    for line in all.iter().filter(|line| line.get("message").is_some()) {
        let fields: Vec<&str> = line
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(fields, ["level", "logger", "message", "time"]);
    }
    let ours = all
        .iter()
        .filter_map(|line| line["message"].as_str()?.split_once("meshgate meshgate: "));
    let ours = ours.map(|(_, json)| serde_json::from_str::<Value>(json).unwrap_or_else(|e| panic!("{e}: {json}")));
    let decided = ours.filter(|line| line["username"] == "a\"b\\c\u{2028}\u{e9}%s%j");
    assert!(decided.count() >= 1);
    envoy.assert_no_trap();
}

/// Its last word on stderr is no log line.
#[test]
fn a_policy_that_keeps_envoy_from_starting_is_told_in_json() {
    let mut shipped = Shipped::with(&json("version: 1\nrules: [{ name: a, match: { paths: [no-slash] } }]"));
    shipped.1 = Options::new().log_level("warning").component_log_level("wasm:info");
    let log = shipped.1.expect_refused(shipped.0);
    let mut lines: Vec<&str> = log.lines().collect();
    assert!(
        lines
            .pop()
            .is_some_and(|last| last.starts_with("Unable to create Wasm plugin")),
        "{log}"
    );
    let lines = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line}")));
    let told = lines.filter(|line| {
        line["message"]
            .as_str()
            .is_some_and(|m| m.contains("policy refused: rules[0]"))
    });
    assert!(told.count() > 0, "{log}");
}

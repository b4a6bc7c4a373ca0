//! What the tests of the filter have in common: its policy, requests and answers.

use crate::host::{HeaderMap, Host, HostOptions, Stream};
use serde_json::Value;

pub const POLICY: &str = include_str!("policy.json");

/// A host with the filter, serving `POLICY`.
pub fn gate() -> Host {
    serving(POLICY, options())
}

/// As Envoy is with `allow_on_headers_stop_iteration: true`: body callbacks come while headers wait.
pub fn gate_with_flag() -> Host {
    let options = HostOptions {
        allow_on_headers_stop_iteration: true,
        ..options()
    };
    serving(POLICY, options)
}

/// Both modes of the host, for what may not depend on it.
pub fn both_gates(test: impl Fn(Host)) {
    test(gate());
    test(gate_with_flag());
}

#[track_caller]
pub fn serving(policy: &str, options: HostOptions) -> Host {
    let host = Host::start(policy, options);
    assert!(host.accepted(), "the policy was refused: {:#?}", host.logs());
    host.take_calls();
    host
}

pub fn options() -> HostOptions {
    HostOptions::new(meshgate::filter::init)
}

pub fn headers<'a>(path: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "shop.example.com"),
        (":path", path),
        ("x-request-id", "req-1"),
    ];
    all.extend(more);
    all
}

pub const CREDENTIAL: (&str, &str) = ("authorization", "Bearer t0ken");

/// A request with a credential and nothing after its headers.
pub fn known(host: &Host, path: &str) -> Stream {
    host.request(&headers(path, &[CREDENTIAL]))
}

/// A request with a credential whose body or trailers follow.
pub fn upload(host: &Host, path: &str) -> Stream {
    host.request_with_body(&headers(path, &[CREDENTIAL]))
}

pub const YES: &[(&str, &str)] = &[(":status", "200"), ("x-auth-user", "u7"), ("x-auth-groups", "ops")];
pub const NO: &[(&str, &str)] = &[(":status", "403")];

/// The service answers the only question.
#[track_caller]
pub fn answer(host: &Host, headers: &[(&str, &str)]) {
    host.answer(host.callout().token, headers, "");
}

/// The refusal's status; none while the request waits or when it went on.
pub fn status(stream: &Stream) -> Option<u32> {
    stream.reply().map(|reply| reply.status)
}

/// What a header of the upstream's request says.
#[track_caller]
pub fn told(stream: &Stream, name: &str) -> Option<String> {
    stream.upstream().expect("the request went on").get(name)
}

/// Log lines, each parsed.
#[track_caller]
pub fn lines(host: &Host) -> Vec<Value> {
    let parse = |(_, line): (_, String)| {
        assert!(!line.contains(['\n', '\r']), "several lines: {line:?}");
        serde_json::from_str(&line).unwrap_or_else(|fault| panic!("{fault}: {line}"))
    };
    host.logs().into_iter().map(parse).collect()
}

/// Lines that say what became of a request.
#[track_caller]
pub fn decisions(host: &Host) -> Vec<Value> {
    let mut lines = lines(host);
    lines.retain(|line| line.get("outcome").is_some());
    lines
}

/// The outcome and cause of the only decision.
#[track_caller]
pub fn decision(host: &Host) -> String {
    let all = decisions(host);
    assert_eq!(all.len(), 1, "one line for one decision: {all:#?}");
    let word = |name: &str| all[0][name].as_str().expect("a word").to_owned();
    format!("{} {}", word("outcome"), word("cause")).trim().to_owned()
}

/// Lines that tell of anything else at error or warn.
pub fn complaints(host: &Host) -> Vec<String> {
    let mut lines = lines(host);
    lines.retain(|line| line.get("outcome").is_none() && line["level"] != "info");
    lines.iter().map(|line| line["msg"].to_string()).collect()
}

/// No header that only the filter may set came through from a caller.
#[track_caller]
pub fn assert_unforged(upstream: &HeaderMap, mark: &str) {
    for (name, value) in upstream.pairs() {
        let folded: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let ours = ["x_user_", "x_auth", "x_internal_", "x_envoy_"];
        if ours.iter().any(|prefix| folded.starts_with(prefix)) {
            let value = String::from_utf8_lossy(value);
            assert!(!value.contains(mark), "forged: {name}: {value}");
        }
    }
}

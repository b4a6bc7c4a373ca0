//! Policies come, are refused, and are replaced while requests are under way.

use crate::gate::*;
use crate::host::Host;

const FAULTY: &str = r#"{
  "version": 1,
  "authenticators": { "a": { "callout": { "protocol": "ext_authz_http", "cluster": "auth", "timeout": "0s" } } },
  "rules": [{ "name": "x", "match": { "paths": ["relative"] }, "authentikate": "none" }]
}"#;

#[track_caller]
fn faults(host: &Host) -> Vec<String> {
    let mut lines = lines(host);
    lines.retain(|line| line["level"] == "error");
    lines
        .iter()
        .map(|line| line["msg"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_faulty_policy_is_refused_with_every_fault() {
    let mut host = Host::start(FAULTY, options());
    assert!(!host.accepted());
    let told = faults(&host);
    assert!(told.len() >= 5, "{told:#?}");
    for part in [
        "timeout",
        "on_failure",
        "principal",
        "relative",
        "did you mean authenticate",
    ] {
        assert!(told.iter().any(|fault| fault.contains(part)), "{part}: {told:#?}");
    }
    assert!(told.iter().all(|fault| fault.starts_with("policy refused: ")));
    assert_eq!(host.metric("meshgate_policy_loads_total.result=rejected"), Some(1));

    assert!(host.configure(POLICY));
    assert!(host.request(&headers("/public/a", &[])).upstream().is_some());
    assert!(!host.configure(FAULTY));
    assert!(
        host.request(&headers("/public/a", &[])).upstream().is_some(),
        "the old one keeps serving"
    );
    assert_eq!(host.metric("meshgate_policy_loads_total.result=accepted"), Some(1));
}

#[test]
fn no_policy_is_a_faulty_policy() {
    for policy in ["", " ", "{}", "null", "[]", "{\"version\": 1}", "\u{0}", "\"\\ud800\""] {
        let host = Host::start(policy, options());
        assert!(!host.accepted(), "{policy:?}");
        assert!(!faults(&host).is_empty(), "{policy:?}");
    }
    assert!(!Host::start(b"\xff\xfe", options()).accepted());
}

#[test]
fn requests_under_way_end_under_the_policy_they_met() {
    let mut host = gate();
    let (old, leaves) = (known(&host, "/gate/a"), known(&host, "/gate/a"));
    let body = upload(&host, "/read/a");
    let callout = host.callouts().remove(0);
    let new = POLICY.replace("\"r1\"", "\"r2\"").replace("x-user-id", "x-user-name");
    assert!(host.configure(new));
    leaves.done();
    host.answer(callout.token, YES, "");
    let upstream = old.upstream().unwrap();
    assert_eq!(
        (upstream.get("x-user-id").unwrap().as_str(), upstream.get("x-user-name")),
        ("u7", None)
    );
    assert_eq!(decision(&host), "allowed");
    assert_eq!(decisions(&host)[0]["revision"], "r1");

    // The old root still ticks for the body that never comes.
    host.advance(std::time::Duration::from_secs(1));
    assert_eq!(host.tick(), 2);
    assert_eq!(status(&body), Some(503));
    body.done();
    old.done();
    assert_eq!(host.tick(), 1, "the old root went with its last request");

    let fresh = known(&host, "/gate/a");
    answer(&host, YES);
    assert_eq!(told(&fresh, "x-user-name").unwrap(), "u7");
    assert_eq!(decisions(&host).last().unwrap()["revision"], "r2");
}

#[test]
fn observing_changes_nothing_and_says_what_it_would_have_done() {
    let observe = POLICY.replace(r#""version": 1,"#, r#""version": 1, "mode": "observe","#);
    let host = serving(&observe, options());
    assert_eq!(host.metric("meshgate_policy_observing"), Some(1));
    assert!(
        lines(&host).iter().any(|line| line["level"] == "warn"),
        "{:#?}",
        host.logs()
    );
    let forged = [("x-user-id", "root"), ("x-envoy-max-retries", "9")];
    let anonymous = headers("/gate/a", &forged);
    let stream = host.request_with_body(&anonymous).body("x", false).trailers(&forged);
    assert_eq!(stream.upstream().unwrap(), crate::host::HeaderMap::of(&anonymous));
    assert_eq!(
        stream.upstream_trailers().unwrap().names(),
        ["x-user-id", "x-envoy-max-retries"]
    );
    let known = known(&host, "/gate/a");
    answer(&host, NO);
    assert_eq!(
        known.upstream().unwrap(),
        crate::host::HeaderMap::of(&headers("/gate/a", &[CREDENTIAL]))
    );
    let told: Vec<_> = decisions(&host)
        .iter()
        .map(|line| line["outcome"].to_string() + &line["enforced"].to_string())
        .collect();
    assert_eq!(told, ["\"unauthenticated\"false", "\"denied\"false"]);

    // Nor where the proxy shows the filter no headers.
    host.set_raw_map("request_headers", "\u{1}");
    assert!(host.request(&anonymous).upstream().is_some());
}

#[test]
fn enforcing_again_ends_the_gauge() {
    let observe = POLICY.replace(r#""version": 1,"#, r#""version": 1, "mode": "observe","#);
    let mut host = serving(&observe, options());
    assert!(host.configure(POLICY));
    assert_eq!(host.metric("meshgate_policy_observing"), Some(0));
}

//! What experiments cost and do in the host's calls.

use crate::gate::*;
use crate::host::{Host, HostOptions};
use serde_json::{Value, json};

const POLICY: &str = r#"{
  "version": 1,
  "experiments": {
    "plain": { "unit": ["header:x-device", "subject"], "header": "x-plain", "response_header": "x-plain", "variants": [{ "name": "a" }] },
    "kept": { "unit": ["cookie:mg"], "header": "x-kept", "variants": [{ "name": "a" }], "remember": { "cookie": "mg", "max_age": "1d" } },
    "routed": { "unit": ["header:x-device"], "bucket_header": "x-bucket" },
    "by_ip": { "unit": ["client_ip"], "header": "x-ip", "variants": [{ "name": "a" }] },
    "split": { "unit": ["header:x-device"], "header": "x-split", "variants": [{ "name": "all", "weight": "100%" }, { "name": "over", "weight": "0%" }] },
    "ranged": { "unit": ["header:x-device"], "header": "x-ranged", "mode": "shadow", "variants": [{ "name": "some", "ranges": [["0%", "10%"]] }] }
  },
  "rules": [
    { "name": "none", "match": { "hosts": ["*"], "paths": ["/none"] }, "authenticate": "none" },
    { "name": "plain", "match": { "hosts": ["*"], "paths": ["/plain"] }, "authenticate": "none", "experiments": ["plain"] },
    { "name": "kept", "match": { "hosts": ["*"], "paths": ["/kept"] }, "authenticate": "none", "experiments": ["kept"] },
    { "name": "routed", "match": { "hosts": ["*"], "paths": ["/routed"] }, "authenticate": "none", "experiments": ["routed"] },
    { "name": "by_ip", "match": { "hosts": ["*"], "paths": ["/ip"] }, "authenticate": "none", "experiments": ["by_ip"] },
    { "name": "more", "match": { "hosts": ["*"], "paths": ["/more"] }, "authenticate": "none", "experiments": ["split", "ranged"] }
  ]
}"#;

fn host() -> Host {
    serving(POLICY, options())
}

/// Calls that two requests of one kind make: the second, whose exposure is told.
fn calls(host: &Host, path: &str, more: &[(&str, &str)]) -> Vec<String> {
    let mut calls = Vec::new();
    for _ in 0..2 {
        host.take_calls();
        let stream = host.request(&headers(path, more));
        stream.response_headers(&[(":status", "200")]).expect("a response");
        calls = host.take_calls();
    }
    let said = ["log", "get_current", "increment"];
    calls.retain(|call| !said.iter().any(|word| call.starts_with(word)));
    calls
}

const READ: &str = "get_header_map_pairs request_headers";
const SAID: &str = "get_header_map_pairs response_headers";

/// Of a name that the caller did not send.
fn adds(name: &str) -> String {
    format!("add_header_map_value request_headers {name}")
}

fn replaces(name: &str) -> String {
    format!("replace_header_map_value response_headers {name}")
}

#[test]
fn a_known_caller_costs_the_writing() {
    let host = host();
    let device = [("x-device", "d")];
    assert_eq!(calls(&host, "/none", &device), [READ]);
    let plain = [READ, &adds("x-plain"), SAID, &replaces("x-plain"), &replaces("vary")];
    assert_eq!(calls(&host, "/plain", &device), plain);
    let kept = [READ, &adds("x-kept"), SAID, &replaces("vary")];
    assert_eq!(calls(&host, "/kept", &[("cookie", "mg=1")]), kept);
    let routed = [
        READ,
        &adds("x-bucket"),
        "get_property xds.cluster_name",
        SAID,
        &replaces("vary"),
    ];
    assert_eq!(calls(&host, "/routed", &device), routed);
    host.set_property(&["source", "address"], "192.0.2.1:4711");
    let by_ip = [READ, "get_property source.address", &adds("x-ip")];
    assert_eq!(calls(&host, "/ip", &[]), by_ip, "nothing is done to the response");
}

fn lines(host: &Host, of: &str) -> Vec<Value> {
    let lines = host.logs().into_iter();
    let lines = lines.filter_map(|(_, line)| serde_json::from_str::<Value>(&line).ok());
    lines.filter(|line| line["msg"] == of).collect()
}

/// What an alert looks for. A variant that is over is none.
#[test]
fn what_may_be_met_is_counted_from_the_start() {
    let host = host();
    let counted = |of: &str| host.metric(&format!("meshgate_{of}"));
    for met in [
        "exposures_total.experiment=plain.variant=a",
        "exposures_total.experiment=routed.variant=by_route",
        "exposures_total.experiment=split.variant=all",
        "shadow_exposures_total.experiment=ranged.variant=some",
    ] {
        assert_eq!(counted(met), Some(0), "{met}");
    }
    for over in [
        "exposures_total.experiment=split.variant=over",
        "exposures_total.experiment=ranged.variant=some",
    ] {
        assert_eq!(counted(over), None, "{over}");
    }
}

#[test]
fn an_exposure_is_a_line_and_a_count() {
    let host = host();
    for device in ["one", "two", "one"] {
        host.request(&headers("/plain", &[("x-device", device)]));
    }
    let told = lines(&host, "exposure");
    assert_eq!(told.len(), 2);
    let expected = [json!("plain"), json!("a"), json!("plain"), Value::Null, Value::Null];
    let fields = ["experiment", "variant", "rule", "cluster", "shadow"];
    assert_eq!(fields.map(|name| told[0][name].clone()), expected);
    // printf 'plain\0one' | sha256sum
    assert_eq!(told[0]["unit"], "2f1df2ff3ed5d4fd");
    assert_eq!(
        host.metric("meshgate_exposures_total.experiment=plain.variant=a"),
        Some(2)
    );
    let decided = lines(&host, "public");
    assert_eq!(decided[0]["variants"], "plain=a");
    host.request(&headers("/none", &[]));
    assert_eq!(lines(&host, "public")[3].get("variants"), None);
}

#[test]
fn the_route_is_told_when_it_has_chosen() {
    let host = host();
    let stream = host.request(&headers("/routed", &[("x-device", "one")]));
    assert_eq!(lines(&host, "exposure").len(), 0, "nobody knows yet");
    host.set_property(&["xds", "cluster_name"], "orders-v2");
    stream.response_headers(&[(":status", "200")]);
    let told = lines(&host, "exposure");
    assert_eq!(
        (&told[0]["variant"], &told[0]["cluster"]),
        (&json!("by_route"), &json!("orders-v2"))
    );
    let counter = "meshgate_exposures_total.experiment=routed.variant=by_route";
    assert_eq!(host.metric(counter), Some(1));
    let again = |cluster: &str| {
        host.set_property(&["xds", "cluster_name"], cluster);
        let stream = host.request(&headers("/routed", &[("x-device", "one")]));
        stream.response_headers(&[(":status", "200")]);
        host.metric(counter)
    };
    assert_eq!(again("orders-v2"), Some(1));
    assert_eq!(again("orders-v1"), Some(2), "the weights have changed");
}

/// Workers share what was told, and a caller's unit stands nowhere.
#[test]
fn another_worker_knows() {
    let first = host();
    let shared = first.shared();
    first.request(&headers("/plain", &[("x-device", "one")]));
    let other = serving(POLICY, HostOptions { shared, ..options() });
    other.request(&headers("/plain", &[("x-device", "one")]));
    assert_eq!(lines(&other, "exposure").len(), 0);
    other.request(&headers("/plain", &[("x-device", "two")]));
    assert_eq!(lines(&other, "exposure").len(), 1);
}

#[test]
fn a_cookie_comes_with_whatever_the_client_gets() {
    let host = host();
    let stream = host.request(&headers("/kept", &[("cookie", "a=1")]));
    let sent = told(&stream, "cookie").expect("cookies");
    let unit = sent
        .strip_prefix("mg=")
        .and_then(|rest| rest.strip_suffix("; a=1"))
        .expect("the drawn one before the others")
        .to_owned();
    let client = stream
        .response_headers(&[(":status", "200"), ("set-cookie", "s=1"), ("vary", "Origin")])
        .expect("a response");
    let all = client.pairs().iter().filter(|(name, _)| name == "set-cookie");
    let all: Vec<String> = all
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .collect();
    let given = format!("mg={unit}; Path=/; Max-Age=86400; Secure; HttpOnly; SameSite=Lax");
    assert_eq!(all, ["s=1", &given]);
    assert_eq!(client.get("vary").as_deref(), Some("Origin, Cookie"));
    assert_eq!(client.get("cache-control").as_deref(), Some("private"));
}

//! Which host calls a request costs, and in which order they come.

use crate::gate::*;
use crate::host::Host;

/// The calls that matter to order: what is said in between (log, clock, counters, state) is left out.
fn deeds(host: &Host) -> Vec<String> {
    let said = [
        "log",
        "get_current",
        "increment",
        "define",
        "set_property",
        "record_metric",
    ];
    let mut calls = host.take_calls();
    calls.retain(|call| !said.iter().any(|word| call.starts_with(word)));
    calls
}

#[test]
fn a_public_request_costs_one_reading_of_the_headers() {
    let host = gate();
    let stream = host.request(&headers("/public/a", &[]));
    assert_eq!(deeds(&host), ["get_header_map_pairs request_headers"]);
    assert!(stream.upstream().is_some());
    assert_eq!(stream.route_refreshes(), 0);
}

#[test]
fn a_question_is_the_roots_and_the_stream_comes_back() {
    let host = gate();
    let stream = known(&host, "/gate/a");
    let root = host.callout().context;
    assert_ne!(root, stream.id);
    assert_eq!(
        deeds(&host),
        [
            "get_header_map_pairs request_headers".to_string(),
            format!("set_effective_context {root}"),
            "http_call auth".to_string(),
            format!("set_effective_context {}", stream.id),
        ]
    );
}

#[test]
fn edits_come_before_the_request_goes_on() {
    let host = gate();
    let stream = known(&host, "/gate/a");
    let root = host.callout().context;
    deeds(&host);
    answer(&host, &[(":status", "200"), ("x-auth-user", "u7")]);
    assert_eq!(
        deeds(&host),
        [
            format!("set_effective_context {root}"), // the SDK's
            "get_header_map_pairs answer_headers".to_string(),
            format!("set_effective_context {}", stream.id),
            "remove_header_map_value request_headers authorization".to_string(),
            "add_header_map_value request_headers x-user-id".to_string(),
            "add_header_map_value request_headers x-authenticated-by".to_string(),
            "add_header_map_value request_headers x-auth-user".to_string(),
            "continue_stream request".to_string(),
        ]
    );
    assert_eq!(told(&stream, "x-user-id").unwrap(), "u7");
}

#[test]
fn sixteen_edits_are_one_call() {
    let forged: Vec<String> = (0..16).map(|n| format!("x-auth-{n}")).collect();
    let mut more: Vec<(&str, &str)> = forged.iter().map(|name| (name.as_str(), "x")).collect();
    let host = gate();
    host.request(&headers("/public/a", &more[..15]));
    assert_eq!(host.count("remove_header_map_value request_headers"), 15);
    assert_eq!(host.count("set_header_map_pairs request_headers"), 0);
    host.take_calls();
    more.extend([("cookie", "a=1"), ("cookie", "b=2"), ("x-twice", "1"), ("x-twice", "2")]);
    let stream = host.request(&headers("/public/a", &more));
    assert_eq!(host.count("set_header_map_pairs request_headers"), 1);
    assert_eq!(host.count("remove_header_map_value request_headers"), 0);
    let upstream = stream.upstream().unwrap();
    let mut kept = headers("/public/a", &[]);
    kept.extend(more.iter().skip(16));
    assert_eq!(
        upstream,
        crate::host::HeaderMap::of(&kept),
        "the rest stays as it was, in order"
    );
}

#[test]
fn a_refusal_touches_nothing() {
    let host = gate();
    let stream = host.request(&headers("/closed", &[("x-user-id", "root")]));
    assert_eq!(status(&stream), Some(404));
    assert_eq!(
        deeds(&host),
        ["get_header_map_pairs request_headers", "send_local_response 404"]
    );
    let stream = known(&host, "/gate/a");
    deeds(&host);
    answer(&host, NO);
    let deeds = deeds(&host);
    assert_eq!(deeds.last().unwrap(), "send_local_response 403", "{deeds:?}");
    assert!(
        !deeds
            .iter()
            .any(|call| call.contains("request_headers") || call.contains("continue"))
    );
    assert_eq!(stream.upstream(), None);
}

#[test]
fn the_question_carries_the_credential_and_no_identity() {
    let host = gate();
    let more = [
        CREDENTIAL,
        ("x-user-id", "root"),
        ("x-auth-user", "root"),
        ("traceparent", "00-1-2-3"),
    ];
    host.request(&headers("/gate/a?b=c", &more));
    let callout = host.callout();
    assert_eq!(callout.timeout, std::time::Duration::from_millis(500));
    let asked = |name| callout.headers.get(name);
    assert_eq!(asked(":path").unwrap(), "/gate/a?b=c");
    assert_eq!(asked("authorization").unwrap(), "Bearer t0ken");
    assert_eq!(asked("traceparent").unwrap(), "00-1-2-3");
    assert_eq!((asked("x-user-id"), asked("x-auth-user")), (None, None));
}

/// What a caller sent under the name is not left beside ours.
#[test]
fn a_forged_header_is_replaced() {
    let host = gate();
    let stream = host.request(&headers(
        "/gate/a",
        &[("authorization", "Bearer t"), ("x-user-id", "mallory")],
    ));
    deeds(&host);
    answer(&host, &[(":status", "200"), ("x-auth-user", "u7")]);
    let ours = "replace_header_map_value request_headers x-user-id";
    assert!(deeds(&host).iter().any(|deed| deed == ours));
    assert_eq!(told(&stream, "x-user-id").unwrap(), "u7");
}

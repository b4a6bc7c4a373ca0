//! Host calls that fail: no panic, the request is refused or held, never let through unread.

use crate::gate::*;
use crate::host::{Host, Stream};
use proxy_wasm::types::Status;
use std::time::Duration;

const FORGED: &[(&str, &str)] = &[("x-user-id", "root")];
const ERRORS: &str = "meshgate_host_errors_total";

/// Refused with 503, told once, counted once.
#[track_caller]
fn refused(host: &Host, stream: &Stream) {
    assert_eq!(status(stream), Some(503));
    assert_eq!((stream.upstream(), stream.is_paused()), (None, false));
    assert_eq!(decision(host), "auth_unavailable host");
    let counted: u64 = host
        .metrics()
        .iter()
        .filter(|(name, _)| name.contains("outcome=auth_unavailable"))
        .map(|(_, count)| count)
        .sum();
    assert_eq!(counted, 1);
}

#[track_caller]
fn complained_once(host: &Host, call: &str) {
    let complaints = complaints(host);
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert_eq!(
        host.metric(&format!("{ERRORS}.call={call}")),
        Some(1),
        "{:#?}",
        host.metrics()
    );
}

#[test]
fn headers_that_cannot_be_read() {
    let host = gate();
    host.refuse("get_header_map_pairs request_headers", Status::InternalFailure);
    refused(&host, &host.request(&headers("/public/a", FORGED)));
    complained_once(&host, "read_headers");
    for raw in [
        &b"\x01\0\0"[..],
        b"\xff\xff\xff\xff",
        b"\x02\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\xff\xff\xff\xffa\0b\0",
    ] {
        let host = gate();
        host.set_raw_map("request_headers", raw);
        refused(&host, &host.request(&headers("/public/a", FORGED)));
    }
    let host = gate();
    host.set_raw_map("request_headers", "");
    let stream = host.request(&headers("/public/a", FORGED));
    assert_eq!(status(&stream), Some(400), "no header at all is no request");
}

#[test]
fn headers_that_cannot_be_changed() {
    let names: Vec<String> = (0..16).map(|n| format!("x-internal-{n}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    for (call, forged) in [
        ("remove_header_map_value", FORGED),
        ("set_header_map_pairs", &many[..]),
        ("replace_header_map_value", &[("connection", "upgrade, x-user-id")]),
    ] {
        let host = gate();
        host.refuse(call, Status::BadArgument);
        refused(&host, &host.request(&headers("/public/a", forged)));
        complained_once(&host, "change_headers");
        host.refuse_nothing();
        assert!(host.request(&headers("/public/a", forged)).upstream().is_some());
    }
}

#[test]
fn headers_that_cannot_be_changed_after_the_answer() {
    // After the first of several changes, too.
    for (call, after) in [
        ("remove_header_map_value", 0),
        ("add_header_map_value", 0),
        ("add_header_map_value", 1),
    ] {
        let host = gate();
        let stream = known(&host, "/gate/a");
        host.refuse_some(call, Status::BadArgument, after, 1);
        answer(&host, &[(":status", "200"), ("x-auth-user", "u7")]);
        refused(&host, &stream);
        assert_eq!(host.count("continue_stream"), 0);
    }
}

/// The decision stands in log and counters already; the caller gets an answer, not a hanging request.
#[test]
fn a_request_that_cannot_be_resumed() {
    let host = gate();
    let stream = upload(&host, "/gate/a");
    host.refuse("continue_stream", Status::InternalFailure);
    answer(&host, YES);
    assert_eq!(status(&stream), Some(503));
    stream.body("hello", true);
    assert_eq!((stream.upstream(), stream.upstream_body()), (None, vec![]));
    assert_eq!(decision(&host), "allowed");
    complained_once(&host, "resume");
}

#[test]
fn a_context_that_cannot_be_chosen() {
    for after in [0, 1] {
        let host = gate();
        host.refuse_some("set_effective_context", Status::BadArgument, after, 1);
        let stream = known(&host, "/gate/a");
        assert_eq!((stream.upstream(), host.count("http_call")), (None, after));
        assert_eq!(decision(&host), "auth_unavailable host");
        if after == 1 {
            host.answer(host.callout().token, YES, "");
            assert_eq!(stream.upstream(), None, "it was refused: an answer is late");
        }
    }
}

#[test]
fn a_context_that_the_tick_cannot_choose_is_tried_again() {
    let host = gate();
    let stream = upload(&host, "/read/a").body("1234", true);
    host.advance(Duration::from_secs(1));
    host.refuse_some("set_effective_context", Status::BadArgument, 0, 1);
    host.tick();
    assert_eq!((status(&stream), stream.upstream()), (None, None));
    complained_once(&host, "set_effective_context");
    host.advance(Duration::from_millis(250));
    host.tick();
    assert_eq!(status(&stream), Some(503));
    assert_eq!(decisions(&host).len(), 1);
}

#[test]
fn a_reply_with_a_header_that_the_host_does_not_take() {
    let host = gate();
    let stream = known(&host, "/gate/a");
    host.refuse_some("send_local_response", Status::BadArgument, 0, 1);
    host.answer(host.callout().token, &[(":status", "403"), ("x-odd", "1")], "no");
    let reply = stream.reply().unwrap();
    assert_eq!((reply.status, reply.headers.len(), reply.body.len()), (403, 0, 0));
    assert_eq!(decision(&host), "denied service");
    complained_once(&host, "reply");

    let host = gate();
    host.refuse("send_local_response", Status::InternalFailure);
    let stream = host.request_with_body(&headers("/closed", &[])).body("x", true);
    assert!(
        stream.is_paused() && stream.upstream().is_none(),
        "held rather than let through"
    );
}

#[test]
fn trailers_that_cannot_be_read_or_changed() {
    let unreadable = |host: &Host| host.set_raw_map("request_trailers", "\u{1}");
    let unchangeable = |host: &Host| host.refuse("remove_header_map_value request_trailers", Status::BadArgument);
    for path in ["/public/a", "/gate/a"] {
        for spoil in [&unreadable as &dyn Fn(&Host), &unchangeable] {
            both_gates(|host| {
                spoil(&host);
                let stream = upload(&host, path).body("hello", false).trailers(FORGED);
                if path == "/gate/a" && stream.reply().is_none() {
                    answer(&host, YES);
                }
                assert_eq!(stream.upstream_trailers(), None, "{path}");
                assert_eq!(status(&stream), Some(503), "{path}");
                complained_once(&host, "change_trailers");
            });
        }
    }
}

#[test]
fn a_body_that_cannot_be_read() {
    let host = gate_with_flag();
    host.refuse("get_buffer_bytes request_body", Status::InternalFailure);
    let stream = upload(&host, "/taste/a").body("1234", true);
    assert_eq!((status(&stream), host.callouts().len()), (Some(503), 0));
    assert_eq!(decision(&host), "auth_unavailable host");
}

#[test]
fn a_response_header_that_the_host_does_not_take_is_the_clients_loss_only() {
    let host = gate();
    let stream = known(&host, "/gate/a");
    answer(
        &host,
        &[(":status", "200"), ("x-auth-user", "u7"), ("set-cookie", "a=1")],
    );
    host.refuse("add_header_map_value response_headers", Status::BadArgument);
    assert!(stream.response_headers(&[(":status", "200")]).is_some());
    complained_once(&host, "change_response");
}

/// Counters, filter state and the route cache are no reason to lose a request.
#[test]
fn what_a_request_can_do_without() {
    let host = gate();
    for call in [
        "increment_metric",
        "define_metric",
        "set_property",
        "call_foreign_function",
        "get_property",
    ] {
        host.refuse(call, Status::InternalFailure);
    }
    let stream = host.request(&headers("/public/a", FORGED));
    assert_eq!(told(&stream, "x-user-id"), None);
}

#[test]
fn without_ticks_a_policy_is_not_accepted() {
    let mut host = gate();
    host.refuse("set_tick_period_milliseconds", Status::InternalFailure);
    assert!(!host.configure(POLICY));
    complained_once(&host, "tick");
    assert!(host.request(&headers("/public/a", &[])).upstream().is_some());
}

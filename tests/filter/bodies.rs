//! A body for the service: collected as far as the policy says, never waited for without end.

use crate::gate::*;
use crate::host::{Host, Stream};
use std::time::Duration;

fn read(host: &Host) -> Stream {
    upload(host, "/read/a")
}

#[track_caller]
fn asked(host: &Host) -> (String, String) {
    let callout = host.callout();
    let partial = callout.headers.get("x-envoy-auth-partial-body").unwrap();
    (String::from_utf8(callout.body).unwrap(), partial)
}

fn is(body: &str, partial: &str) -> (String, String) {
    (body.into(), partial.into())
}

/// Time passes as it does in Envoy: a tick every 250 ms.
fn wait(host: &Host, ticks: usize) {
    for _ in 0..ticks {
        host.advance(Duration::from_millis(250));
        host.tick();
    }
}

#[test]
fn the_whole_body_goes_to_the_service_and_then_on() {
    let host = gate_with_flag();
    let stream = read(&host).body("123", false).body("", false).body("45678", false);
    assert_eq!(host.callouts().len(), 0, "the end has not come");
    stream.body("", true);
    assert_eq!(asked(&host), is("12345678", "false"));
    assert_eq!(host.callout().headers.get("content-length").unwrap(), "8");
    answer(&host, YES);
    assert_eq!(stream.upstream_body(), b"12345678");
    assert_eq!(told(&stream, "x-user-id").unwrap(), "u7");
}

#[test]
fn one_byte_more_is_413() {
    let host = gate_with_flag();
    let stream = read(&host).body("12345678", false).body("9", false);
    assert_eq!(status(&stream), Some(413));
    assert_eq!((host.callouts().len(), stream.upstream_body().len()), (0, 0));
    assert_eq!(decision(&host), "body_too_large body_too_large");
}

#[test]
fn a_part_is_sent_where_the_policy_says_so() {
    let host = gate_with_flag();
    let stream = upload(&host, "/taste/a").body("123456789", false).body("abc", true);
    assert_eq!(asked(&host), is("12345678", "true"));
    answer(&host, YES);
    assert_eq!(stream.upstream_body(), b"123456789abc");
    let whole = upload(&host, "/taste/a").body("12345678", true);
    assert_eq!(asked(&host), is("12345678", "false"));
    answer(&host, NO);
    assert_eq!(status(&whole), Some(403));
}

#[test]
fn trailers_end_a_body() {
    let host = gate_with_flag();
    let stream = read(&host)
        .body("1234", false)
        .trailers(&[("x-user-id", "root"), ("x-sum", "1")]);
    assert_eq!(asked(&host), is("1234", "false"));
    assert_eq!(stream.upstream_trailers(), None);
    answer(&host, YES);
    assert_eq!(stream.upstream_body(), b"1234");
    assert_eq!(stream.upstream_trailers().unwrap().names(), ["x-sum"]);
}

#[test]
fn a_request_without_a_body_asks_at_once() {
    let host = gate();
    let stream = known(&host, "/read/a");
    assert_eq!(host.callout().body, b"");
    answer(&host, YES);
    assert!(stream.upstream().is_some());
}

#[test]
fn without_the_hosts_flag_the_caller_is_told_after_a_second_and_not_earlier() {
    let host = gate();
    let stream = read(&host).body("1234", true);
    wait(&host, 3);
    host.advance(Duration::from_millis(249));
    host.tick();
    assert!(stream.is_paused());
    host.advance(Duration::from_millis(1));
    host.tick();
    // `on_failure: allow` of this authenticator does not cover the operator's mistake.
    assert_eq!(status(&stream), Some(503));
    assert!(
        stream
            .reply()
            .unwrap()
            .text()
            .contains("allow_on_headers_stop_iteration: true")
    );
    assert_eq!((stream.upstream(), host.callouts().len()), (None, 0));
    assert_eq!(decision(&host), "auth_unavailable body_unseen");
    let line = decisions(&host).remove(0);
    assert_eq!(line["level"], "info");
    assert!(
        line["msg"]
            .as_str()
            .unwrap()
            .contains("allow_on_headers_stop_iteration")
    );
    assert_eq!(
        host.metric("meshgate_callouts_total.authenticator=reader.result=body_unseen"),
        Some(1)
    );
    wait(&host, 8);
    stream.done();
    assert_eq!(decisions(&host).len(), 1);
}

#[test]
fn a_slow_body_is_waited_for_once_it_began() {
    let host = gate_with_flag();
    let stream = read(&host).body("12", false);
    wait(&host, 20);
    assert_eq!(status(&stream), None);
    stream.body("34", true);
    assert_eq!(asked(&host), is("1234", "false"));
    answer(&host, YES);
    assert_eq!(stream.upstream_body(), b"1234");
}

#[test]
fn observing_lets_a_body_go_on_that_never_shows() {
    let policy = POLICY.replace(r#""version": 1,"#, r#""version": 1, "mode": "observe","#);
    let host = serving(&policy, options());
    let stream = read(&host).body("1234", true);
    wait(&host, 4);
    assert_eq!(stream.upstream_body(), b"1234");
    assert_eq!(stream.upstream().unwrap().get("authorization").unwrap(), CREDENTIAL.1);
    assert_eq!(decision(&host), "auth_unavailable body_unseen");
    let flag = crate::host::HostOptions {
        allow_on_headers_stop_iteration: true,
        ..options()
    };
    let host = serving(&policy, flag);
    let late = read(&host);
    wait(&host, 4);
    late.body("1234", false).body("5", false).trailers(&[("x-sum", "1")]);
    assert_eq!(late.upstream_body(), b"12345");
    assert_eq!(late.upstream_trailers().unwrap().names(), ["x-sum"]);
}

/// Ten thousand callers who leave at every stage. What the filter still keeps of them, a tick would end.
#[test]
fn callers_who_leave_leave_nothing() {
    let host = gate_with_flag();
    for _ in 0..100 {
        for n in 0..100 {
            let stream = match n % 4 {
                0 => read(&host),
                1 => read(&host).body("123", false),
                2 => read(&host).body("123", true),
                _ => known(&host, "/gate/a"),
            };
            stream.done();
            assert_eq!(status(&stream), None);
        }
        let late = host.callouts();
        assert_eq!(late.len(), 50, "the calls are the root's and live on");
        host.take_calls();
        for callout in late {
            host.answer(callout.token, YES, "");
        }
        let chosen = host.take_calls();
        let streams = chosen.iter().filter(|call| {
            (call.starts_with("set_effective_context") && !call.ends_with(" 1"))
                || call.contains("request_headers")
                || call.contains("continue")
                || call.contains("local_response")
        });
        assert_eq!(streams.count(), 0, "nobody is there to hear: {chosen:?}");
    }
    wait(&host, 8);
    for call in host.take_calls() {
        let idle = call.starts_with("get_") || call == "set_effective_context 1";
        assert!(idle, "somebody was still kept: {call}");
    }
    assert_eq!(decisions(&host).len(), 0);
    assert_eq!((host.callouts().len(), host.cancelled().len()), (0, 0));
}

#[test]
fn a_caller_who_left_is_not_answered_by_the_tick() {
    let host = gate();
    let (gone, stays) = (read(&host), read(&host));
    gone.done();
    wait(&host, 4);
    assert_eq!((status(&gone), status(&stays)), (None, Some(503)));
    assert_eq!(host.count("send_local_response 503"), 1);
}

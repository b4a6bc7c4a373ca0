//! Every way an answer can come out, or not come.

use crate::gate::*;
use crate::host::{Cluster, HeaderMap, Host};
use std::time::Duration;

/// What becomes of a known caller on a strict rule and on one with `on_failure: allow`.
fn outcomes(answer: impl Fn(&Host)) -> (String, String) {
    let run = |path: &str| {
        let host = gate();
        let stream = known(&host, path);
        answer(&host);
        let went_on = stream.upstream().is_some();
        assert_ne!(
            went_on,
            status(&stream).is_some(),
            "answered or refused, and one of both"
        );
        if let Some(upstream) = stream.upstream() {
            assert_eq!(upstream.get("x-user-id"), None, "nobody has no name");
        }
        format!("{} {}", status(&stream).unwrap_or(200), decision(&host))
    };
    (run("/gate/a"), run("/lenient/a"))
}

#[track_caller]
fn fails_as(cause: &str, answer: impl Fn(&Host)) {
    let (strict, lenient) = outcomes(answer);
    assert_eq!(strict, format!("503 auth_unavailable {cause}"));
    assert_eq!(lenient, format!("200 failed_open {cause}"));
}

#[test]
fn a_call_that_cannot_be_made() {
    for (cluster, cause) in [
        (Cluster::Unknown, "unknown_cluster"),
        (Cluster::NoHealthyHost, "no_host"),
    ] {
        let run = |path: &str| {
            let host = gate();
            host.set_cluster("auth", cluster);
            let stream = upload(&host, path).body("x", true);
            assert_eq!(host.count("continue_stream"), 0, "decided within the callback");
            assert_eq!(decisions(&host)[0]["cluster"], "auth", "which one it is");
            (status(&stream), stream.upstream_body(), decision(&host))
        };
        assert_eq!(run("/gate/a"), (Some(503), vec![], format!("auth_unavailable {cause}")));
        assert_eq!(run("/lenient/a"), (None, b"x".to_vec(), format!("failed_open {cause}")));
    }
}

#[test]
fn an_answer_that_does_not_come() {
    fails_as("reset", |host| host.answer_failed(host.callout().token));
    fails_as("timeout", |host| host.answer_timed_out(host.callout().token));
    fails_as("timeout", |host| host.advance(Duration::from_millis(500)));
    fails_as("connect_failure", |host| host.answer_refused(host.callout().token));
    fails_as("server_error", |host| answer(host, &[(":status", "500")]));
}

#[test]
fn an_answer_that_says_nothing() {
    fails_as("garbled", |host| answer(host, &[("x-auth-user", "u7")]));
    fails_as("garbled", |host| {
        answer(host, &[(":status", "2OO"), ("x-auth-user", "u7")])
    });
    fails_as("bad_answer", |host| answer(host, &[(":status", "200")]));
    fails_as("bad_answer", |host| {
        answer(host, &[(":status", "200"), ("x-auth-user", "")])
    });
    let twice = [(":status", "200"), ("x-auth-user", "u7"), ("x-auth-user", "u8")];
    fails_as("bad_answer", |host| answer(host, &twice));
    let bytes = HeaderMap::of(&[(&b":status"[..], &b"200"[..]), (b"x-auth-user", b"\xff\xfe")]);
    fails_as("bad_answer", |host| {
        host.answer_map(host.callout().token, bytes.clone(), "", &[])
    });
    for raw in [
        &b"\x01"[..],
        b"\xff\xff\xff\xff",
        b"\x01\0\0\0\xff\xff\xff\x7f\x01\0\0\0a",
    ] {
        fails_as("garbled", |host| {
            host.set_raw_map("answer_headers", raw);
            answer(host, YES);
        });
    }
}

#[test]
fn an_answer_is_heard_once_and_by_its_own_stream() {
    let host = gate();
    let (first, second) = (known(&host, "/gate/a"), known(&host, "/gate/a"));
    let tokens: Vec<u32> = host.callouts().iter().map(|callout| callout.token).collect();
    first.done();
    host.answer(tokens[0], YES, "");
    assert!(second.is_paused(), "another's answer");
    host.answer(tokens[1], YES, "");
    assert_eq!(told(&second, "x-user-id").unwrap(), "u7");
    assert_eq!(decisions(&host).len(), 1);
}

#[test]
fn a_denials_page_reaches_the_caller() {
    let host = gate();
    let stream = known(&host, "/gate/a");
    let headers = [
        (":status", "402"),
        ("content-type", "text/html"),
        ("x-plan", "free"),
        ("x-user-id", "root"),
    ];
    host.answer(host.callout().token, &headers, "<h1>pay</h1>");
    let reply = stream.reply().unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (402, "<h1>pay</h1>"));
    assert_eq!(reply.headers.get("x-plan").unwrap(), "free");
    assert_eq!(reply.headers.get("x-user-id"), None);
    assert_eq!(host.count("get_buffer_bytes answer_body"), 1);
}

#[test]
fn the_body_of_an_allowing_answer_is_not_read() {
    let host = gate();
    known(&host, "/gate/a");
    host.answer(host.callout().token, YES, "x".repeat(100_000));
    assert_eq!(host.count("get_buffer_bytes"), 0);
}

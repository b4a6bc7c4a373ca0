//! Body, trailers and response: nothing passes before its time.

use crate::gate::*;
use crate::host::{HeaderMap, Stream};

fn nothing_passed(stream: &Stream) -> bool {
    stream.upstream().is_none() && stream.upstream_body().is_empty() && stream.upstream_trailers().is_none()
}

#[test]
fn nothing_reaches_the_upstream_before_the_verdict() {
    both_gates(|host| {
        let stream = upload(&host, "/gate/a");
        stream
            .body("he", false)
            .body("llo", false)
            .trailers(&[("x-sum", "1"), ("x-user-id", "root")]);
        assert!(nothing_passed(&stream) && stream.is_paused());
        answer(&host, YES);
        assert_eq!(told(&stream, "x-user-id").unwrap(), "u7");
        assert_eq!(stream.upstream_body(), b"hello");
        assert_eq!(stream.upstream_trailers().unwrap(), HeaderMap::of(&[("x-sum", "1")]));
    });
}

#[test]
fn nothing_ever_reaches_the_upstream_after_a_refusal() {
    both_gates(|host| {
        let stream = upload(&host, "/gate/a").body("hello", false);
        answer(&host, NO);
        assert_eq!(status(&stream), Some(403));
        stream.body("more", false).trailers(&[("x-sum", "1")]);
        assert!(nothing_passed(&stream));

        let refused = host.request_with_body(&headers("/gate/a", &[])).body("hello", true);
        assert_eq!(status(&refused), Some(401));
        assert!(nothing_passed(&refused));
    });
}

#[test]
fn trailers_are_stripped_on_public_paths_too() {
    both_gates(|host| {
        let stream = host.request_with_body(&headers("/public/a", &[])).body("hello", false);
        stream.trailers(&[("x_user.id", "root"), ("x-internal-a", "1"), ("x-sum", "1")]);
        assert_eq!(stream.upstream_trailers().unwrap(), HeaderMap::of(&[("x-sum", "1")]));
    });
}

#[test]
fn an_upgrade_waits_for_its_verdict_and_then_streams() {
    both_gates(|host| {
        let upgrade = [
            CREDENTIAL,
            ("connection", "Upgrade, x-user-id"),
            ("upgrade", "websocket"),
        ];
        let stream = host
            .request_with_body(&headers("/gate/chat", &upgrade))
            .body("early", false);
        assert!(nothing_passed(&stream));
        answer(&host, YES);
        stream.body("frame", false);
        assert_eq!(stream.upstream_body(), b"earlyframe");
        assert_eq!(
            told(&stream, "connection").unwrap(),
            "upgrade",
            "lists no header of ours"
        );
        assert_eq!(told(&stream, "upgrade").unwrap(), "websocket");
    });
}

const ANSWER: &[(&str, &str)] = &[
    (":status", "200"),
    ("x-auth-user", "u7"),
    ("set-cookie", "session=new"),
    ("set-cookie", "other=1"),
    ("x-secret", "s"),
];

#[test]
fn what_is_for_the_client_is_added_once() {
    let host = gate();
    let stream = known(&host, "/gate/a");
    answer(&host, ANSWER);
    let response = [(":status", "200"), ("set-cookie", "app=1")];
    let client = stream.response_headers(&response).unwrap();
    assert_eq!(client.all("set-cookie"), ["app=1", "session=new", "other=1"]);
    assert_eq!(client.get("x-secret"), None);
    let again = stream.response_headers(&response).unwrap();
    assert_eq!(again.all("set-cookie"), ["app=1"], "a second response of one stream");
}

#[test]
fn a_refusal_carries_nothing_that_was_for_the_client() {
    let host = gate();
    // Known, but not staff.
    let stream = known(&host, "/gate/staff");
    answer(&host, ANSWER);
    assert_eq!(status(&stream), Some(403));
    let client = stream.client().unwrap();
    assert_eq!(client.all("set-cookie"), Vec::<String>::new());
    assert_eq!(client.get("cache-control").unwrap(), "no-store");
    assert_eq!(host.count("add_header_map_value response_headers"), 0);
}

#[test]
fn a_request_that_goes_on_is_not_touched_any_more() {
    let host = gate();
    let stream = upload(&host, "/gate/a");
    answer(&host, YES);
    host.take_calls();
    stream.body("hello", true);
    stream.response_headers(&[(":status", "200")]);
    stream.done();
    assert_eq!(host.take_calls(), Vec::<String>::new());
}

#[test]
fn each_stream_gets_its_own_answer() {
    let host = gate();
    let streams: Vec<Stream> = (0..20).map(|_| known(&host, "/gate/a")).collect();
    for (n, callout) in host.callouts().iter().enumerate().rev() {
        let user = format!("u{n}");
        host.answer(callout.token, &[(":status", "200"), ("x-auth-user", &user)], "");
    }
    let users: Vec<_> = streams.iter().map(|s| told(s, "x-user-id").unwrap()).collect();
    assert_eq!(users, (0..20).map(|n| format!("u{n}")).collect::<Vec<_>>());
    assert_eq!(host.callouts().len(), 0);
}

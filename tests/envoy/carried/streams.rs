//! What takes as long as it takes: server-sent events, gRPC streams, WebSockets.

use super::*;
use crate::policies::decisions;
use crate::support::stub::End;

const ROUTES: Duration = Duration::from_millis(300);

fn short_route() -> Value {
    route(json!({"timeout": "0.3s"}))
}

#[test]
fn events_outlive_the_routes_timeout() {
    let events = |_: &Received| {
        let reply = Reply::ok()
            .header("content-type", "text/event-stream")
            .body("data: 1\n\ndata: 2\n\n");
        reply.end(End::RestAfter(ROUTES * 4))
    };
    for (upstream, whole) in [("{ timeout: none }", true), ("{}", false)] {
        let gate = builder(upstream).routes(short_route()).upstream(events).start();
        let seen = gate
            .h1()
            .try_send(&get("/events").header("accept", "text/event-stream"));
        let seen = seen.map(|response| response.text());
        match whole {
            true => assert_eq!(seen, Ok("data: 1\n\ndata: 2\n\n".to_owned())),
            false => assert!(seen.is_err(), "so the route has a timeout: {seen:?}"),
        }
    }
}

#[test]
fn a_grpc_stream_outlives_the_routes_timeout() {
    let stream = |_: &Received| {
        let reply = Reply::ok()
            .header("content-type", "application/grpc")
            .trailer("grpc-status", "0");
        reply
            .body("\0\0\0\0\u{1}a\0\0\0\0\u{1}b")
            .end(End::RestAfter(ROUTES * 4))
    };
    let call = post("/shop.v1.Orders/Watch", "\0\0\0\0\0")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (upstream, whole) in [("{ timeout: none }", true), ("{}", false)] {
        let gate = builder(upstream).routes(short_route()).upstream_h2(stream).start();
        let seen = gate.h2().try_send(&call);
        let ok = seen
            .as_ref()
            .is_ok_and(|response| response.trailers.text("grpc-status").as_deref() == Some("0"));
        assert_eq!(ok, whole, "{upstream}: {seen:?}");
    }
}

#[test]
fn a_websocket_is_decided_once_and_outlives_the_timeout() {
    let gate = builder("{ timeout: 500ms, retry: { attempts: 2, retry_on: [503], per_try_timeout: 300ms } }")
        .upstream(|_| Reply::upgrade())
        .websocket()
        .start();
    let mut tunnel = gate
        .h1()
        .upgrade(&get("/ws"))
        .unwrap_or_else(|refused| panic!("{}", refused.text()));
    let begin = Instant::now();
    let mut turns = 0;
    until("three times its timeout", SHORT, || {
        tunnel.write(b"ping");
        assert_eq!(tunnel.read_exactly(4), b"ping");
        turns += 1;
        (begin.elapsed() > Duration::from_millis(1500)).then_some(())
    });
    assert!(turns > 1);
    assert_eq!((gate.auth.count(), gate.upstream.count()), (1, 1));
    assert_eq!(decisions(&gate, "/ws", 1).len(), 1);
}

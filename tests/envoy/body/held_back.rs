//! Nothing of a request reaches the upstream before the verdict.
use crate::policies::{alice, asking};
use crate::support::*;

#[test]
fn five_megabytes_wait_for_the_verdict_and_arrive_whole() {
    let gate = Gate::builder()
        .policy(asking("", ""))
        .auth(|_| alice().delay(std::time::Duration::from_millis(200)))
        .start();
    let body = crowd::five_megabytes();
    for wire in Wire::BOTH {
        let response = gate.client(wire).send(&post("/upload", body.clone()));
        assert_eq!(response.status, 200, "{wire:?}");
        assert!(gate.upstream.last().body == body, "{wire:?}: the bytes differ");
        assert_eq!(gate.upstream.last().header("x-user-id").as_deref(), Some("alice"));
    }
}

/// With the flag Envoy goes on with the body while only the headers are held back.
#[test]
fn with_the_hosts_flag_the_body_waits_too() {
    for flag in [false, true] {
        let hang = Latch::new();
        let opened = hang.clone();
        let gate = Gate::builder()
            .policy(asking("", ""))
            .auth(move |_| {
                opened.wait(SHORT);
                Reply::status(403)
            })
            .allow_on_headers_stop_iteration(flag)
            .start();
        let mut pending = Vec::new();
        for wire in Wire::BOTH {
            for request in [
                post("/", "hello"),
                post("/", "hello").chunked(),
                post("/", "hello").trailer("x-up", "1"),
                post("/", vec![b'x'; 200_000]),
            ] {
                pending.push(gate.client(wire).start(&request).unwrap());
            }
        }
        gate.auth.wait_for(pending.len());
        // All were taken in by Envoy: what would go on has had its chance when the rest is refused.
        hang.open();
        for request in pending {
            assert_eq!(request.response().unwrap().status, 403, "flag {flag}");
        }
        assert_eq!(
            gate.envoy.stat("cluster.upstream.upstream_rq_total").unwrap_or(0),
            0,
            "flag {flag}"
        );
        assert_eq!(gate.upstream.connections(), 0, "flag {flag}");
    }
}

#[test]
fn with_the_hosts_flag_an_allowed_body_arrives_whole() {
    let gate = Gate::builder()
        .policy(asking("", ""))
        .auth(|_| alice().delay(std::time::Duration::from_millis(100)))
        .allow_on_headers_stop_iteration(true)
        .start();
    for wire in Wire::BOTH {
        for request in [
            post("/", "hello"),
            post("/", "hello").chunked(),
            post("/", "hello").trailer("x-up", "1"),
            post("/", vec![b'x'; 500_000]),
        ] {
            assert_eq!(gate.client(wire).send(&request).status, 200, "{wire:?}");
            assert!(gate.upstream.last().body == request.body, "{wire:?}");
            assert_eq!(gate.upstream.last().trailers, request.trailers, "{wire:?}");
        }
    }
}

/// A filter with the flag cannot slow the client down: Envoy holds what waits in memory, up to the
/// listener's limit (1 MiB) on HTTP/1 and up to the stream's window on HTTP/2. Without the flag the
/// same upload waits at the client.
#[test]
fn with_the_hosts_flag_more_than_envoys_buffer_is_413_over_http1() {
    for callout in [
        "",
        "send: { body: { max: 1KiB, allow_partial: true, host_flag: allow_on_headers_stop_iteration } }",
    ] {
        let gate = Gate::builder()
            .policy(asking(callout, ""))
            .auth(|_| alice().delay(std::time::Duration::from_millis(300)))
            .allow_on_headers_stop_iteration(true)
            .start();
        let upload = post("/upload", crowd::five_megabytes());
        assert_eq!(gate.h1().send(&upload).status, 413, "{callout}");
        assert_eq!(gate.upstream.count(), 0, "{callout}");
        assert_eq!(gate.h2().send(&upload).status, 200, "{callout}");
        assert!(gate.upstream.last().body == upload.body, "{callout}: the bytes differ");
        assert_eq!(gate.send(&post("/", "small")).status, 200);
        gate.envoy.assert_no_trap();
    }
}

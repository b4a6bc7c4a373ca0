//! What the service is sent.
use crate::policies::{alice, asking};
use crate::support::*;

#[track_caller]
fn gate(callout: &str) -> Gate {
    Gate::builder().policy(asking(callout, "")).auth(|_| alice()).start()
}

#[test]
fn the_credential_goes_to_the_service_and_stops_there() {
    let gate = gate("credential: ['header:authorization', 'header:x-key', 'cookie:session*']");
    for wire in Wire::BOTH {
        gate.auth.clear();
        let request = get("/")
            .header("authorization", "Bearer abc")
            .header("x-key", "k")
            .header("cookie", "theme=dark; session=1")
            .header("cookie", "session_id=2; lang=en");
        assert_eq!(gate.client(wire).send(&request).status, 200);
        let asked = gate.auth.last();
        assert_eq!(asked.header("authorization").as_deref(), Some("Bearer abc"), "{wire:?}");
        assert_eq!(asked.header("x-key").as_deref(), Some("k"));
        assert_eq!(asked.headers.all("cookie"), [b"session=1; session_id=2"], "{wire:?}");
        let seen = gate.upstream.last();
        assert!(
            !seen.has("authorization") && !seen.has("x-key"),
            "{wire:?}: {:?}",
            seen.headers
        );
        assert_eq!(seen.headers.all("cookie"), [b"theme=dark; lang=en"], "{wire:?}");
    }
}

#[test]
fn without_a_credential_nobody_is_asked() {
    let gate = gate("credential: ['header:authorization', 'cookie:session']");
    for request in [get("/"), get("/").header("cookie", "sessionx=1; a=session")] {
        assert_eq!(gate.send(&request).status, 401);
        assert_eq!((gate.auth.count(), gate.upstream.count()), (0, 0));
    }
    for request in [
        get("/")
            .header("authorization", "Bearer a")
            .header("authorization", "Bearer b"),
        get("/").header("authorization", "Bearer a, Bearer b"),
        get("/").header("cookie", "session=1; session=2"),
    ] {
        for wire in Wire::BOTH {
            assert_eq!(gate.client(wire).send(&request).status, 400, "{wire:?}");
            assert_eq!((gate.auth.count(), gate.upstream.count()), (0, 0));
        }
    }
}

#[test]
fn trace_headers_and_the_request_id_go_along() {
    let gate = Gate::builder()
        .policy(asking("", ""))
        .auth(|_| alice())
        .hcm(serde_json::json!({"preserve_external_request_id": true}))
        .start();
    const TRACE: [(&str, &str); 6] = [
        ("x-request-id", "11111111-2222-4333-8444-555555555555"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "vendor=1"),
        ("b3", "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1"),
        ("x-b3-traceid", "0af7651916cd43dd8448eb211c80319c"),
        ("x-b3-sampled", "1"),
    ];
    let request = TRACE
        .iter()
        .fold(get("/"), |request, (name, value)| request.header(name, value));
    gate.send(&request);
    for (name, value) in TRACE {
        assert_eq!(gate.auth.last().header(name).as_deref(), Some(value), "{name}");
        assert_eq!(gate.upstream.last().header(name).as_deref(), Some(value), "{name}");
    }
    // Envoy's own id, where the client brings none.
    gate.send(&get("/"));
    let id = gate.auth.last().header("x-request-id").expect("an id");
    assert_eq!(gate.upstream.last().header("x-request-id"), Some(id));
}

/// Whatever the patterns say.
#[test]
fn what_belongs_to_one_connection_or_to_envoy_is_never_sent_on() {
    let gate = gate("send: { headers: ['*'] }");
    for wire in Wire::BOTH {
        let request = post("/", "hello")
            .header("x-plain", "1")
            .header("te", "trailers")
            .header("x-user-id", "forged")
            .header("x-envoy-retry-on", "5xx")
            .header("x-forwarded-host", "evil.example")
            .header("x-forwarded-for", "6.6.6.6")
            .header("forwarded", "for=6.6.6.6")
            .header("x-original-url", "/admin");
        assert_eq!(gate.client(wire).send(&request).status, 200);
        let asked = gate.auth.last();
        assert_eq!(asked.header("x-plain").as_deref(), Some("1"));
        assert_eq!(asked.header("content-length").as_deref(), Some("0"));
        assert_eq!(asked.headers.all("host"), [b"test"]);
        for name in [
            "te",
            "x-user-id",
            "x-envoy-retry-on",
            "x-forwarded-host",
            "x-forwarded-for",
            "x-forwarded-proto",
            "forwarded",
            "x-original-url",
            "transfer-encoding",
        ] {
            assert!(!asked.has(name), "{wire:?}: {name} in {:?}", asked.headers);
        }
    }
}

#[test]
fn bytes_that_are_no_text_do_not_stop_the_question() {
    let gate = gate("send: { headers: [x-bytes] }");
    for wire in Wire::BOTH {
        let response = gate.client(wire).send(&get("/").header("x-bytes", b"a\xffb"));
        assert_eq!(response.status, 200, "{wire:?}");
        assert_eq!(gate.upstream.last().headers.get("x-bytes"), Some(&b"a\xffb"[..]));
    }
    gate.envoy.assert_no_trap();
}

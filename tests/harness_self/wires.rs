//! What goes in comes out, byte for byte, over both wires.
use serde_json::json;

use crate::support::*;

#[test]
fn both_wires_carry_bytes_order_and_duplicates() {
    let gate = Gate::builder().start();
    for wire in Wire::BOTH {
        gate.upstream.clear();
        let request = post("/a/%2e%2e/b?q=1", "hello")
            .host("Shop.EXAMPLE.com")
            .header("x-twice", "1")
            .header("x-bytes", b"a\xff\xfe")
            .header("x-twice", "2");
        let response = gate.client(wire).send(&request);
        assert_eq!(response.status, 200, "{wire:?}");
        assert_eq!(response.json()["method"], "POST");
        assert_eq!(response.json()["body_length"], 5);
        let seen = gate.upstream.last();
        assert_eq!(seen.path(), "/a/%2e%2e/b?q=1");
        assert_eq!(seen.header("host").as_deref(), Some("Shop.EXAMPLE.com"));
        assert_eq!(seen.headers.all("x-twice"), [b"1", b"2"]);
        assert_eq!(seen.headers.get("x-bytes"), Some(&b"a\xff\xfe"[..]));
        assert_eq!(seen.body, b"hello");
        assert!(seen.complete);
    }
}

#[test]
fn both_wires_carry_trailers_both_ways() {
    let gate = Gate::builder()
        .upstream(|_| {
            Reply::ok()
                .header("x-two", "a")
                .header("x-two", "b")
                .body("body")
                .trailer("x-end", b"z\xff")
        })
        .start();
    for wire in Wire::BOTH {
        let response = gate
            .client(wire)
            .send(&post("/", "up").trailer("x-up", b"u\xff").trailer("x-up", "2"));
        assert_eq!((response.status, response.text().as_str()), (200, "body"), "{wire:?}");
        assert_eq!(response.headers.all("x-two"), [b"a", b"b"]);
        assert_eq!(response.trailers.get("x-end"), Some(&b"z\xff"[..]), "{wire:?}");
        assert_eq!(
            gate.upstream.last().trailers.all("x-up"),
            [&b"u\xff"[..], b"2"],
            "{wire:?}"
        );
    }
}

#[test]
fn an_http2_upstream_gets_and_sends_trailers() {
    let gate = Gate::builder()
        .upstream_h2(|r| Reply::echo(r).trailer("grpc-status", "0"))
        .start();
    let response = gate
        .h2()
        .send(&post("/svc/Method", "msg").header("te", "trailers").trailer("x-up", "1"));
    assert_eq!(response.json()["body_length"], 3);
    assert_eq!(response.trailers.text("grpc-status").as_deref(), Some("0"));
    let seen = gate.upstream.last();
    assert_eq!(seen.header(":path").as_deref(), Some("/svc/Method"));
    assert_eq!(seen.header(":authority").as_deref(), Some("test"));
    assert_eq!(seen.trailers.text("x-up").as_deref(), Some("1"));
}

#[test]
fn a_large_body_arrives_whole_on_both_wires() {
    let gate = Gate::builder().start();
    for wire in Wire::BOTH {
        let body = crowd::five_megabytes();
        let response = gate.client(wire).send(&post("/upload", body.clone()));
        assert_eq!(response.json()["body_length"], body.len(), "{wire:?}");
        assert!(gate.upstream.last().body == body, "{wire:?}: the bytes differ");
    }
    let response = gate.send(&post("/upload", "chunk").chunked());
    assert_eq!(response.json()["body_length"], 5);
}

#[test]
fn raw_bytes_reach_envoy_as_written() {
    let gate = Gate::builder().start();
    let response = gate
        .h1()
        .raw("GET /x HTTP/1.1\r\nHost: a\r\nX-Odd:\tv \r\n\r\n")
        .unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(gate.upstream.last().header("x-odd").as_deref(), Some("v"));
    assert_eq!(gate.h1().raw("GET /x HTTP/1.1\r\nHost a\r\n\r\n").unwrap().status, 400);
    let response = gate
        .h1()
        .raw("POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi")
        .unwrap();
    assert_eq!((response.status, response.informational), (200, vec![100]));
}

#[test]
fn raw_fields_reach_envoy_as_written() {
    // How long Envoy lets a connection with a protocol error linger; a second by itself.
    let gate = Gate::builder().hcm(json!({"delayed_close_timeout": "0.02s"})).start();
    let send = |path: &[u8], authority: &[u8], more: &[(&[u8], &[u8])], body: &[u8]| {
        let mut fields: Vec<(&[u8], &[u8])> = vec![
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":authority", authority),
            (b":path", path),
        ];
        fields.extend(more);
        gate.h2().raw_fields(&fields, body)
    };
    let long = vec![b'l'; 5000];
    let response = send(b"/a\\b\"<>^", b"Shop.example.com.:443", &[(b"x-long", &long)], b"hello").unwrap();
    assert_eq!((response.status, &response.json()["body_length"]), (200, &json!(5)));
    assert_eq!(gate.upstream.last().headers.get("x-long"), Some(&long[..]));
    assert_eq!(
        gate.upstream.last().header("host").as_deref(),
        Some("Shop.example.com.:443")
    );
    assert_eq!(gate.upstream.last().path(), "/a\\b\"<>^");
    // A fragment is refused by Envoy itself.
    assert_eq!(send(b"/a#b", b"a", &[], b"").unwrap().status, 400);
    for status in [201, 204, 234, 404, 418, 503, 567, 589] {
        gate.upstream.answer(move |_| Reply::status(status));
        assert_eq!(send(b"/", b"a", &[], b"").unwrap().status, status);
    }
    for hostile in [
        (&b"X-Upper"[..], &b"v"[..]),
        (b"x-nul", b"a\0b"),
        (b"x-crlf", b"a\r\nb"),
        (b":path", b"/two"),
    ] {
        let count = gate.upstream.count();
        let outcome = send(b"/", b"a", &[hostile], b"");
        assert_eq!(outcome.err(), Some(Failure::Closed), "{hostile:?}");
        assert_eq!(gate.upstream.count(), count, "{hostile:?}");
    }
}

#[test]
fn one_connection_carries_several_requests() {
    let gate = Gate::builder().start();
    let mut connection = gate.h1().connect();
    for i in 0..3 {
        assert_eq!(
            connection.send(&get(format!("/{i}"))).unwrap().json()["path"],
            format!("/{i}")
        );
    }
    assert_eq!(connection.send(&request("HEAD", "/")).unwrap().body, b"");
    assert_eq!(gate.envoy.stat("http.ingress.downstream_cx_total"), Some(1));
    assert_eq!(gate.upstream.connections(), 1);
}

#[test]
fn an_upgrade_becomes_a_tunnel() {
    let gate = Gate::builder().websocket().upstream(|_| Reply::upgrade()).start();
    let mut tunnel = gate
        .h1()
        .upgrade(&get("/ws"))
        .unwrap_or_else(|r| panic!("refused with {}", r.status));
    for message in [&b"ping"[..], b"\x00\xff"] {
        tunnel.write(message);
        assert_eq!(tunnel.read_exactly(message.len()), message);
    }
    let refused = Gate::builder().start();
    assert_eq!(refused.h1().upgrade(&get("/ws")).err().map(|r| r.status), Some(403));
}

//! A WebSocket through the filter: one question, then bytes both ways.
use crate::policies::{alice, asking};
use crate::support::*;

fn builder(callout: &str) -> GateBuilder {
    Gate::builder()
        .policy(asking(callout, ""))
        .auth(|_| alice())
        .upstream(|_| Reply::upgrade())
        .websocket()
}

#[track_caller]
fn talks(gate: &Gate, request: &Request) {
    let mut tunnel = gate
        .h1()
        .upgrade(request)
        .unwrap_or_else(|r| panic!("refused with {}: {}", r.status, r.text()));
    for message in [&b"ping"[..], b"\x00\xff", &[7; 100_000]] {
        tunnel.write(message);
        assert!(tunnel.read_exactly(message.len()) == message);
    }
}

#[test]
fn an_allowed_upgrade_carries_bytes_both_ways_after_one_question() {
    let gate = builder("credential: ['cookie:session']").start();
    talks(&gate, &get("/ws").header("cookie", "session=1"));
    assert_eq!(gate.auth.count(), 1);
    let asked = gate.auth.last();
    assert_eq!((asked.method.as_str(), asked.path().as_str()), ("GET", "/ws"));
    for name in ["connection", "upgrade", "sec-websocket-key"] {
        assert!(!asked.has(name), "{name}: {:?}", asked.headers);
    }
    let seen = gate.upstream.last();
    assert_eq!(seen.header("x-user-id").as_deref(), Some("alice"));
    assert_eq!(seen.header("upgrade").as_deref(), Some("websocket"));
    assert!(seen.has("sec-websocket-key") && !seen.has("cookie"));
}

#[test]
fn a_refused_upgrade_gets_no_101() {
    let gate = builder("credential: ['cookie:session']").start();
    let nobody = gate.h1().upgrade(&get("/ws")).err().expect("no tunnel");
    assert_eq!((nobody.status, gate.auth.count()), (401, 0));
    for (reply, status) in [(403, 403), (500, 503)] {
        gate.auth.answer(move |_| Reply::status(reply));
        let refused = gate.h1().upgrade(&get("/ws").header("cookie", "session=1"));
        assert_eq!(refused.err().expect("no tunnel").status, status);
    }
    assert_eq!(gate.upstream.count(), 0);
}

/// The next hop would drop the headers that `connection` lists: ours, if a caller lists them.
#[test]
fn an_upgrade_cannot_list_our_headers_away() {
    let gate = builder("").start();
    for forged in [
        "Upgrade, x-user-id",
        "x-user-id, upgrade",
        "keep-alive, Upgrade,x-user-id",
    ] {
        let raw = format!(
            "GET /ws HTTP/1.1\r\nhost: test\r\nconnection: {forged}\r\nupgrade: websocket\r\nx-user-id: forged\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        assert_eq!(gate.h1().raw(raw).unwrap().status, 101, "{forged}");
        let seen = gate.upstream.last();
        assert_eq!(seen.headers.all("x-user-id"), [b"alice"], "{forged}");
        let connection = seen.header("connection").unwrap_or_default();
        assert!(connection.eq_ignore_ascii_case("upgrade"), "{forged}: {connection}");
    }
}

/// What follows an upgrade is no body: nobody waits for its end.
#[test]
fn a_policy_that_sends_bodies_asks_about_an_upgrade_at_once() {
    for flag in [false, true] {
        let gate = builder("send: { body: { max: 1KiB, host_flag: allow_on_headers_stop_iteration } }")
            .allow_on_headers_stop_iteration(flag)
            .start();
        talks(&gate, &get("/ws"));
        assert_eq!(gate.auth.count(), 1, "flag {flag}");
        assert_eq!(gate.auth.last().header("content-length").as_deref(), Some("0"));
    }
}

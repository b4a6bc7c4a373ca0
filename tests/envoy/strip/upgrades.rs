use super::ways;
use crate::seen::see;
use crate::support::{Gate, Reply, Request, Wire, get};
use serde_json::json;

fn gate(answer: fn() -> Reply) -> Gate {
    ways::builder()
        .websocket()
        .hcm(json!({"http2_protocol_options": {"allow_connect": true}}))
        .upstream(move |_| answer())
        .start()
}

fn handshake(path: &str) -> Request {
    get(path)
        .header("authorization", "Bearer ada")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

/// The next hop drops what `connection` lists: a client would take our headers away there.
#[test]
fn an_upgrade_takes_no_identity_header_away_behind_the_filter() {
    let gate = gate(Reply::upgrade);
    let rows: [&[&str]; 9] = [
        &["Upgrade"],
        &["upgrade, x-user-id"],
        &["x-user-id, upgrade"],
        &["keep-alive,Upgrade,X-User-Id,x-tenant-id"],
        &["upgrade,\tx-user-id\t,"],
        &["upgrade", "x-user-id"],
        &["x-user-id", "upgrade"],
        &["upgrade, upgrade, x_user_id"],
        &["upgrade, close, x-user-id"],
    ];
    for (path, user) in [("/allowed/a", Some("ada")), ("/public/a", None), ("/open/a", None)] {
        for connection in rows {
            let add = |request: Request, value: &&str| request.header("connection", value);
            let request = connection.iter().fold(handshake(path), add);
            let seen = see(&gate, Wire::H1, &request.header("x-user-id", "forged"));
            let case = format!("{path}, connection {connection:?}");
            assert_eq!(seen.status, 101, "{case}: {}", seen.response.text());
            let headers = &seen.at_upstream().headers;
            assert_eq!(headers.text("x-user-id").as_deref(), user, "{case}");
            for value in headers.all("connection") {
                assert!(value.eq_ignore_ascii_case(b"upgrade"), "{case}: {headers:?}");
            }
        }
    }
}

#[test]
fn a_plain_request_takes_none_away_either() {
    let gate = ways::builder().start();
    for value in [
        "x-user-id",
        "keep-alive, X-User-Id",
        "close, x-user-id",
        "x-user-id, te",
    ] {
        let request = get("/allowed/a")
            .header("authorization", "Bearer ada")
            .header("connection", value);
        let seen = see(&gate, Wire::H1, &request);
        assert_eq!(seen.status, 200, "connection: {value}");
        let headers = &seen.at_upstream().headers;
        assert_eq!(headers.text("x-user-id").as_deref(), Some("ada"), "connection: {value}");
        assert_eq!(headers.get("connection"), None, "connection: {value}");
    }
}

#[test]
fn a_websocket_over_http_2_is_told_who_calls_and_forges_nothing() {
    // The upstream declines: an open tunnel would have no end to wait for.
    let gate = gate(|| Reply::status(403));
    for (path, user) in [("/allowed/a", Some("ada")), ("/public/a", None)] {
        let fields: [(&[u8], &[u8]); 9] = [
            (b":method", b"CONNECT"),
            (b":protocol", b"websocket"),
            (b":scheme", b"http"),
            (b":authority", b"test"),
            (b":path", path.as_bytes()),
            (b"sec-websocket-version", b"13"),
            (b"authorization", b"Bearer ada"),
            (b"x-user-id", b"forged"),
            (b"x_user_id", b"forged"),
        ];
        gate.upstream.clear();
        let response = gate.h2().raw_fields(&fields, b"");
        let received = gate.upstream.wait_for(1);
        let headers = &received[0].headers;
        assert_eq!(
            headers.all("x-user-id").len(),
            usize::from(user.is_some()),
            "{path}: {headers:?} {response:?}"
        );
        assert_eq!(headers.text("x-user-id").as_deref(), user, "{path}");
        assert!(!headers.contains("x_user_id"), "{path}");
    }
}

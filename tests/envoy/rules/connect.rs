use crate::policies::{account, knows_ada};
use crate::seen::Seen;
use crate::support::{Failure, Gate, Response, SHORT, Wire};
use serde_json::json;

fn gate(rules: &str) -> Gate {
    let policy = account(rules).replace(
        r#""ext_authz_http""#,
        r#""forward_auth","path":"/verify","authority":"auth.test""#,
    );
    Gate::builder()
        .policy(policy)
        .auth(knows_ada)
        .hcm(json!({"upgrade_configs": [{"upgrade_type": "CONNECT"}], "http2_protocol_options": {"allow_connect": true}}))
        .start()
}

/// The status alone: a tunnel has no end to wait for.
fn connect(gate: &Gate, wire: Wire, credential: &str) -> Seen {
    gate.auth.clear();
    gate.upstream.clear();
    let response: Result<Response, Failure> = match wire {
        Wire::H1 => {
            let mut connection = gate.h1().connect();
            let head = format!("CONNECT test:443 HTTP/1.1\r\nhost: test:443\r\nauthorization: {credential}\r\n\r\n");
            connection.write(head).unwrap();
            connection.read("HEAD")
        }
        Wire::H2 => gate.h2().raw_fields(
            &[
                (b":method", b"CONNECT"),
                (b":authority", b"test:443"),
                (b"authorization", credential.as_bytes()),
            ],
            b"",
        ),
    };
    let response = response.unwrap_or_default();
    Seen {
        status: response.status,
        response,
        auth: gate.auth.received(),
        upstream: gate.upstream.received(),
    }
}

#[test]
fn a_tunnel_meets_no_rule_that_does_not_list_connect() {
    let gate = gate("rules: [{ name: everything }]");
    for wire in Wire::BOTH {
        let seen = connect(&gate, wire, "Bearer ada");
        assert_eq!(seen.status, 403, "{wire:?}");
        assert!(seen.auth.is_empty() && seen.upstream.is_empty(), "{wire:?}: {seen:?}");
    }
}

#[test]
fn a_rule_that_lists_connect_asks_who_opens_the_tunnel() {
    let gate = gate("rules: [{ name: tunnel, match: { methods: [CONNECT] } }]");
    for wire in Wire::BOTH {
        let seen = connect(&gate, wire, "Bearer eve");
        assert_eq!((seen.status, seen.upstream.len()), (401, 0), "{wire:?}");
        let asked = seen.at_auth();
        assert_eq!(
            asked.header("x-forwarded-method").as_deref(),
            Some("CONNECT"),
            "{wire:?}"
        );
        assert_eq!(
            asked.header("x-forwarded-host").as_deref(),
            Some("test:443"),
            "{wire:?}"
        );
    }
    let mut connection = gate.h1().connect();
    connection
        .write("CONNECT test:443 HTTP/1.1\r\nhost: test:443\r\nauthorization: Bearer ada\r\nx-user-id: forged\r\n\r\n")
        .unwrap();
    let received = gate.upstream.wait_for_within(1, SHORT);
    assert_eq!(received[0].method, "CONNECT");
    assert_eq!(received[0].headers.all("x-user-id"), [b"ada"]);
    assert!(!received[0].has("authorization"));
}

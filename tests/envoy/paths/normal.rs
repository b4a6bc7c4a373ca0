use super::LISTENERS;
use crate::policies::{account, knows_ada};
use crate::seen::{Seen, hangs_up_at_once, see};
use crate::support::{Gate, Wire, get};
use serde_json::json;

/// (sent, seen by everybody), whatever the listener does itself.
const SAME: [(&str, &str); 20] = [
    ("/", "/"),
    ("/orders/1", "/orders/1"),
    ("/%6frders/%31", "/orders/1"),
    ("/caf%c3%a9", "/caf%C3%A9"),
    ("/a/", "/a/"),
    ("/...", "/..."),
    ("/.a/..b/c.", "/.a/..b/c."),
    ("/a%20b%2b%3F%23%40", "/a%20b%2B%3F%23%40"),
    ("/a+b:@!$&'()*,=~-._", "/a+b:@!$&'()*,=~-._"),
    ("/%41%2d%2E%5f%7e", "/A-._~"),
    ("/ORDERS/1", "/ORDERS/1"),
    // Decoded once, never twice.
    ("/%252f", "/%252f"),
    ("/%252e%252e/x", "/%252e%252e/x"),
    ("/%25252e", "/%25252e"),
    // A query is nobody's path.
    ("/a?", "/a?"),
    ("/a??", "/a??"),
    ("/a?b=%2f%00../;\\//%zz", "/a?b=%2f%00../;\\//%zz"),
    ("/%6f?%6f=%2e%2E", "/o?%6f=%2e%2E"),
    ("/orders/1?/../x", "/orders/1?/../x"),
    ("/orders/%31?%31&+", "/orders/1?%31&+"),
];

/// (sent, seen): the same, but HTTP/1 has no place for these bytes and Envoy answers 400 there.
const OVER_HTTP_2: [(&[u8], &str); 3] = [
    (b"/caf\xc3\xa9", "/caf%C3%A9"),
    (b"/caf\xc3%a9", "/caf%C3%A9"),
    (b"/a?x=\xc3\xa9", "/a?x=é"),
];

/// Refused, whatever the listener does itself.
const REFUSED: [&[u8]; 51] = [
    b"/a%2fb",
    b"/a%2Fb",
    b"/%2f",
    b"/a/..%2fb",
    b"/a%5cb",
    b"/a%5Cb",
    b"/a%00",
    b"/%00/a",
    b"/a%0d%0ab",
    b"/a%0a",
    b"/a%09",
    b"/a%1fb",
    b"/a%7f",
    b"/a;b=1",
    b"/a;",
    b"/;/a",
    b"/a%3bb",
    b"/%",
    b"/a%",
    b"/%1",
    b"/%zz",
    b"/%u002f",
    b"/%2",
    b"/a%g0",
    b"/%ff",
    b"/%c3%28",
    b"/%C3",
    b"/%c0%ae%c0%ae/a",
    b"/%c0%af",
    b"/%e0%80%af",
    b"/%ed%a0%80",
    b"/%f8%80%80%80%ae",
    b"/\xff",
    b"/a\xc3(",
    b"/\xc0\xae\xc0\xae/a",
    b"/a#b",
    b"/#",
    b"/a?b#c",
    b"/a\0b",
    b"/a\x01b",
    b"/a\x7fb",
    b"/a\tb",
    b"/a b",
    b"/?x=a b",
    b"/a?x=\x01",
    b"/a?x=\xff",
    b"*",
    b"",
    b"a",
    b"?x",
    b"x:/a",
];

/// (sent, [by itself, normalize_path, merge_slashes, both]); empty: refused.
const CHANGED: [(&str, [&str; 4]); 28] = [
    ("/a/../b", ["", "/b", "", "/b"]),
    ("/a/./b", ["", "/a/b", "", "/a/b"]),
    ("/a/%2e%2e/b", ["", "/b", "", "/b"]),
    ("/a/%2E./b", ["", "/b", "", "/b"]),
    ("/a/.%2e", ["", "/", "", "/"]),
    ("/a/%2e/b", ["", "/a/b", "", "/a/b"]),
    ("/x/../%6frders/1", ["", "/orders/1", "", "/orders/1"]),
    ("/..", ["", "/", "", "/"]),
    ("/.", ["", "/", "", "/"]),
    ("/../../b", ["", "/b", "", "/b"]),
    ("/a%3Bb/..", ["", "/", "", "/"]),
    ("/a/..?x", ["", "/?x", "", "/?x"]),
    ("/a/..;/b", ["", "/b", "", "/b"]),
    ("/a\\b", ["", "/a/b", "", "/a/b"]),
    ("/a\\..\\b", ["", "/b", "", "/b"]),
    ("\\a", ["", "", "", ""]),
    ("/\\a", ["", "", "", "/a"]),
    ("//a", ["", "", "/a", "/a"]),
    ("/a//b", ["", "", "/a/b", "/a/b"]),
    ("/a//", ["", "", "/a/", "/a/"]),
    // Envoy makes two slashes of it.
    ("///", ["", "", "", ""]),
    ("/a//../b", ["", "/a/b", "", "/a/b"]),
    ("/a/../../b//c", ["", "", "", "/b/c"]),
    ("//orders//1", ["", "", "/orders/1", "/orders/1"]),
    ("/http://test/x", ["", "", "/http:/test/x", "/http:/test/x"]),
    ("/a|b", ["/a|b", "/a%7Cb", "/a|b", "/a%7Cb"]),
    ("/a\"<b>", ["/a\"<b>", "/a%22%3Cb%3E", "/a\"<b>", "/a%22%3Cb%3E"]),
    ("/{a}^`", ["/{a}^`", "/%7Ba%7D%5E%60", "/{a}^`", "/%7Ba%7D%5E%60"]),
];

fn gate((normalize, merge): (bool, bool)) -> Gate {
    let route = |name: &str, matching: serde_json::Value| {
        json!({"match": matching, "route": {"cluster": "upstream"},
            "request_headers_to_add": [{"header": {"key": "x-route", "value": name}}]})
    };
    Gate::builder()
        .policy(account("rules: [{ name: everything }]"))
        .auth(knows_ada)
        .hcm(hangs_up_at_once())
        .normalize_path(normalize)
        .merge_slashes(merge)
        // The first one takes the normal form and no other.
        .routes(json!([
            route("orders", json!({"path": "/orders/1"})),
            route("rest", json!({"prefix": "/"}))
        ]))
        .start()
}

fn ask(gate: &Gate, wire: Wire, target: &[u8]) -> Seen {
    see(gate, wire, &get(target).header("authorization", "Bearer ada"))
}

#[track_caller]
fn everybody_sees(gate: &Gate, wire: Wire, sent: &[u8], expected: &str) {
    let seen = ask(gate, wire, sent);
    let case = format!(
        "{} over {wire:?}: {} {}",
        sent.escape_ascii(),
        seen.status,
        seen.response.text()
    );
    assert_eq!(seen.status, 200, "{case}");
    assert_eq!(seen.at_auth().path(), expected, "at the auth service: {case}");
    assert_eq!(seen.at_upstream().path(), expected, "at the upstream: {case}");
    let path = expected.split('?').next();
    let route = if path == Some("/orders/1") { "orders" } else { "rest" };
    assert_eq!(
        seen.at_upstream().header("x-route").as_deref(),
        Some(route),
        "route: {case}"
    );
}

#[track_caller]
fn refused(gate: &Gate, wire: Wire, sent: &[u8]) {
    let seen = ask(gate, wire, sent);
    assert!(seen.is_bad_request(), "{} over {wire:?}: {seen:?}", sent.escape_ascii());
}

#[test]
fn route_rule_auth_service_and_upstream_see_one_form() {
    for listener in LISTENERS {
        let gate = gate(listener);
        for wire in Wire::BOTH {
            for (sent, expected) in SAME {
                everybody_sees(&gate, wire, sent.as_bytes(), expected);
            }
        }
        for (sent, expected) in OVER_HTTP_2 {
            refused(&gate, Wire::H1, sent);
            everybody_sees(&gate, Wire::H2, sent, expected);
        }
    }
}

#[test]
fn what_servers_read_differently_is_400() {
    for listener in LISTENERS {
        let gate = gate(listener);
        for wire in Wire::BOTH {
            for sent in REFUSED {
                refused(&gate, wire, sent);
            }
        }
        gate.envoy.assert_no_trap();
    }
}

#[test]
fn what_the_listener_resolves_is_seen_resolved_by_everybody() {
    for (at, listener) in LISTENERS.into_iter().enumerate() {
        let gate = gate(listener);
        for wire in Wire::BOTH {
            for (sent, expected) in CHANGED {
                match expected[at] {
                    "" => refused(&gate, wire, sent.as_bytes()),
                    expected => everybody_sees(&gate, wire, sent.as_bytes(), expected),
                }
            }
        }
    }
}

#[test]
fn an_absolute_target_is_taken_apart_by_envoy_and_meets_the_same_rules() {
    let gate = gate((false, false));
    for (sent, expected) in [
        ("http://test/orders/1", "/orders/1"),
        ("https://other:80/%6frders/1?x=%6f", "/orders/1?x=%6f"),
        ("http://test", "/"),
    ] {
        everybody_sees(&gate, Wire::H1, sent.as_bytes(), expected);
    }
    let bad = [
        "http://test/a/../b",
        "http://test//a",
        "http://test/%2f",
        "http://a,b/",
        "http:///a",
        "ftp:/a",
    ];
    for sent in bad {
        refused(&gate, Wire::H1, sent.as_bytes());
    }
    for sent in ["http://test/orders/1", "https://test", "http://test/a/../b"] {
        refused(&gate, Wire::H2, sent.as_bytes());
    }
    // The only request that may ask for it.
    for wire in Wire::BOTH {
        let options = crate::support::request("OPTIONS", "*").header("authorization", "Bearer ada");
        let seen = see(&gate, wire, &options);
        assert!(
            matches!(seen.status, 0 | 400 | 404),
            "OPTIONS * over {wire:?}: {seen:?}"
        );
        assert!(
            seen.auth.is_empty() && seen.upstream.is_empty(),
            "OPTIONS * over {wire:?}"
        );
    }
}

//! One host for everybody: what virtual host, rule, auth service and upstream go by.

use crate::policies::{account, knows_ada};
use crate::seen::{Seen, hangs_up_at_once, see};
use crate::support::{Gate, Request, Wire, get};
use serde_json::{Value, json};

/// Virtual hosts that take the normal form and no other.
fn gate() -> Gate {
    let host = |name: &str| -> Value {
        json!({"name": name, "domains": [name],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}],
            "request_headers_to_add": [{"header": {"key": "x-virtual-host", "value": name}}]})
    };
    let rules = r#"
rules:
- { name: shop, match: { hosts: [shop.example.com, "[2001:db8::1]", 127.0.0.1] }, identity: { headers: { x-rule: shop } } }
- { name: rest, match: { hosts: ["*"] }, identity: { headers: { x-rule: rest } } }
"#;
    let named = [
        "shop.example.com",
        "shop.example.com:8443",
        "[2001:db8::1]",
        "127.0.0.1",
        "*",
    ];
    Gate::builder()
        .policy(account(rules))
        .auth(knows_ada)
        .hcm(hangs_up_at_once())
        .route_config(json!({"virtual_hosts": named.map(host)}))
        .start()
}

/// (sent, seen by everybody, virtual host, rule)
const ONE_FORM: [(&str, &str, &str, &str); 16] = [
    ("shop.example.com", "shop.example.com", "shop.example.com", "shop"),
    ("Shop.EXAMPLE.com", "shop.example.com", "shop.example.com", "shop"),
    ("shop.example.com.", "shop.example.com", "shop.example.com", "shop"),
    ("SHOP.example.COM.", "shop.example.com", "shop.example.com", "shop"),
    // The port stays: a virtual host may go by it, rules do not.
    (
        "shop.example.com:8443",
        "shop.example.com:8443",
        "shop.example.com:8443",
        "shop",
    ),
    (
        "Shop.Example.Com.:8443",
        "shop.example.com:8443",
        "shop.example.com:8443",
        "shop",
    ),
    ("shop.example.com:80", "shop.example.com:80", "*", "shop"),
    ("shop.example.com.:0", "shop.example.com:0", "*", "shop"),
    ("[2001:db8::1]", "[2001:db8::1]", "[2001:db8::1]", "shop"),
    ("[2001:DB8:0:0::0:1]", "[2001:db8::1]", "[2001:db8::1]", "shop"),
    ("[2001:DB8::1]:80", "[2001:db8::1]:80", "*", "shop"),
    ("127.0.0.1", "127.0.0.1", "127.0.0.1", "shop"),
    ("127.0.0.1.", "127.0.0.1", "127.0.0.1", "shop"),
    ("a_b.svc", "a_b.svc", "*", "rest"),
    ("xn--caf-dma.com", "xn--caf-dma.com", "*", "rest"),
    ("shop.example.com.evil.com", "shop.example.com.evil.com", "*", "rest"),
];

const REFUSED: [&[u8]; 48] = [
    b"",
    b".",
    b"shop.example.com..",
    b".shop.example.com",
    b"shop..example.com",
    b"shop.example.com:",
    b"shop.example.com.:",
    b"shop.example.com:x",
    b"shop.example.com:080",
    b"shop.example.com:+80",
    b"shop.example.com:-1",
    b"shop.example.com:65536",
    b"shop.example.com:80:80",
    b"shop.example.com:80,evil.com",
    b"shop.example.com,evil.com",
    b"shop.example.com, shop.example.com",
    b"user@shop.example.com",
    b"user:pw@shop.example.com",
    b"shop.example.com@evil.com",
    b"shop.example.com/x",
    b"shop.example.com?x",
    b"shop.example.com#x",
    b"shop.example.com\\x",
    b"http://shop.example.com",
    b"//shop.example.com",
    b"shop example.com",
    b"shop%2eexample.com",
    b"shop.example.com%00",
    b"shop.example.com\x00",
    b"shop.example.com\x7f",
    b"*",
    b"*.example.com",
    b"-shop.com",
    b"shop-.com",
    b"\xc3\xa9.com",
    b"shop\xe3\x80\x82example.com",
    b"\xff",
    b"::1",
    b"[::1",
    b"::1]",
    b"[::1]x",
    b"[::1%eth0]",
    b"[127.0.0.1]",
    b"[]",
    b"127.1",
    b"010.0.0.1",
    b"0x7f.0.0.1",
    b"2130706433",
];

fn known(request: Request) -> Request {
    request.header("authorization", "Bearer ada")
}

#[track_caller]
fn check(case: &str, seen: &Seen, host: &str, virtual_host: &str, rule: &str) {
    let case = format!("{case}: {} {}", seen.status, seen.response.text());
    assert_eq!(seen.status, 200, "{case}");
    let upstream = seen.at_upstream();
    assert_eq!(
        seen.at_auth().headers.all("host"),
        [host.as_bytes()],
        "at the auth service: {case}"
    );
    assert_eq!(
        upstream.headers.all("host"),
        [host.as_bytes()],
        "at the upstream: {case}"
    );
    assert_eq!(
        upstream.header("x-virtual-host").as_deref(),
        Some(virtual_host),
        "virtual host: {case}"
    );
    assert_eq!(upstream.header("x-rule").as_deref(), Some(rule), "rule: {case}");
}

#[test]
fn virtual_host_rule_auth_service_and_upstream_see_one_form() {
    let gate = gate();
    for wire in Wire::BOTH {
        for (sent, host, virtual_host, rule) in ONE_FORM {
            let seen = see(&gate, wire, &known(get("/")).host(sent));
            check(&format!("{sent} over {wire:?}"), &seen, host, virtual_host, rule);
        }
    }
}

#[test]
fn what_is_not_one_name_is_400() {
    let gate = gate();
    for wire in Wire::BOTH {
        for sent in REFUSED {
            let seen = see(&gate, wire, &known(get("/")).host(sent));
            assert!(seen.is_bad_request(), "{} over {wire:?}: {seen:?}", sent.escape_ascii());
        }
    }
    gate.envoy.assert_no_trap();
}

/// Envoy joins them by a comma.
#[test]
fn two_host_headers_are_400_over_http_1_also_where_they_agree() {
    let gate = gate();
    for other in ["evil.com", "shop.example.com", "SHOP.example.com"] {
        for request in [
            known(get("/")).host("shop.example.com").header("host", other),
            known(get("/")).host("shop.example.com").header("HOST", other),
            known(get("http://shop.example.com/"))
                .host("shop.example.com")
                .header("host", other),
        ] {
            let seen = see(&gate, Wire::H1, &request);
            let absolute = request.target.starts_with(b"http");
            match absolute {
                // The target counts, and the headers go.
                true => check("absolute target", &seen, "shop.example.com", "shop.example.com", "shop"),
                false => assert!(seen.is_bad_request(), "host twice, {other}: {seen:?}"),
            }
        }
    }
}

/// Envoy drops `host` where there is `:authority`, and takes it for one where there is none.
#[test]
fn over_http_2_the_authority_counts_and_nobody_sees_another_host() {
    let gate = gate();
    for other in ["evil.com", "shop.example.com", "", "a,b"] {
        let seen = see(
            &gate,
            Wire::H2,
            &known(get("/")).host("shop.example.com").header("host", other),
        );
        match seen.status {
            200 => check(
                "host beside :authority",
                &seen,
                "shop.example.com",
                "shop.example.com",
                "shop",
            ),
            _ => assert!(seen.is_bad_request(), "host {other:?} beside :authority: {seen:?}"),
        }
    }
    let alone = known(get("/")).no_host().header("host", "Shop.example.com.");
    let seen = see(&gate, Wire::H2, &alone);
    check("host alone", &seen, "shop.example.com", "shop.example.com", "shop");
    let twice = gate.h2().raw_fields(
        &[
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":authority", b"shop.example.com"),
            (b":authority", b"evil.com"),
            (b":path", b"/"),
        ],
        b"",
    );
    assert!(
        !matches!(twice, Ok(response) if response.status < 400),
        "two :authority"
    );
    for wire in Wire::BOTH {
        let nowhere = see(&gate, wire, &known(get("/")).no_host());
        assert!(nowhere.is_bad_request(), "no host over {wire:?}: {nowhere:?}");
    }
}

/// Envoy takes the host from there and drops what stands before `@`.
#[test]
fn an_absolute_target_says_the_host_and_the_host_header_does_not() {
    let gate = gate();
    for (target, host, virtual_host, rule) in [
        (
            "http://Shop.example.com./",
            "shop.example.com",
            "shop.example.com",
            "shop",
        ),
        (
            "http://shop.example.com:8443/",
            "shop.example.com:8443",
            "shop.example.com:8443",
            "shop",
        ),
        (
            "https://user@shop.example.com/",
            "shop.example.com",
            "shop.example.com",
            "shop",
        ),
        ("http://shop.example.com@evil.com/", "evil.com", "*", "rest"),
        ("http://[2001:DB8::1]/", "[2001:db8::1]", "[2001:db8::1]", "shop"),
    ] {
        for header in ["evil.org", "shop.example.com"] {
            let seen = see(&gate, Wire::H1, &known(get(target)).host(header));
            check(target, &seen, host, virtual_host, rule);
        }
    }
    for target in [
        "http://a,b/",
        "http:///",
        "http://shop.example.com:x/",
        "http://a..b/",
        "http://127.1/",
    ] {
        let seen = see(&gate, Wire::H1, &known(get(target)).host("shop.example.com"));
        assert!(seen.is_bad_request(), "{target}: {seen:?}");
    }
}

/// Spaces around a header's value are HTTP/1's, not the host's.
#[test]
fn spaces_around_the_host_header_are_not_part_of_it() {
    let gate = gate();
    for sent in [" shop.example.com", "shop.example.com ", "\tshop.example.com\t"] {
        let seen = see(&gate, Wire::H1, &known(get("/")).host(sent));
        check(sent, &seen, "shop.example.com", "shop.example.com", "shop");
        let seen = see(&gate, Wire::H2, &known(get("/")).host(sent));
        assert!(seen.is_bad_request(), "{sent:?} over HTTP/2: {seen:?}");
    }
}

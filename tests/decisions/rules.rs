//! Which rule a request meets.

use crate::policies::rules;
use crate::text::check;

/// The rule, or `-`: each refuses, so that its name is all there is to see.
#[track_caller]
fn meets(policy: &str, request: &str, rule: &str) {
    check(policy, request, &format!("{rule}: refuse …"));
}

fn closed(matches: &[(&str, &str)]) -> String {
    let line = |(name, matcher): &(&str, &str)| format!("- {{ name: {name}, refuse: 404, match: {{ {matcher} }} }}");
    rules(&matches.iter().map(line).collect::<Vec<_>>().join("\n"))
}

#[track_caller]
fn matches(matcher: &str, yes: &[&str], no: &[&str]) {
    let policy = closed(&[("r", matcher)]);
    yes.iter().for_each(|request| meets(&policy, request, "r"));
    no.iter().for_each(|request| meets(&policy, request, "-"));
}

#[test]
fn the_first_that_matches() {
    let policy = closed(&[
        ("a", "paths: [/a/b, \"/x/*/z\"]"),
        ("b", "paths: [\"/a/**\", \"/x/y/*\"]"),
        ("c", "hosts: [\"*.example.com\"]"),
        ("d", "paths: [\"/**\"]"),
    ]);
    meets(&policy, "GET /a/b", "a");
    meets(&policy, "GET /a/c", "b");
    meets(&policy, "GET /x/y/z", "a");
    meets(&policy, "GET /x/y/q", "b");
    meets(&policy, "GET /", "c");
    meets(&policy, "GET / | :authority: other", "d");
    let specific_last = closed(&[
        ("wide", "hosts: [\"*\"], methods: [GET]"),
        ("narrow", "hosts: [shop.example.com], paths: [/a]"),
    ]);
    meets(&specific_last, "GET /a", "wide");
    meets(&specific_last, "PUT /a", "narrow");
}

#[test]
fn paths() {
    matches(
        "paths: [\"/orders/**\"]",
        &["GET /orders", "GET /orders/", "GET /orders/1/2?a"],
        &["GET /ordersx", "GET /Orders", "GET /"],
    );
    matches(
        "paths: [\"/a/*/c\"]",
        &["GET /a/b/c"],
        &["GET /a/c", "GET /a/b/b/c", "GET /a/b/c/"],
    );
    matches(
        "paths: [\"/v*/x\", \"/*.js\"]",
        &["GET /v1/x", "GET /v/x", "GET /a.js"],
        &["GET /w/x", "GET /a.jsx"],
    );
    matches(
        "paths: [\"/t/{tenant}/**\"]",
        &["GET /t/acme", "GET /t/acme/1"],
        &["GET /t", "GET /t/"],
    );
    matches(
        "paths: [/caf\u{e9}]",
        &["GET /caf%c3%a9", "GET /%63af\\xc3\\xa9"],
        &["GET /cafe"],
    );
    matches("paths: [/a/]", &["GET /a/"], &["GET /a"]);
    matches(
        "paths: [\"/v1/*:cancel\", \"/@fs/**\"]",
        &["GET /v1/7:cancel", "GET /v1/7%3acancel", "GET /%40fs/x"],
        &["GET /v1/7%253acancel"],
    );
}

#[test]
fn hosts() {
    let at = |host: &str| format!("GET / | :authority: {host}");
    let check = |pattern: &str, yes: &[&str], no: &[&str]| {
        let policy = closed(&[("r", &format!("hosts: [{pattern}]"))]);
        yes.iter().for_each(|host| meets(&policy, &at(host), "r"));
        no.iter().for_each(|host| meets(&policy, &at(host), "-"));
    };
    check(
        "shop.example.com",
        &["shop.example.com", "SHOP.example.com.:80"],
        &["example.com", "a.shop.example.com"],
    );
    check(
        "\"*.example.com\"",
        &["a.example.com", "a.b.example.com:1"],
        &["example.com", "aexample.com", "a.example.com.evil"],
    );
    check("\"*\"", &["x", "10.0.0.1", "[::1]"], &[]);
    check("\"[::1]\"", &["[0:0::1]:8080"], &["[::2]"]);
}

#[test]
fn methods() {
    matches(
        "methods: [GET, POST]",
        &["GET /", "POST /"],
        &["HEAD /", "get /", "OPTIONS /"],
    );
}

#[test]
fn headers_cookies_query() {
    matches(
        "headers: [{ name: X-Beta, exact: \"1\" }]",
        &["GET / | x-beta: 1", "GET / | x-beta: 0 | x-beta: 1"],
        &["GET /", "GET / | x-beta: 11", "GET / | x-beta: 0,1"],
    );
    matches(
        "headers: [{ name: a, prefix: \"1\" }, { name: b, suffix: \"2\" }]",
        &["GET / | a: 12 | b: 12"],
        &["GET / | a: 12", "GET / | a: 21 | b: 12"],
    );
    matches(
        "headers: [{ name: a, contains: b }]",
        &["GET / | a: \\xffb\\xff"],
        &["GET / | a: B"],
    );
    matches("headers: [{ name: a, present: false }]", &["GET /"], &["GET / | a: "]);
    matches("headers: [{ name: a, present: true }]", &["GET / | a: "], &["GET /"]);
    matches(
        "cookies: [{ name: a, exact: \"1\" }]",
        &["GET / | cookie: b=2; a=1", "GET / | cookie: b=2 | cookie: a=1"],
        &["GET /", "GET / | cookie: A=1", "GET / | cookie: xa=1"],
    );
    matches(
        "query: [{ name: a, exact: \"x y\" }]",
        &["GET /?a=x+y", "GET /?b&%61=x%20y"],
        &["GET /", "GET /?a=xy", "GET /a=x+y"],
    );
    matches(
        "query: [{ name: a, present: true }]",
        &["GET /?a", "GET /?a="],
        &["GET /?A", "GET /?"],
    );
}

#[test]
fn grpc() {
    let call = |path: &str, kind: &str| format!("POST {path} | content-type: {kind}");
    let check =
        |matcher: &str, path: &str, kind: &str, rule: &str| meets(&closed(&[("r", matcher)]), &call(path, kind), rule);
    let (one, all) = (
        "grpc: [{ service: shop.v1.Orders, method: Get }]",
        "grpc: [{ service: shop.v1.Orders }]",
    );
    check(one, "/shop.v1.Orders/Get", "application/grpc", "r");
    check(one, "/shop.v1.Orders/Get", "application/grpc+proto", "r");
    check(one, "/shop.v1.Orders/Put", "application/grpc", "-");
    check(all, "/shop.v1.Orders/Put", "application/grpc;x", "r");
    check(all, "/shop.v1.Orders/Put/x", "application/grpc", "-");
    check(all, "/shop.v1.Orders", "application/grpc", "-");
    check(all, "/shop.v1.OrdersX/Put", "application/grpc", "-");
    check(all, "/shop.v1.Orders/Put", "application/grpc-web", "-");
    check(all, "/shop.v1.Orders/Put", "application/json", "-");
}

#[test]
fn connection() {
    matches(
        "client_ip: [10.0.0.0/8, \"2001:db8::/32\"]",
        &[
            "GET / | @ip 10.1.2.3",
            "GET / | @ip ::ffff:10.1.2.3",
            "GET / | @ip 2001:db8::1",
        ],
        &[
            "GET / | @ip 11.0.0.1",
            "GET / | @ip none",
            "GET / | @ip 192.0.2.1 | x-forwarded-for: 10.0.0.1",
        ],
    );
    matches(
        "peers: [\"cluster.local/ns/shop/sa/*\"]",
        &["GET / | @peer spiffe://cluster.local/ns/shop/sa/a"],
        &[
            "GET /",
            "GET / | @peer cluster.local/ns/shop/sa/a",
            "GET / | @peer spiffe://cluster.local/ns/shop/sa/",
            "GET / | @peer spiffe://cluster.local/ns/shop/sa/a/b",
            "GET / | @peer spiffe://cluster.local/ns/shopx/sa/a",
        ],
    );
}

#[test]
fn not() {
    let all = |not: &str| format!("paths: [\"/a/**\"], not: {{ {not} }}");
    matches(
        &all("paths: [\"/a/b/**\"]"),
        &["GET /a", "GET /a/c"],
        &["GET /a/b", "GET /a/b/c"],
    );
    matches(&all("methods: [GET]"), &["PUT /a"], &["GET /a"]);
    matches(
        &all("paths: [/a/b], methods: [GET]"),
        &["PUT /a/b", "GET /a/c"],
        &["GET /a/b"],
    );
    matches(
        &all("hosts: [\"*.example.com\"]"),
        &["GET /a | :authority: b"],
        &["GET /a"],
    );
    matches(
        &all("headers: [{ name: x, present: true }]"),
        &["GET /a"],
        &["GET /a | x: "],
    );
    matches(
        &all("client_ip: [10.0.0.0/8]"),
        &["GET /a | @ip 11.0.0.1"],
        &["GET /a | @ip 10.0.0.1"],
    );
}

/// CONNECT names no path: only a rule that lists it takes it.
#[test]
fn connect() {
    let policy = closed(&[
        ("any", "hosts: [\"*\"]"),
        ("tunnel", "hosts: [\"*\"], methods: [CONNECT]"),
    ]);
    meets(&policy, "CONNECT -", "tunnel");
    meets(&policy, "CONNECT /a", "any");
    matches("hosts: [\"*\"]", &[], &["CONNECT -"]);
    matches("methods: [GET, CONNECT]", &["CONNECT -"], &[]);
    matches("paths: [/a], methods: [CONNECT]", &["CONNECT /a"], &["CONNECT -"]);
    matches(
        "methods: [CONNECT], not: { client_ip: [10.0.0.0/8] }",
        &["CONNECT - | @ip 11.0.0.1"],
        &["CONNECT - | @ip 10.0.0.1"],
    );
    matches(
        "methods: [CONNECT], not: { hosts: [\"*.internal\"] }",
        &["CONNECT -"],
        &["CONNECT - | :authority: db.internal:443"],
    );
    matches(
        "methods: [CONNECT], not: { paths: [/a] }",
        &["CONNECT -", "CONNECT /b"],
        &["CONNECT /a"],
    );
    check(
        &closed(&[("r", "hosts: [\"*\"]")]),
        "CONNECT -",
        "-: refuse 403 no_rule/no_rule; forbidden: no rule allows this request",
    );
}

#[test]
fn refuse() {
    for (status, error) in [
        (403, "forbidden: this is closed"),
        (404, "not_found: there is nothing here"),
        (410, "gone: this is gone"),
        (451, "unavailable_for_legal_reasons: this is not available"),
        (503, "unavailable: this is closed for now"),
    ] {
        check(
            &rules(&format!("- {{ name: r, refuse: {status} }}")),
            "GET /",
            &format!("r: refuse {status} closed/refuse; {error}"),
        );
    }
}

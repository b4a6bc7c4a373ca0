use crate::policies::{account, knows_ada};
use crate::seen::see;
use crate::support::{Gate, Request, Wire, get, request};

/// Each rule tells the upstream its own name.
const RULES: &str = r#"
rules:
- { name: first, match: { paths: ["/first/**"] }, NAMED }
- { name: second, match: { paths: ["/first/**", "/second/**"], methods: [GET] }, NAMED }
- { name: closed, match: { paths: ["/second/closed"] }, refuse: 410 }
- { name: methods, match: { paths: ["/methods"], methods: [GET, POST] }, NAMED }
- { name: exact, match: { paths: ["/header"], headers: [{ name: x-beta, exact: "1" }] }, NAMED }
- { name: prefix, match: { paths: ["/header"], headers: [{ name: X-Beta, prefix: "v" }] }, NAMED }
- { name: suffix, match: { paths: ["/header"], headers: [{ name: x-beta, suffix: "z" }] }, NAMED }
- { name: contains, match: { paths: ["/header"], headers: [{ name: x-beta, contains: "mid" }] }, NAMED }
- { name: absent, match: { paths: ["/header"], headers: [{ name: x-beta, present: false }] }, NAMED }
- { name: two, match: { paths: ["/two"], headers: [{ name: x-a, present: true }, { name: x-b, present: true }] }, NAMED }
- { name: accept, match: { paths: ["/joined"], headers: [{ name: accept, exact: "text/html" }] }, NAMED }
- { name: accepts, match: { paths: ["/joined"], headers: [{ name: accept, contains: "text/html" }] }, NAMED }
- { name: cookie, match: { paths: ["/cookie"], cookies: [{ name: tier, exact: gold }] }, NAMED }
- { name: query, match: { paths: ["/query"], query: [{ name: v, exact: "a b" }] }, NAMED }
- { name: order, match: { grpc: [{ service: shop.v1.Orders, method: Get }] }, NAMED }
- { name: items, match: { grpc: [{ service: shop.v1.Items }] }, NAMED }
- { name: not-admin, match: { paths: ["/not/**"], not: { paths: ["/not/admin/**"], methods: [POST, PUT] } }, NAMED }
- { name: wildcard, match: { hosts: ["*.shop.test"], paths: ["/host"] }, NAMED }
- { name: exact-host, match: { hosts: [shop.test], paths: ["/host"] }, NAMED }
- { name: glob, match: { paths: ["/v*/items"] }, NAMED }
- { name: capture, match: { paths: ["/t/{tenant}/x"] }, NAMED }
- { name: one, match: { paths: ["/one/*"] }, NAMED }
"#;

fn gate() -> Gate {
    let named = |line: &str| match line.split_once("name: ").and_then(|(_, rest)| rest.split_once(',')) {
        Some((name, _)) => line.replace("NAMED", &format!("identity: {{ headers: {{ x-rule: {name} }} }}")),
        None => line.to_owned(),
    };
    let rules: Vec<String> = RULES.lines().map(named).collect();
    Gate::builder()
        .policy(account(&rules.join("\n")))
        .auth(knows_ada)
        .start()
}

fn header(path: &str, headers: &[(&str, &[u8])]) -> Request {
    headers
        .iter()
        .fold(get(path), |request, (name, value)| request.header(name, value))
}

fn grpc(path: &str, content_type: &str) -> Request {
    request("POST", path).header("content-type", content_type)
}

/// The rule by name, or the status of a refusal.
fn rows() -> Vec<(Request, &'static str)> {
    let beta = |values: &[&'static [u8]]| {
        values
            .iter()
            .fold(get("/header"), |request, v| request.header("x-beta", v))
    };
    let cookie = |values: &[&str]| {
        values
            .iter()
            .fold(get("/cookie"), |request, v| request.header("cookie", v))
    };
    vec![
        // The first that matches.
        (get("/first"), "first"),
        (get("/first/a"), "first"),
        (get("/second/a"), "second"),
        (get("/second/closed"), "second"),
        (request("POST", "/second/closed"), "410"),
        (request("POST", "/second/a"), "403"),
        (get("/firsta"), "403"),
        (get("/"), "403"),
        (get("/methods"), "methods"),
        (request("POST", "/methods"), "methods"),
        (request("PUT", "/methods"), "403"),
        (request("REPORT", "/methods"), "403"),
        (request("HEAD", "/methods"), "403"),
        // Each of several headers of one name is looked at.
        (beta(&[b"1"]), "exact"),
        (beta(&[b"2", b"1"]), "exact"),
        (beta(&[b"1,2"]), "403"),
        (beta(&[b"v2"]), "prefix"),
        (beta(&[b"az"]), "suffix"),
        (beta(&[b"\xffmid\xff"]), "contains"),
        (beta(&[b""]), "403"),
        (beta(&[]), "absent"),
        (header("/two", &[("x-a", b""), ("x-b", b"")]), "two"),
        (header("/two", &[("x-a", b"")]), "403"),
        // Envoy joins these by a comma before anybody sees them.
        (header("/joined", &[("accept", b"text/html")]), "accept"),
        (
            header("/joined", &[("accept", b"text/html"), ("accept", b"*/*")]),
            "accepts",
        ),
        (
            header("/joined", &[("accept", b"*/*"), ("accept", b"text/html")]),
            "accepts",
        ),
        (cookie(&["tier=gold"]), "cookie"),
        (cookie(&["a=1; tier=gold; b=2"]), "cookie"),
        (cookie(&["a=1", "tier=gold"]), "cookie"),
        (cookie(&["tier=tin; tier=gold"]), "cookie"),
        (cookie(&["Tier=gold"]), "403"),
        (cookie(&["xtier=gold"]), "403"),
        (get("/query?v=a+b"), "query"),
        (get("/query?v=a%20b"), "query"),
        (get("/query?x&%76=a%20b&v=c"), "query"),
        (get("/query?V=a+b"), "403"),
        (get("/query"), "403"),
        (grpc("/shop.v1.Orders/Get", "application/grpc"), "order"),
        (grpc("/shop.v1.Orders/Get", "application/grpc+proto"), "order"),
        (grpc("/shop.v1.Orders/Put", "application/grpc"), "grpc 7"),
        (grpc("/shop.v1.Orders/Get", "application/grpc-web"), "403"),
        (grpc("/shop.v1.Orders/Get", "application/json"), "403"),
        (grpc("/shop.v1.Items/Anything", "application/grpc"), "items"),
        (grpc("/shop.v1.Items/Any/More", "application/grpc"), "grpc 7"),
        (get("/not/a"), "not-admin"),
        (get("/not/admin/a"), "not-admin"),
        (request("POST", "/not/a"), "not-admin"),
        (request("POST", "/not/admin/a"), "403"),
        (request("POST", "/not/%61dmin/a"), "403"),
        (get("/host").host("a.shop.test"), "wildcard"),
        (get("/host").host("A.b.Shop.Test.:80"), "wildcard"),
        (get("/host").host("shop.test"), "exact-host"),
        (get("/host").host("xshop.test"), "403"),
        (get("/host").host("a.shop.test.evil"), "403"),
        (get("/v1/items"), "glob"),
        (get("/v/items"), "glob"),
        (get("/v1/x/items"), "403"),
        (get("/t/acme/x"), "capture"),
        (get("/t/a/b/x"), "403"),
        (get("/one/a"), "one"),
        (get("/one/"), "403"),
        (get("/one"), "403"),
        (get("/one/a/b"), "403"),
    ]
}

#[test]
fn the_first_rule_that_matches_decides_and_none_is_403() {
    let gate = gate();
    for wire in Wire::BOTH {
        for (request, expected) in rows() {
            let seen = see(&gate, wire, &request.clone().header("authorization", "Bearer ada"));
            let rule = seen.upstream.first().and_then(|upstream| upstream.header("x-rule"));
            // Only HTTP/1.1 shows headers here: grpc-status of a refusal.
            let grpc_status = seen.response.header("grpc-status");
            let met = match (rule, expected.strip_prefix("grpc ")) {
                (Some(rule), _) => rule,
                (None, Some(status)) if wire == Wire::H2 && seen.status == 200 => format!("grpc {status}"),
                (None, Some(_)) => format!("grpc {}", grpc_status.unwrap_or_default()),
                (None, None) => seen.status.to_string(),
            };
            let target = String::from_utf8_lossy(&request.target).into_owned();
            let case = format!("{target} {:?} over {wire:?}: {}", request.headers, seen.response.text());
            assert_eq!(met, expected, "{case}");
            let asked = usize::from(!seen.upstream.is_empty());
            assert_eq!(seen.auth.len(), asked, "a refusal by rule asks nobody: {case}");
        }
    }
    gate.envoy.assert_no_trap();
}

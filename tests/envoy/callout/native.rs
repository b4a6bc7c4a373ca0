//! Meshgate beside Envoy's own ext_authz, with one auth service and one upstream behind both. Each
//! row lists every difference there is, and each of them is meant.
use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::policies::{alice, asking};
use crate::support::*;

/// Differ from request to request, or say how long something took.
const VOLATILE: [&str; 4] = [
    "x-request-id",
    "date",
    "x-envoy-upstream-service-time",
    "x-envoy-expected-rq-timeout-ms",
];

struct Pair {
    native: Gate,
    ours: Gate,
}

/// Both send `x-keep` and `x-many` on, take `x-auth-*` from the answer, append `x-more` and hand
/// cookies to the client.
fn pair() -> Pair {
    let ours = Gate::start(asking(
        "path: /check
send: { headers: [x-keep, x-many, cookie], add: { x-gateway: edge } }
accept: { headers: ['x-auth-*'], append: [x-more], to_client: [set-cookie] }
forward: true",
        "",
    ));
    let exact = |names: &[&str]| -> Value {
        let patterns: Vec<Value> = names.iter().map(|name| json!({"exact": name})).collect();
        json!({ "patterns": patterns })
    };
    let native = Gate::builder()
        .filter(json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "transport_api_version": "V3",
            "allowed_headers": exact(&["x-keep", "x-many", "cookie"]),
            "http_service": {
                "server_uri": {"uri": "http://auth", "cluster": "auth", "timeout": "5s"},
                "path_prefix": "/check",
                "authorization_request": {"headers_to_add": [{"key": "x-gateway", "value": "edge"}]},
                "authorization_response": {
                    "allowed_upstream_headers": {"patterns": [{"prefix": "x-auth-"}]},
                    "allowed_upstream_headers_to_append": exact(&["x-more"]),
                    "allowed_client_headers_on_success": exact(&["set-cookie"]),
                },
            },
        }))
        .cluster(gate::cluster("auth", &[ours.auth.addr()]))
        .cluster(gate::cluster("upstream", &[ours.upstream.addr()]))
        .start();
    Pair { native, ours }
}

impl Pair {
    fn answer(&self, reply: impl Fn(&Received) -> Reply + Send + Sync + 'static) {
        self.ours.auth.answer(reply);
    }

    /// Lines `side - what only ext_authz has` and `side + what only Meshgate has`.
    fn differences(&self, wire: Wire, request: &Request) -> Vec<String> {
        let native = self.exchange(&self.native, wire, request);
        let ours = self.exchange(&self.ours, wire, request);
        let mut counts: BTreeMap<(String, String), i32> = BTreeMap::new();
        for (lines, step) in [(native, -1), (ours, 1)] {
            for line in lines {
                *counts.entry(line).or_default() += step;
            }
        }
        let told = |((side, line), count): ((String, String), i32)| {
            let sign = if count < 0 { '-' } else { '+' };
            std::iter::repeat_n(format!("{side} {sign} {line}"), count.unsigned_abs() as usize)
        };
        counts.into_iter().flat_map(told).collect()
    }

    fn exchange(&self, gate: &Gate, wire: Wire, request: &Request) -> Vec<(String, String)> {
        let (auth, upstream) = (&self.ours.auth, &self.ours.upstream);
        auth.clear();
        upstream.clear();
        let response = gate.client(wire).send(request);
        let mut lines = Vec::new();
        for (side, received) in [("auth", auth.received()), ("upstream", upstream.received())] {
            for request in received {
                lines.push((side.into(), format!("{} {}", request.method, request.path())));
                lines.extend(headers(side, &request.headers));
                lines.push((side.into(), format!("{} bytes", request.body.len())));
            }
        }
        lines.push(("client".into(), format!("{}", response.status)));
        lines.extend(headers("client", &response.headers));
        // The echo tells what the upstream's lines tell already.
        if upstream.count() == 0 {
            let error = serde_json::from_slice::<Value>(&response.body).ok();
            let error = error.and_then(|body| body["error"].as_str().map(|error| format!("error {error}")));
            lines.push((
                "client".into(),
                error.unwrap_or_else(|| format!("body {:?}", response.text())),
            ));
        }
        lines
    }
}

fn headers(side: &str, headers: &Headers) -> Vec<(String, String)> {
    // Of the client's response only the status and headers that say something.
    let line = |(name, value): (&[u8], &[u8])| {
        let (name, mut value) = (message::lossy(name).to_ascii_lowercase(), message::lossy(value));
        if VOLATILE.contains(&name.as_str()) {
            value = "*".into();
        }
        let dull = name == "content-length" && side == "client";
        (!dull).then(|| (side.to_owned(), format!("{name}: {value}")))
    };
    headers.iter().filter_map(line).collect()
}

/// On every request: the service is told the request's id; the upstream is told who calls.
const ALWAYS: [&str; 2] = ["auth + x-request-id: *", "upstream + x-user-id: alice"];

#[track_caller]
fn check(what: &str, actual: Vec<String>, meant: &[&str]) {
    let mut meant: Vec<&str> = meant.to_vec();
    meant.sort_unstable();
    let mut actual: Vec<&str> = actual.iter().map(String::as_str).collect();
    actual.sort_unstable();
    assert_eq!(actual, meant, "{what}");
}

#[test]
fn the_service_and_the_upstream_see_the_request_as_ext_authz_shows_it() {
    let pair = pair();
    pair.answer(|_| alice().header("x-auth-groups", "ops"));
    let rows: Vec<(&str, Request, &[&str])> = vec![
        ("GET", get("/orders/7?q=1&q=2"), &[]),
        ("POST", post("/orders", "body"), &[]),
        ("an empty POST", post("/orders", ""), &[]),
        ("HEAD", request("HEAD", "/orders"), &[]),
        ("OPTIONS", request("OPTIONS", "/orders"), &[]),
        ("DELETE", request("DELETE", "/orders/7"), &[]),
        ("another host", get("/").host("shop.example.com:8443"), &[]),
        ("a credential", get("/").header("authorization", "Bearer abc"), &[]),
        (
            "a listed header",
            get("/").header("x-keep", "1").header("x-lose", "2"),
            &[],
        ),
        // ext_authz joins them.
        (
            "a listed header twice",
            get("/").header("x-many", "1").header("x-many", "2"),
            &["auth - x-many: 1,2", "auth + x-many: 1", "auth + x-many: 2"],
        ),
        ("cookies", get("/").header("cookie", "a=1; session=2"), &[]),
        // The operator's word stands alone in both.
        ("the operator's header", get("/").header("x-gateway", "forged"), &[]),
        // What looks like the service's own word is a forgery.
        (
            "a header of the answer",
            get("/").header("x-auth-role", "admin"),
            &["upstream - x-auth-role: admin"],
        ),
        (
            "a name for another method",
            get("/").header("x-http-method-override", "DELETE"),
            &["upstream - x-http-method-override: DELETE"],
        ),
        // The form that was matched, for everybody.
        (
            "an escaped path",
            get("/%6Frders"),
            &[
                "auth - GET /check/%6Frders",
                "auth + GET /check/orders",
                "upstream - GET /%6Frders",
                "upstream + GET /orders",
            ],
        ),
    ];
    for wire in Wire::BOTH {
        for (what, request, meant) in &rows {
            let meant = [&ALWAYS, *meant].concat();
            check(
                &format!("{what} over {wire:?}"),
                pair.differences(wire, request),
                &meant,
            );
        }
    }
}

#[test]
fn answers_that_allow_reach_upstream_and_client_as_from_ext_authz() {
    let pair = pair();
    type Row = (&'static str, fn(&Received) -> Reply, Request, &'static [&'static str]);
    let rows: Vec<Row> = vec![
        (
            "set",
            |_| alice().header("x-auth-a", "1"),
            get("/").header("x-auth-a", "forged"),
            &[],
        ),
        (
            "appended",
            |_| alice().header("x-more", "2"),
            get("/").header("x-more", "1"),
            &[],
        ),
        // ext_authz keeps the last one.
        (
            "set twice",
            |_| alice().header("x-auth-a", "1").header("x-auth-a", "2"),
            get("/"),
            &["upstream + x-auth-a: 1"],
        ),
        (
            "removed",
            |_| {
                alice()
                    .header("x-envoy-auth-headers-to-remove", "x-keep, ,x-many")
                    .header("x-envoy-auth-headers-to-remove", "cookie")
            },
            get("/")
                .header("x-keep", "1")
                .header("x-many", "2")
                .header("cookie", "a=b"),
            &[],
        ),
        (
            "removal of what carries the request",
            |_| alice().header("x-envoy-auth-headers-to-remove", ":path, host, :method"),
            get("/"),
            &[],
        ),
        (
            "cookies for the client",
            |_| alice().header("set-cookie", "a=1").header("set-cookie", "b=2"),
            get("/"),
            &[],
        ),
        (
            "not listed",
            |_| alice().header("x-other", "1").header("location", "/"),
            get("/"),
            &[],
        ),
    ];
    for wire in Wire::BOTH {
        for (what, reply, request, meant) in &rows {
            pair.answer(*reply);
            let meant = [&ALWAYS, *meant].concat();
            check(
                &format!("{what} over {wire:?}"),
                pair.differences(wire, request),
                &meant,
            );
        }
    }
}

#[test]
fn answers_that_deny_reach_the_client_as_from_ext_authz() {
    let pair = pair();
    for wire in Wire::BOTH {
        for status in [201, 202, 204, 301, 302, 401, 403, 404, 418, 429] {
            let about = format!("{status} over {wire:?}");
            // 204 has no body.
            let body = if status == 204 { "" } else { "no" };
            pair.answer(move |_| {
                Reply::status(status)
                    .header("x-why", "because")
                    .header("location", "/elsewhere")
                    .header("set-cookie", "a=1")
                    .header("set-cookie", "b=2")
                    .body(body)
            });
            let meant = [
                "auth + x-request-id: *",
                // Whether one may say yes later is not for a cache to say.
                "client + cache-control: no-store",
                "client - x-envoy-upstream-service-time: *",
            ];
            check(&about, pair.differences(wire, &get("/")), &meant);
        }
    }
}

/// Envoy's own ext_authz answers 403 without a word; ours is the row of the table.
#[test]
fn a_failing_service_is_unavailable_and_not_forbidden() {
    let pair = pair();
    for status in [500, 503, 599] {
        pair.answer(move |_| Reply::status(status).body("secret stack trace"));
        let actual = pair.differences(Wire::H1, &get("/"));
        check(
            &status.to_string(),
            actual,
            &[
                "auth + x-request-id: *",
                "client - 403",
                "client + 503",
                "client - body \"\"",
                "client + error auth_unavailable",
                "client + content-type: application/json",
                "client + cache-control: no-store",
            ],
        );
    }
}

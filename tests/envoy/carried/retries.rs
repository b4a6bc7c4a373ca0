//! How often the upstream is asked.

use super::*;
use crate::policies::json as policy_of;
use crate::support::gate::{cluster, cluster_h2};
use crate::support::stub::End;

const TRIES: usize = 3;

/// One rule a condition, below `/CONDITION/`.
fn conditions(names: &[&str], more: &str) -> String {
    let rule = |name: &&str| {
        format!(
            "- {{ name: \"r{name}\", match: {{ hosts: [test], paths: [\"/{name}/**\"] }}, authenticate: none, \
             upstream: {{ timeout: 10s, retry: {{ attempts: 2, retry_on: [{name}] {more} }} }} }}\n"
        )
    };
    policy_of(&format!(
        "version: 1\nrules:\n{}",
        names.iter().map(rule).collect::<String>()
    ))
}

#[track_caller]
fn tries(gate: &Gate, request: &Request, wanted: usize, about: &str) -> Response {
    gate.upstream.clear();
    let response = gate.client(Wire::H2).send(request);
    assert_eq!(
        gate.upstream.count(),
        wanted,
        "{about}, the client saw {}",
        response.status
    );
    response
}

type Bad = (&'static str, fn() -> Reply);

const BAD: [Bad; 9] = [
    ("500", || Reply::status(500)),
    ("502", || Reply::status(502)),
    ("503", || Reply::status(503)),
    ("418", || Reply::status(418)),
    ("409", || Reply::status(409)),
    ("429", || Reply::status(429)),
    ("reset", Reply::reset),
    ("close", Reply::close),
    ("ratelimited", || {
        Reply::status(429).header("x-envoy-ratelimited", "true")
    }),
];

#[test]
fn each_condition_and_status() {
    let all: [(&str, &[&str]); 8] = [
        ("5xx", &["500", "502", "503", "reset", "close"]),
        ("gateway-error", &["502", "503", "reset", "close"]),
        ("reset", &["reset", "close"]),
        ("retriable-4xx", &["409"]),
        ("envoy-ratelimited", &["ratelimited"]),
        ("503", &["503"]),
        ("418", &["418"]),
        ("connect-failure", &[]),
    ];
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    let gate = Gate::builder().policy(conditions(&names, "")).start();
    for (condition, met) in all {
        for (what, bad) in BAD {
            gate.upstream.answer(move |_| bad());
            let wanted = if met.contains(&what) { TRIES } else { 1 };
            tries(
                &gate,
                &get(format!("/{condition}/")),
                wanted,
                &format!("{what} under {condition}"),
            );
        }
    }
    // The first that is well ends it.
    let times = std::sync::atomic::AtomicUsize::new(0);
    gate.upstream
        .answer(move |_| match times.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Reply::status(503),
            _ => Reply::ok(),
        });
    assert_eq!(tries(&gate, &get("/503/"), 2, "one 503").status, 200);
}

#[test]
fn by_a_header_of_the_response() {
    let gate = Gate::builder()
        .policy(conditions(&["retriable-headers"], ", retriable_headers: [x-again]"))
        .start();
    gate.upstream.answer(|_| Reply::ok().header("x-again", "please"));
    tries(&gate, &get("/retriable-headers/"), TRIES, "x-again");
    gate.upstream.answer(|_| Reply::ok().header("x-once", "please"));
    tries(&gate, &get("/retriable-headers/"), 1, "another header");
}

#[test]
fn grpc_statuses_and_refused_streams() {
    const CODES: [(&str, u32); 5] = [
        ("cancelled", 1),
        ("deadline-exceeded", 4),
        ("resource-exhausted", 8),
        ("internal", 13),
        ("unavailable", 14),
    ];
    let names = CODES.map(|(name, _)| name);
    let with_streams: Vec<&str> = names.into_iter().chain(["refused-stream"]).collect();
    let gate = Gate::builder()
        .policy(conditions(&with_streams, ", unsafe_methods: true"))
        .upstream_h2(|_| Reply::ok())
        .start();
    let call = |condition: &str| {
        post(format!("/{condition}/a.B/C"), "\0\0\0\0\0")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
    };
    for condition in names {
        for (what, code) in CODES {
            gate.upstream.answer(move |_| {
                let reply = Reply::ok().header("content-type", "application/grpc");
                reply.header("grpc-status", code.to_string())
            });
            let wanted = if what == condition { TRIES } else { 1 };
            tries(&gate, &call(condition), wanted, &format!("{what} under {condition}"));
        }
    }
    gate.upstream.answer(|_| Reply::ok().end(End::RefusedStream));
    tries(&gate, &call("refused-stream"), TRIES, "a refused stream");
    tries(
        &gate,
        &call("unavailable"),
        1,
        "a refused stream under another condition",
    );
}

/// One of two instances takes no connection: who is sent there is sent on.
#[test]
fn what_reached_nobody_is_sent_again_whatever_it_is() {
    let (well, dead) = (Stub::echo(), dead_port());
    let names = ["connect-failure", "reset-before-request", "503"];
    let gate = Gate::builder()
        .policy(conditions(&names, ", route_retries: none"))
        .cluster(cluster("upstream", &[dead.addr(), well.addr()]))
        .start();
    let statuses = |condition: &str| -> Vec<u16> {
        let request = |_| gate.send(&post(format!("/{condition}/"), "body")).status;
        (0..8).map(request).collect()
    };
    for condition in ["connect-failure", "reset-before-request"] {
        assert_eq!(statuses(condition), [200; 8], "{condition}");
    }
    assert!(statuses("503").contains(&503), "it would have been met");
}

const ROUTES_OWN: &str = "retriable-status-codes";

/// The route sends whatever it is twice again on 503.
fn route_that_retries() -> Value {
    route(json!({"retry_policy": {
        "retry_on": ROUTES_OWN, "retriable_status_codes": [503], "num_retries": 2,
    }}))
}

#[test]
fn what_is_not_safe_to_repeat_is_sent_once_though_the_route_retries() {
    let retry =
        |more: &str| format!("{{ timeout: 10s, retry: {{ attempts: 3, retry_on: [connect-failure, 503] {more} }} }}");
    let unwell = |upstream: &str, routes: Value| {
        builder(upstream)
            .routes(routes)
            .upstream(|_| Reply::status(503))
            .start()
    };
    let keyed = || post("/", "body").header("idempotency-key", "7");
    let others = ["POST", "PATCH", "LOCK"].map(|method| request(method, "/").body("body"));

    let gate = unwell(&retry(""), route_that_retries());
    for request in others.iter().chain([&keyed()]) {
        tries(&gate, request, 1, &format!("{request:?}"));
    }
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        tries(&gate, &request(method, "/"), 4, method);
    }
    let call = post("/", "\0\0\0\0\0").header("content-type", "application/grpc");
    tries(&gate, &call, 1, "gRPC");
    let disguised = post("/", "body").header("x-http-method-override", "GET");
    tries(&gate, &disguised, 1, "a POST that calls itself a GET");
    let allowed = [
        (retry(", unsafe_methods: true"), post("/", "body"), 4),
        (retry(", idempotency_key: true"), keyed(), 4),
        (retry(", idempotency_key: true"), post("/", "body"), 1),
        (
            retry(", idempotency_key: true"),
            post("/", "body").header("idempotency-key", ""),
            1,
        ),
    ];
    for (upstream, request, wanted) in allowed {
        let gate = unwell(&upstream, route_that_retries());
        tries(&gate, &request, wanted, &format!("{request:?} under {upstream}"));
    }
    // The operator's word that the route has none.
    let gate = unwell(&retry(", route_retries: none"), route(json!({})));
    tries(&gate, &post("/", "body"), 1, "a route without retries");
    // A policy that says nothing of retries leaves them to the route, as its documentation says.
    for upstream in ["{}", "{ timeout: 10s }"] {
        let gate = unwell(upstream, route_that_retries());
        tries(&gate, &post("/", "body"), 3, "the route's own retries");
    }
}

/// A try more is a request like the first: who calls is told each time.
#[test]
fn each_try_tells_who_calls() {
    let gate = builder("{ timeout: 10s, retry: { attempts: 2, retry_on: [503] } }")
        .upstream(|_| Reply::status(503))
        .start();
    tries(&gate, &get("/").header("x-user-id", "root"), TRIES, "503");
    for seen in gate.upstream.received() {
        assert_eq!(seen.headers.all("x-user-id"), [b"alice"]);
        let envoys = seen
            .headers
            .names()
            .into_iter()
            .filter(|name| name.starts_with("x-envoy-"));
        assert_eq!(envoys.collect::<Vec<_>>(), ["x-envoy-expected-rq-timeout-ms"]);
    }
    assert_eq!(gate.auth.count(), 1);
}

#[test]
fn a_stream_that_is_refused_reached_nobody() {
    let stub = Stub::start_h2(|_| Reply::ok().end(End::RefusedStream));
    let gate = builder("{ retry: { attempts: 2, retry_on: [refused-stream, 503], route_retries: none } }")
        .cluster(cluster_h2("upstream", &[stub.addr()]))
        .upstream_stub(stub)
        .start();
    tries(&gate, &post("/", "body"), TRIES, "a refused stream");
    gate.upstream.answer(|_| Reply::status(503));
    tries(&gate, &post("/", "body"), 1, "503");
}

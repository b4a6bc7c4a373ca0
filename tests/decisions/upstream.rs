//! How a request is carried: timeouts, what may be sent again, deadlines.

use crate::policies::rules;
use crate::script::play;
use crate::text::{answered, check};

const ORDERS: &str = "forward allowed account/ann";

/// A public rule with this `upstream`, and what it writes beside nothing else.
#[track_caller]
fn carried(upstream: &str, request: &str, expected: &str) {
    let policy = rules(&format!(
        "- {{ name: r, match: {{ hosts: [\"*\"], paths: [\"/**\"] }}, authenticate: none, upstream: {upstream} }}"
    ));
    let expected = match expected {
        "" => "r: forward public".to_owned(),
        more if more.starts_with("refuse") => format!("r: {more}"),
        more => format!("r: forward public; {more}"),
    };
    check(&policy, request, &expected);
}

const RETRY: &str = "set x-envoy-retry-on=connect-failure,retriable-status-codes; set x-envoy-max-retries=3; \
                     set x-envoy-retriable-status-codes=503,429";
const NEVER: &str = "set x-envoy-max-retries=0";
const UNSENT: &str = "set x-envoy-retry-on=connect-failure; set x-envoy-max-retries=3";

#[test]
fn timeouts() {
    carried("{}", "GET /", "");
    carried("{ timeout: 2s }", "GET /", "set x-envoy-upstream-rq-timeout-ms=2000");
    carried("{ timeout: none }", "POST /", "set x-envoy-upstream-rq-timeout-ms=0");
    carried(
        "{ timeout: 2s }",
        "GET / | x-envoy-upstream-rq-timeout-ms: 9 | x-envoy-max-retries: 9",
        "remove x-envoy-upstream-rq-timeout-ms; remove x-envoy-max-retries; set x-envoy-upstream-rq-timeout-ms=2000",
    );
}

#[test]
fn what_may_be_sent_again() {
    let with = |more: &str| format!("{{ retry: {{ attempts: 3, retry_on: [connect-failure, 503, 429]{more} }} }}");
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
        carried(&with(""), &format!("{method} /"), RETRY);
    }
    let keyed = "POST / | idempotency-key: 7";
    for method in ["POST", "PATCH", "PURGE", "LOCK"] {
        let request = format!("{method} /");
        carried(&with(""), &request, NEVER);
        carried(&with(", idempotency_key: true"), &request, NEVER);
        carried(&with(", route_retries: none"), &request, UNSENT);
        carried(&with(", unsafe_methods: true"), &request, RETRY);
        carried(
            &with(", idempotency_key: true"),
            &format!("{request} | idempotency-key: 7"),
            RETRY,
        );
    }
    carried(&with(""), keyed, NEVER);
    carried(&with(", idempotency_key: false"), keyed, NEVER);
    for empty in [
        "idempotency-key:",
        "idempotency-key:  ",
        "idempotency-key: 1 | idempotency-key: 2",
        "idempotency_key: 7",
    ] {
        carried(&with(", idempotency_key: true"), &format!("POST / | {empty}"), NEVER);
    }
    // Who calls itself a GET on the way is none, and what is none of ours stays of the route.
    carried(
        &with(""),
        "POST / | x-http-method-override: GET",
        &format!("remove x-http-method-override; {NEVER}"),
    );
    carried(
        "{ retry: { attempts: 3, retry_on: [503], route_retries: none } }",
        "POST /",
        NEVER,
    );
}

#[test]
fn every_header_of_the_router() {
    let all = "{ timeout: 2s, retry: { attempts: 2, retry_on: [reset, unavailable, retriable-headers, cancelled], \
               retriable_headers: [X-Again, x-once-more], per_try_timeout: 500ms, hedge_on_per_try_timeout: true, \
               unsafe_methods: true } }";
    carried(
        all,
        "POST /",
        "set x-envoy-upstream-rq-timeout-ms=2000; set x-envoy-retry-on=reset,retriable-headers; \
         set x-envoy-retry-grpc-on=unavailable,cancelled; set x-envoy-max-retries=2; \
         set x-envoy-retriable-header-names=x-again,x-once-more; set x-envoy-upstream-rq-per-try-timeout-ms=500; \
         set x-envoy-hedge-on-per-try-timeout=true",
    );
    // One try has all of the time.
    carried(
        &all.replace(
            "unavailable, retriable-headers, cancelled",
            "connect-failure, retriable-headers",
        )
        .replace("unsafe_methods: true", "route_retries: none"),
        "POST /",
        "set x-envoy-upstream-rq-timeout-ms=2000; set x-envoy-retry-on=connect-failure; set x-envoy-max-retries=2",
    );
}

/// It is 2026-12-01T00:00:00Z.
#[test]
fn a_deadline_shortens() {
    let absolute = "{ timeout: 2s, deadline: { header: x-request-deadline, min: 50ms, from: anyone } }";
    let took = |ms: u64| format!("set x-envoy-upstream-rq-timeout-ms={ms}");
    for (deadline, ms) in [
        ("1796083200300", 300),
        ("2026-12-01T00:00:00.300Z", 300),
        ("2026-12-01T01:00:00.300999+01:00", 300),
        ("1796083200050", 50),
        ("1796083202000", 2000),
    ] {
        carried(absolute, &format!("GET / | x-request-deadline: {deadline}"), &took(ms));
    }
    // What the upstream has ends sooner.
    for (deadline, passed) in [
        ("1796083202001", "1796083202000"),
        ("18446744073709551615", "1796083202000"),
        ("2199-12-31T23:59:59Z", "2026-12-01T00:00:02.000Z"),
    ] {
        carried(
            absolute,
            &format!("GET / | x-request-deadline: {deadline}"),
            &format!("set x-request-deadline={passed}; {}", took(2000)),
        );
    }
    for past in ["1796083200049", "1796083200000", "0", "2026-11-30T23:59:59Z"] {
        carried(
            absolute,
            &format!("GET / | x-request-deadline: {past}"),
            "refuse 504 deadline_exceeded/deadline; deadline_exceeded: the caller's deadline leaves no time for this",
        );
    }
    for garbage in [
        "soon",
        "-1",
        "1.5",
        "99999999999999999999999",
        "2026-12-01",
        "2026-12-01T00:00:01",
        "\\xff",
        "",
        "1796083200300 | x-request-deadline: 1796083200300",
        "1796083200300,1796083200300",
    ] {
        carried(
            absolute,
            &format!("GET / | x-request-deadline: {garbage}"),
            &format!("remove x-request-deadline; {}; unreadable deadline", took(2000)),
        );
    }
    // Another spelling is none that we go by, and none that the next one should.
    carried(
        absolute,
        "GET / | x_request_deadline: 1796083200300",
        &format!("remove x_request_deadline; {}", took(2000)),
    );
}

#[test]
fn a_deadline_counted_from_now() {
    let expected = "{ timeout: 2s, deadline: { header: x-envoy-expected-rq-timeout-ms, min: 50ms, from: anyone } }";
    let stripped = "remove x-envoy-expected-rq-timeout-ms";
    for (said, ms) in [("300", 300), ("99999999999999999999", 0), ("3000", 2000), ("0", 0)] {
        let passed = match ms {
            0 => format!("{stripped}; set x-envoy-upstream-rq-timeout-ms=2000; unreadable deadline"),
            2000 => {
                format!("{stripped}; set x-envoy-expected-rq-timeout-ms=2000; set x-envoy-upstream-rq-timeout-ms=2000")
            }
            ms => {
                format!("{stripped}; set x-envoy-upstream-rq-timeout-ms={ms}; set x-envoy-expected-rq-timeout-ms={ms}")
            }
        };
        carried(
            expected,
            &format!("GET / | x-envoy-expected-rq-timeout-ms: {said}"),
            &passed,
        );
    }
    let grpc = "{ timeout: none, deadline: { header: grpc-timeout, min: 50ms, from: anyone } }";
    for (said, ms) in [("300m", 300), ("1S", 1000), ("99999999H", 86_400_000), ("50999u", 50)] {
        carried(
            grpc,
            &format!("POST / | grpc-timeout: {said}"),
            &format!("set x-envoy-upstream-rq-timeout-ms={ms}; set grpc-timeout={ms}m"),
        );
    }
    carried(grpc, "POST /", "set x-envoy-upstream-rq-timeout-ms=0");
    carried(
        grpc,
        "POST / | grpc-timeout: 49m | content-type: application/grpc",
        "refuse 504 deadline_exceeded/deadline; grpc 4 the caller's deadline leaves no time for this",
    );
}

const KNOWN: &str = "- { name: r, authenticate: [account], anonymous: allow_missing, \
                     upstream: { timeout: 2s, deadline: { header: x-request-deadline, min: 50ms } } }";

#[test]
fn only_somebody_shortens() {
    let policy = rules(KNOWN);
    check(
        &policy,
        "GET / | x-request-deadline: 0",
        "r: forward anonymous; remove x-request-deadline; set x-envoy-upstream-rq-timeout-ms=2000",
    );
    let caller = "GET / | authorization: a | x-request-deadline: 1796083200300";
    answered(
        &policy,
        caller,
        "200 | x-auth-user: ann",
        &format!("r: {ORDERS}; remove authorization; set x-envoy-upstream-rq-timeout-ms=300"),
    );
    let late = "GET / | authorization: a | x-request-deadline: 0";
    answered(
        &policy,
        late,
        "200 | x-auth-user: ann",
        "r: refuse 504 deadline_exceeded/deadline account/ann; \
         deadline_exceeded: the caller's deadline leaves no time for this",
    );
    // Who may not is told so, however late.
    answered(&policy, late, "403", "r: refuse 403 denied/service…");
}

/// What the service took is not the upstream's.
#[test]
fn time_spent_here_counts() {
    let policy = rules(KNOWN);
    play(
        &policy,
        "
        GET /a | authorization: a                                        -> asks
        +300ms
        < 200 | x-auth-user: ann                                         -> asked allowed ann 1700ms
        GET /a | authorization: a                                        -> asks
        +1949ms
        < 200 | x-auth-user: ann                                         -> asked allowed ann 51ms
        GET /a | authorization: a                                        -> asks
        +1951ms
        < 200 | x-auth-user: ann                                         -> asked deadline_exceeded ann 504
        GET /a | authorization: a | x-request-deadline: 1800000006000    -> asks
        +300ms
        < 200 | x-auth-user: ann                                         -> asked allowed ann 1500ms
        GET /a | authorization: a | x-request-deadline: 1800000006000    -> asks
        +1460ms
        < 200 | x-auth-user: ann                                         -> asked deadline_exceeded ann 504
        ",
    );
}

#[test]
fn defaults_fill_a_rule_whole() {
    let lines = "
- { name: own, match: { hosts: [\"*\"], paths: [/own] }, authenticate: none, upstream: { timeout: none } }
- { name: bare, match: { hosts: [\"*\"], paths: [/bare] }, authenticate: none, upstream: {} }
- { name: rest, match: { hosts: [\"*\"], paths: [/rest] }, authenticate: none }
- { name: closed, match: { paths: [/closed] }, refuse: 404 }
- { name: cors, authenticate: [account], cors: { preflight: pass } }
defaults: { upstream: { timeout: 5s, retry: { attempts: 3, retry_on: [reset] } } }";
    let policy = rules(lines);
    let defaults = "set x-envoy-upstream-rq-timeout-ms=5000; set x-envoy-retry-on=reset; set x-envoy-max-retries=3";
    check(
        &policy,
        "GET /own",
        "own: forward public; set x-envoy-upstream-rq-timeout-ms=0",
    );
    check(&policy, "GET /bare", "bare: forward public");
    check(&policy, "GET /rest", &format!("rest: forward public; {defaults}"));
    check(&policy, "GET /closed", "closed: refuse 404…");
    check(
        &policy,
        "OPTIONS / | origin: o | access-control-request-method: PUT",
        &format!("cors: forward preflight; {defaults}"),
    );
    check(
        &format!("mode: observe\n{policy}"),
        "GET /rest | x-envoy-max-retries: 9",
        "rest: forward public; observed",
    );
}

//! How a request is carried: timeouts, what may be sent again, deadlines.

use crate::policies::rules;
use crate::properties::for_all;
use crate::script::play;
use crate::text::{NOW, answered, check, read_policy, read_request};
use meshgate::request::Request;
use meshgate::time::{UnixTime, rfc3339};
use meshgate::upstream::{Carried, TimeUp, carry, deadline};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

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
        "idempotency-key: \"\"",
        "idempotency-key: a,b",
        "idempotency-key: \u{a0}",
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

/// What a caller writes: so many milliseconds in one of four forms, or anything.
type Said = Result<(u64, usize), String>;

fn deadlines() -> impl Strategy<Value = Said> {
    let junk = prop_oneof!["[0-9TZ:.+m-]{0,24}", "[!-Z]{0,20}"];
    prop_oneof![4 => (0..9000_u64, 0..2_usize).prop_map(Ok), 1 => (any::<u64>(), 0..2_usize).prop_map(Ok), 1 => junk.prop_map(Err)]
}

/// Instants are counted from five seconds ago.
fn written(said: &Said, header: &str) -> String {
    let (ms, form) = match said {
        Ok(said) => *said,
        Err(junk) => return junk.clone(),
    };
    let instant = (NOW.as_ms() - 5000).saturating_add(ms);
    match (header, form) {
        ("x-request-deadline", 0) => instant.to_string(),
        ("x-request-deadline", _) => rfc3339(instant.saturating_mul(1_000_000)),
        ("grpc-timeout", 0) => format!("{ms}m"),
        ("grpc-timeout", _) => format!("{}S", ms / 1000),
        _ => ms.to_string(),
    }
}

fn number(text: &[u8]) -> u64 {
    let text = std::str::from_utf8(text).expect("digits");
    text.parse().unwrap_or_else(|_| panic!("no number: {text}"))
}

/// Whatever comes, nobody waits longer than the policy and the caller say, and only what may be is sent twice.
#[test]
fn never_longer_than_anybody_said() {
    let cases = (
        select(vec!["GET", "PUT", "POST", "PATCH", "FOO"]),
        select(vec![
            "x-request-deadline",
            "x-envoy-expected-rq-timeout-ms",
            "grpc-timeout",
        ]),
        prop_oneof![4 => vec(deadlines(), 1), 1 => vec(deadlines(), 0..=2)],
        select(vec!["20ms", "400ms", "2s", "24h", "none"]),
        0..1000_u64,
        any::<bool>(),
    );
    let test = |(method, header, said, timeout, spent_ms, known): (&str, &str, Vec<Said>, &str, u64, bool)| {
        let said: Vec<String> = said.iter().map(|said| written(said, header)).collect();
        let policy = read_policy(&rules(&format!(
            "- {{ name: r, authenticate: [account], upstream: {{ timeout: {timeout}, deadline: {{ header: {header}, min: 9ms }}, \
             retry: {{ attempts: 3, retry_on: [503], idempotency_key: true }} }} }}"
        )));
        let upstream = policy.rules[0].upstream.as_ref().expect("an upstream");
        let mut request = format!("{method} / | x-envoy-max-retries: 99");
        for value in &said {
            request += &format!(" | {header}: {value}");
        }
        let (headers, _) = read_request(&request);
        let mut edits = policy.strip.edits(&headers);
        let request = Request::parse(headers.clone()).expect("a request");
        let arrived_ms = NOW.as_ms() - spent_ms;
        let times = (UnixTime::from_ns(arrived_ms * 1_000_000), NOW);
        let left_of_timeout = upstream.timeout_ms.map(|ms| ms.saturating_sub(spent_ms));
        let carried = match carry(upstream, &request, known, times, &mut edits) {
            Ok(carried) => carried,
            Err(TimeUp::Deadline) => {
                prop_assert!(known && said.len() == 1, "nobody's word is no deadline");
                return Ok(true);
            }
            Err(TimeUp::Timeout) => {
                prop_assert!(left_of_timeout.is_some_and(|left| left < 9), "{left_of_timeout:?}");
                return Ok(false);
            }
        };
        let set = |name: &str| {
            let mut all = edits.sets().filter(|(other, _)| other == name.as_bytes());
            let value = all.next().map(|(_, value)| value.clone());
            assert!(all.next().is_none(), "{name} is set twice");
            value
        };
        let written = number(&set("x-envoy-upstream-rq-timeout-ms").expect("a timeout"));
        match left_of_timeout {
            Some(left) => prop_assert!((1..=left).contains(&written), "{written} of {left}"),
            None => prop_assert!(written <= 86_400_000),
        }
        let retries = number(&set("x-envoy-max-retries").expect("a number of retries"));
        prop_assert_eq!(retries, if matches!(method, "GET" | "PUT") { 3 } else { 0 });
        // What goes on under the deadline's name says no more than what is written, and no more than came.
        let kept = headers
            .only(header)
            .filter(|_| !edits.remove.iter().any(|name| name == header.as_bytes()));
        let passed = set(header).or(kept.map(<[u8]>::to_vec));
        let Some(passed) = passed else {
            prop_assert!(left_of_timeout.is_none_or(|left| left == written));
            return Ok(false);
        };
        prop_assert!(known && said.len() == 1 && carried == Carried::AsSaid && written > 0);
        let passed = String::from_utf8(passed).expect("text");
        let until = |text: &str| match header {
            "x-request-deadline" => deadline::instant(text),
            "grpc-timeout" => deadline::grpc(text).map(|ms| arrived_ms.saturating_add(ms)),
            _ => deadline::millis(text).map(|ms| arrived_ms.saturating_add(ms)),
        };
        let callers = until(&said[0]).expect("a deadline");
        let told = match header {
            "x-request-deadline" => until(&passed).expect("a deadline") - NOW.as_ms(),
            _ => until(&passed).expect("a deadline") - arrived_ms,
        };
        prop_assert_eq!(told, written, "{}", passed);
        prop_assert!(NOW.as_ms() + written <= callers, "{} ms, {}", written, said[0]);
        Ok(true)
    };
    let hits = for_all(3000, cases, test);
    assert!(hits > 300, "{hits} of the cases had a deadline that counted");
}

//! What is remembered, how long, and what makes the filter forget.

use crate::policies::one;
use crate::script::{BEGIN_S, play};
use base64::Engine;

const CALLOUT: &str =
    "protocol: ext_authz_http, on_failure: deny, credential: [\"header:authorization\", \"cookie:session*\"]";

/// One rule; `more` goes into the callout.
fn remembering(more: &str) -> String {
    one(&format!("{CALLOUT}, {more}"), "mode: enforce")
}

/// The second request is asked anew, or goes by the answer to the first.
#[track_caller]
fn same(policy: &str, one: &str, other: &str, expected: bool) {
    let second = match expected {
        true => "remembered allowed ann",
        false => "asks",
    };
    for (one, other) in [(one, other), (other, one)] {
        let answer = "< 200 | x-auth-user: ann -> asked allowed ann; kept";
        play(policy, &format!("{one} -> asks\n{answer}\n{other} -> {second}"));
    }
}

const A: &str = "GET /a?b=c | :scheme: https | authorization: a | x-tenant-id: 1 | x-request-id: 1";

#[test]
fn everything_that_is_sent_tells_answers_apart() {
    let policy = remembering("send: { headers: [\"x-tenant-*\"], add: { x-gateway: edge } }, cache: { ttl: 30s }");
    for (other, expected) in [
        (A.to_owned(), true),
        // Sent, and no part of who asks what.
        (A.replace("x-request-id: 1", "x-request-id: 2"), true),
        (
            format!("{A} | traceparent: 00-1-2-3 | b3: 0 | sw8: 1 | x-b3-traceid: 1"),
            true,
        ),
        // Not sent.
        (format!("{A} | x-other: 1 | cookie: theme=dark | x-gateway: mine"), true),
        (format!("{A} | @plain | @ip 203.0.113.9"), true),
        // Sent.
        (A.replace("GET", "POST"), false),
        (A.replace("GET", "HEAD"), false),
        (A.replace("/a?", "/b?"), false),
        (A.replace("?b=c", "?b=d"), false),
        (A.replace("?b=c", "?"), false),
        (A.replace("?b=c", ""), false),
        (A.replace("https", "http"), false),
        (format!("{A} | :authority: other.example.com"), false),
        (A.replace("authorization: a", "authorization: b"), false),
        (A.replace("authorization: a", "cookie: session=a"), false),
        (format!("{A} | cookie: session=a"), false),
        (A.replace("x-tenant-id: 1", "x-tenant-id: 2"), false),
        (A.replace("x-tenant-id: 1", "x-tenant-id:"), false),
        (A.replace("x-tenant-id: 1", "x-tenant-ie: 1"), false),
        (A.replace(" | x-tenant-id: 1", ""), false),
        (format!("{A} | x-tenant-id: 2"), false),
        (format!("{A} | x-tenant-id: 1"), false),
        (format!("{A} | x-tenant-b: 1"), false),
    ] {
        same(&policy, A, &other, expected);
    }
    same(
        &policy,
        "GET /a | authorization: a",
        "GET /a? | authorization: a",
        false,
    );
    same(
        &policy,
        &format!("{A} | x-tenant-a: 1 | x-tenant-b: 2"),
        &format!("{A} | x-tenant-a: 2 | x-tenant-b: 1"),
        false,
    );
}

/// What the operator adds is the same for all, unless two authenticators say otherwise; and what it sets
/// itself no caller tells apart.
#[test]
fn what_is_added_stands_in_place_of_the_callers() {
    let policy = remembering("send: { headers: [\"*\"], add: { x-tenant-id: edge } }, cache: { ttl: 30s }");
    same(&policy, A, &A.replace("x-tenant-id: 1", "x-tenant-id: 2"), true);
    same(&policy, A, &format!("{A} | x-else: 1"), false);
}

#[test]
fn each_word_of_ignore() {
    let send = "send: { headers: [\"x-tenant-*\"], forwarded: [method, host, uri, proto, for] }";
    for (ignore, other, expected) in [
        ("method", A.replace("GET", "POST"), true),
        ("path", A.replace("/a?", "/b?"), true),
        ("path", A.replace("?b=c", "?b=d"), false),
        ("query", A.replace("?b=c", "?b=d"), true),
        ("query", A.replace("?b=c", ""), true),
        ("query", A.replace("/a?", "/b?"), false),
        ("host", format!("{A} | :authority: other.example.com"), true),
        ("host", A.replace("GET", "POST"), false),
        (
            "header:x-tenant-id",
            A.replace("x-tenant-id: 1", "x-tenant-id: 2"),
            true,
        ),
        ("header:x-tenant-id", A.replace(" | x-tenant-id: 1", ""), true),
        ("header:x-tenant-id", format!("{A} | x-tenant-b: 1"), false),
        ("header:x-forwarded-for", format!("{A} | @ip 203.0.113.9"), true),
        ("header:x-forwarded-proto", format!("{A} | @ip 203.0.113.9"), false),
        ("header:x-forwarded-proto", format!("{A} | @plain"), true),
        ("header:x-forwarded-for", format!("{A} | @plain"), false),
    ] {
        let native = (
            CALLOUT.to_owned(),
            send.split(", forwarded").next().unwrap().to_owned() + " }",
        );
        let forward = (
            CALLOUT.replace("ext_authz_http", "forward_auth, path: /auth"),
            send.to_owned(),
        );
        for (callout, send) in [native, forward] {
            if callout.contains("ext_authz_http") && ignore.contains("forwarded") {
                continue;
            }
            let with = |cache: &str| one(&format!("{callout}, {send}, cache: {{ {cache} }}"), "mode: enforce");
            same(&with(&format!("ttl: 30s, ignore: [\"{ignore}\"]")), A, &other, expected);
            same(&with("ttl: 30s"), A, &other, false);
        }
    }
}

/// What forward_auth is not told of cannot change its verdict.
#[test]
fn forward_auth_is_known_by_what_is_forwarded() {
    let callout = CALLOUT.replace("ext_authz_http", "forward_auth, path: /auth");
    let with = |forwarded: &str| {
        let more = format!("{callout}, send: {{ forwarded: [{forwarded}] }}, cache: {{ ttl: 30s }}");
        one(&more, "mode: enforce")
    };
    same(&with("method"), A, &A.replace("/a?b=c", "/b"), true);
    same(&with("method"), A, &A.replace("GET", "PUT"), false);
    same(&with("uri"), A, &A.replace("/a?b=c", "/b"), false);
    same(&with("uri"), A, &A.replace("GET", "PUT"), true);
}

#[track_caller]
fn lives(answer: &str, seconds: u64) {
    let policy = remembering("cache: { ttl: 30s }");
    let script = |after: u64, then: &str| {
        format!(
            "GET / | authorization: a -> asks\n< 200 | x-auth-user: ann{answer} -> asked allowed ann; kept\n\
             +{after}s\nGET / | authorization: a -> {then}"
        )
    };
    play(&policy, &script(seconds - 1, "remembered allowed ann"));
    play(&policy, &script(seconds, "asks"));
}

#[test]
fn the_service_shortens_and_never_lengthens() {
    lives("", 30);
    for (headers, seconds) in [
        (" | cache-control: max-age=5", 5),
        (" | cache-control: max-age=3600", 30),
        (" | cache-control: public, Max-Age=5", 5),
        (" | cache-control: max-age=5 | cache-control: max-age=3", 3),
        (" | cache-control: max-age=20, s-maxage=5", 5),
        (" | cache-control: max-age=20 | age: 15", 5),
        (" | age: 15", 30),
        (
            " | date: Fri, 15 Jan 2027 08:00:00 GMT | expires: Fri, 15 Jan 2027 08:00:05 GMT",
            5,
        ),
        (" | expires: Fri, 15 Jan 2027 08:00:05 GMT", 5),
        (" | expires: Fri, 15 Jan 2027 09:00:05 GMT", 30),
        (
            " | cache-control: max-age=9 | expires: Fri, 15 Jan 2027 08:00:05 GMT",
            9,
        ),
        (" | vary: Authorization", 30),
    ] {
        lives(headers, seconds);
    }
}

fn jwt(exp: u64) -> String {
    let part = |json: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json);
    format!(
        "{}.{}.c2ln",
        part("{\"alg\":\"RS256\"}"),
        part(&format!("{{\"sub\":\"ann\",\"exp\":{exp}}}"))
    )
}

/// Nothing of it: not as fresh, not beside a new question, not while the service is away.
#[test]
fn a_jwt_is_not_outlived() {
    let policy = remembering("cache: { ttl: 30s, stale_if_error: 1h, stale_while_revalidate: 1m }");
    let token = jwt(BEGIN_S + 10);
    for credential in [
        format!("authorization: Bearer {token}"),
        format!("cookie: session={token}"),
        format!("authorization: raw | cookie: session2={token}"),
    ] {
        play(
            &policy,
            &format!(
                "GET / | {credential} -> asks
                < 200 | x-auth-user: ann -> asked allowed ann; kept
                +9999ms
                GET / | {credential} -> remembered allowed ann
                +1ms
                GET / | {credential} -> asks
                < timeout -> asked auth_unavailable 503"
            ),
        );
    }
    // Nobody knows when that one ended.
    let expired = jwt(BEGIN_S - 1);
    play(
        &policy,
        &format!(
            "GET / | authorization: Bearer {expired} -> asks
            < 200 | x-auth-user: ann -> asked allowed ann
            GET / | authorization: Bearer {expired} -> asks"
        ),
    );
}

#[track_caller]
fn never(callout: &str, request: &str, answer: &str) {
    let script = format!("{request} -> asks\n< {answer} -> …\n{request} -> asks\n< timeout -> …\n{request} -> asks");
    play(&remembering(callout), &script);
}

const LONG: &str = "cache: { ttl: 1h, denied_ttl: 1m, stale_if_error: 1h }";

#[test]
fn never_remembered() {
    let get = "GET / | authorization: a | x-tenant-id: 1";
    for header in [
        "set-cookie: a=1",
        "cache-control: no-store",
        "cache-control: no-cache",
        "cache-control: private",
        "cache-control: max-age=60, Private=\"x-auth-user\"",
        "cache-control: max-age=0",
        "cache-control: max-age=soon",
        "cache-control: s-maxage=0, max-age=60",
        "cache-control: max-age=60 | age: 60",
        "expires: 0",
        "expires: Fri, 15 Jan 2027 07:59:59 GMT",
        "vary: *",
        "vary: authorization, accept-language",
        "vary: x-request-id",
        "vary: cookie",
        "vary: authorization | vary: *",
    ] {
        for status in ["200 | x-auth-user: ann", "401", "403"] {
            never(LONG, get, &format!("{status} | {header}"));
        }
    }
    for failure in [
        "500",
        "502",
        "503",
        "504",
        "200",
        "timeout",
        "reset",
        "connect_failure",
        "bad_response",
        "garbled",
        "abc",
        "no_host",
        "unknown_cluster",
    ] {
        never(LONG, get, failure);
    }
    let ignoring = "send: { headers: [x-tenant-id] }, cache: { ttl: 1h, ignore: [\"header:x-tenant-id\"] }";
    never(ignoring, get, "200 | x-auth-user: ann | vary: x-tenant-id");
    play(
        &remembering(&ignoring.replace(", ignore: [\"header:x-tenant-id\"]", "")),
        &format!(
            "{get} -> asks\n< 200 | x-auth-user: ann | vary: X-Tenant-Id -> asked allowed ann; kept\n{get} -> remembered allowed ann"
        ),
    );
    never(
        "send: { headers: [\"x-*\"] }, cache: { ttl: 1h }",
        get,
        "200 | x-auth-user: ann | vary: x-request-id",
    );
    // Without a cache nothing is, and without its credential nobody is known.
    never(
        "retry: { attempts: 1, retry_on: [reset] }",
        get,
        "200 | x-auth-user: ann",
    );
    let always = one(
        "protocol: ext_authz_http, on_failure: deny, cache: { ttl: 1h }",
        "mode: enforce",
    );
    play(
        &always,
        "GET / -> asks
        < 200 | x-auth-user: ann -> asked allowed ann
        GET / -> asks
        GET / | authorization: a -> asks
        << 200 | x-auth-user: ann -> asked allowed ann; kept
        GET / -> asks
        GET / | authorization: a -> remembered allowed ann",
    );
}

/// The verdict may depend on what the body says, so nothing passes between requests with and without one.
#[test]
fn a_body_that_is_shown_is_nobody_elses() {
    let body = "send: { body: { max: 8KiB, host_flag: allow_on_headers_stop_iteration } }";
    let policy = remembering(&format!("{body}, {LONG}, breaker: {{ failures: 5, open_for: 5s }}"));
    play(
        &policy,
        "POST / | authorization: a | @body -> asks
        < 200 | x-auth-user: ann -> asked allowed ann
        POST / | authorization: a | @body -> asks
        < 401 -> asked denied 401
        POST / | authorization: a -> asks
        < 200 | x-auth-user: ann -> asked allowed ann; kept
        POST / | authorization: a -> remembered allowed ann
        POST / | authorization: a | @body -> asks
        < timeout -> asked auth_unavailable 503
        POST / | authorization: a | @body -> asks
        < connect_failure -> asked auth_unavailable 503
        POST / | authorization: a -> remembered allowed ann",
    );
    // Where the service does not see it, it changes nothing.
    play(
        &remembering(LONG),
        "POST / | authorization: a | @body -> asks
        < 200 | x-auth-user: ann -> asked allowed ann; kept
        POST / | authorization: a | @body -> remembered allowed ann",
    );
}

#[test]
fn denials_only_where_the_policy_says_so() {
    play(
        &remembering("cache: { ttl: 30s }"),
        "GET / | authorization: a -> asks
        < 401 -> asked denied 401
        GET / | authorization: a -> asks",
    );
    play(
        &remembering("cache: { ttl: 30s, denied_ttl: 2s, stale_if_error: 1h, stale_while_revalidate: 1h }"),
        "GET / | authorization: a -> asks
        < 403 | x-why: no | > page -> asked denied 403; kept
        +1999ms
        GET / | authorization: a -> remembered denied 403
        +1ms
        GET / | authorization: a -> asks
        < timeout -> asked auth_unavailable 503
        GET / | authorization: b -> asks
        < 302 | location: /login | cache-control: max-age=1 -> asked denied 302; kept
        +1s
        GET / | authorization: b -> asks",
    );
    // What is left out of the key may be what the 403 was for; a bad credential is bad everywhere.
    play(
        &remembering("cache: { ttl: 30s, denied_ttl: 2s, ignore: [path] }"),
        "GET /a | authorization: a -> asks
        < 403 -> asked denied 403
        GET /b | authorization: a -> asks
        < 302 | location: / -> asked denied 302
        GET /b | authorization: a -> asks
        < 401 -> asked denied 401; kept
        GET /c | authorization: a -> remembered denied 401",
    );
}

/// The whole page, as the service sent it.
#[test]
fn a_remembered_denial_is_a_denial_like_any_other() {
    let policy = one(
        &format!("{CALLOUT}, cache: {{ ttl: 30s, denied_ttl: 2s }}"),
        "anonymous: allow_missing_or_failed",
    );
    play(
        &policy,
        "GET / | authorization: a -> asks
        < 401 -> asked anonymous nobody; kept
        GET / | authorization: a -> remembered anonymous nobody",
    );
}

/// Two questions with one key can be under way; whichever no comes last, the yes is gone.
#[test]
fn a_denial_ends_what_a_yes_began() {
    for (cache, kept) in [
        ("ttl: 30s, stale_if_error: 1h", ""),
        ("ttl: 30s, denied_ttl: 2s, stale_if_error: 1h", "; kept"),
        // Not remembered itself, and it ends the yes all the same.
        ("ttl: 30s, stale_if_error: 1h, ignore: [query]", ""),
    ] {
        let policy = remembering(&format!("cache: {{ {cache} }}"));
        // Fresh.
        play(
            &policy,
            &format!(
                "GET / | authorization: a -> asks
                GET / | authorization: a -> asks
                < 200 | x-auth-user: ann -> asked allowed ann; kept
                GET / | authorization: a -> remembered allowed ann
                < 403 -> asked denied 403{kept}
                +3s
                GET / | authorization: a -> asks
                < timeout -> asked auth_unavailable 503"
            ),
        );
        // Stale, and whatever the denial says of being stored.
        play(
            &policy,
            "GET / | authorization: a -> asks
            < 200 | x-auth-user: ann -> asked allowed ann; kept
            +31s
            GET / | authorization: a -> asks
            < timeout -> stale allowed ann
            GET / | authorization: a -> asks
            < 403 | cache-control: no-store -> asked denied 403
            GET / | authorization: a -> asks
            < timeout -> asked auth_unavailable 503",
        );
    }
}

#[test]
fn stale_only_while_the_service_is_away() {
    let known = "GET / | authorization: a -> asks
        < 200 | x-auth-user: ann -> asked allowed ann; kept
        +30s
        GET / | authorization: a -> asks\n";
    for on_failure in ["deny", "allow"] {
        let callout = CALLOUT.replace("deny", on_failure);
        let policy = one(
            &format!("{callout}, cache: {{ ttl: 30s, stale_if_error: 5m }}"),
            "mode: enforce",
        );
        for outage in [
            "502",
            "503",
            "504",
            "503 | x-envoy-upstream-service-time: 1",
            "timeout",
            "reset",
            "connect_failure",
            "bad_response",
            "no_host",
            "unknown_cluster",
            "-",
        ] {
            play(&policy, &format!("{known}< {outage} -> stale allowed ann"));
        }
        // Of the one request that met it: whoever can provoke one must not live on by it.
        let own = match on_failure {
            "deny" => "asked auth_unavailable 503",
            _ => "asked failed_open nobody",
        };
        for own_failure in [
            "500",
            "501",
            "505",
            "599",
            "200",
            "garbled",
            "abc",
            "200 | x-auth-user: a | x-auth-user: b",
        ] {
            play(&policy, &format!("{known}< {own_failure} -> {own}"));
        }
        play(&policy, &format!("{known}< host -> asked auth_unavailable 503"));
        let end = format!(
            "{known}+299s
            < timeout -> stale allowed ann
            GET / | authorization: a -> asks
            +1s
            < timeout -> {own}"
        );
        play(&policy, &end);
    }
    // Only what the policy allows, and not against the service's own word.
    play(
        &remembering("cache: { ttl: 30s }"),
        &format!("{known}< timeout -> asked auth_unavailable 503"),
    );
    for word in ["must-revalidate", "proxy-revalidate", "s-maxage=30"] {
        let known = known.replace("user: ann", &format!("user: ann | cache-control: {word}"));
        play(
            &remembering("cache: { ttl: 30s, stale_if_error: 5m, stale_while_revalidate: 5m }"),
            &format!("{known}< timeout -> asked auth_unavailable 503"),
        );
    }
}

/// A yes that is in its life serves whoever asked before it came.
#[test]
fn a_yes_that_came_meanwhile_serves_in_an_outage() {
    play(
        &remembering("cache: { ttl: 30s }"),
        "GET / | authorization: a -> asks
        GET / | authorization: a -> asks
        << 200 | x-auth-user: ann -> asked allowed ann; kept
        < timeout -> stale allowed ann",
    );
}

#[test]
fn one_question_beside() {
    let policy = remembering("cache: { ttl: 30s, stale_while_revalidate: 10s }");
    let known = "GET / | authorization: a -> asks
        < 200 | x-auth-user: ann -> asked allowed ann; kept
        +30s
        GET / | authorization: a -> revalidated allowed ann; asks
        GET / | authorization: a -> revalidated allowed ann\n";
    for (answer, then) in [
        (
            "200 | x-auth-user: bob -> heard allowed; kept",
            "remembered allowed bob",
        ),
        (
            "200 | x-auth-user: bob | cache-control: no-store -> heard allowed",
            "revalidated allowed ann",
        ),
        ("401 -> heard denied", "asks"),
        ("500 -> heard server_error", "revalidated allowed ann"),
        ("timeout -> heard timeout", "revalidated allowed ann"),
    ] {
        play(
            &policy,
            &format!("{known}< {answer}\nGET / | authorization: a -> {then}"),
        );
    }
    // One that got lost is followed by another.
    play(
        &policy,
        &format!(
            "{known}+2s\nGET / | authorization: a -> revalidated allowed ann; asks\n+8s\nGET / | authorization: a -> asks"
        ),
    );
}

const BREAKER: &str = "breaker: { failures: 5, open_for: 5s }";

/// So many callers ask one after the other and get this answer.
fn ask(callers: impl IntoIterator<Item = u32>, answer: &str) -> String {
    callers
        .into_iter()
        .map(|n| format!("GET / | authorization: c{n} -> asks\n< {answer} -> …\n"))
        .collect()
}

const OPEN: &str = "GET / | authorization: z -> nobody auth_unavailable 503 retry-after=5";
const CLOSED: &str = "GET / | authorization: z -> asks";

#[test]
fn an_outage_opens_the_breaker() {
    let policy = remembering(BREAKER);
    for outage in ["timeout", "reset", "connect_failure", "no_host", "502", "503", "504"] {
        play(&policy, &format!("{}{OPEN}", ask([1, 2, 3, 1, 2], outage)));
        play(&policy, &format!("{}{CLOSED}", ask([1, 2, 3, 1], outage)));
    }
    for script in [
        // A service's own errors, and answers that say nothing.
        ask(1..50, "500"),
        ask(1..50, "200"),
        // Two callers.
        ask((0..50).map(|n| n % 2), "timeout"),
        // Fewer than half.
        ask(1..8, "401") + &ask(1..7, "timeout"),
        // Within more than ten seconds.
        ask(1..5, "timeout") + "+11s\n" + &ask(5..6, "timeout"),
    ] {
        play(&policy, &format!("{script}{CLOSED}"));
    }
    play(&policy, &format!("{}{OPEN}", ask(1..8, "401") + &ask(1..8, "timeout")));
}

/// A question with a body goes out long after its headers came: the time of the question is what counts.
#[test]
fn a_question_with_a_body_closes_the_breaker() {
    let body = "send: { body: { max: 8KiB, host_flag: allow_on_headers_stop_iteration } }";
    let opened = ask(1..6, "timeout");
    play(
        &remembering(&format!("{body}, {BREAKER}")),
        &format!(
            "{opened}+5s
            POST / | authorization: a | @body -> asks
            < 200 | x-auth-user: ann -> asked allowed ann
            {CLOSED}"
        ),
    );
}

#[test]
fn while_it_is_open() {
    let opened = ask(1..6, "timeout");
    // What `on_failure` says.
    let open = one(
        &format!(
            "{}, {BREAKER}",
            CALLOUT.replace("on_failure: deny", "on_failure: allow")
        ),
        "mode: enforce",
    );
    play(
        &open,
        &format!("{opened}GET / | authorization: z -> nobody failed_open nobody"),
    );
    // One probe at a time; what it finds decides.
    let policy = remembering(BREAKER);
    let probing = format!(
        "{opened}+4001ms
        GET / | authorization: z -> nobody auth_unavailable 503 retry-after=1
        +999ms
        GET / | authorization: y -> asks
        {OPEN}\n"
    );
    play(
        &policy,
        &format!("{probing}< timeout -> asked auth_unavailable 503\n{OPEN}\n+5s\n{CLOSED}\n{OPEN}"),
    );
    for answer in [
        "200 | x-auth-user: y -> asked allowed y",
        "401 -> asked denied 401",
        "500 -> asked auth_unavailable 503",
    ] {
        play(&policy, &format!("{probing}< {answer}\n{CLOSED}\n{CLOSED}"));
    }
    play(&policy, &format!("{probing}+5s\n{CLOSED}\n{OPEN}"));
}

#[test]
fn known_callers_do_not_notice() {
    let opened = ask(1..6, "timeout");
    let policy = remembering(&format!(
        "{BREAKER}, cache: {{ ttl: 30s, stale_if_error: 1h, stale_while_revalidate: 1s }}"
    ));
    let known = "GET / | authorization: a -> asks
        < 200 | x-auth-user: ann -> asked allowed ann; kept\n";
    play(
        &policy,
        &format!("{known}{opened}GET / | authorization: a -> remembered allowed ann\n{OPEN}"),
    );
    play(
        &policy,
        &format!("{known}+31s\n{opened}GET / | authorization: a -> stale allowed ann\n{OPEN}"),
    );
    // Nor does a question beside go out, unless it is the probe.
    play(
        &policy,
        &format!("{known}+30s\n{opened}GET / | authorization: a -> revalidated allowed ann\n{OPEN}"),
    );
    play(
        &policy,
        &format!(
            "{known}+25s\n{opened}+5s\nGET / | authorization: a -> revalidated allowed ann; asks\n{OPEN}\n< timeout -> heard timeout\n{OPEN}"
        ),
    );
}

/// Two services, rules that ask them, and rules that make the filter forget.
const CLUB: &str = r#"
version: 1
authenticators:
  account:
    callout:
      protocol: ext_authz_http
      cluster: auth
      timeout: 500ms
      credential: ["header:authorization"]
      principal: { subject: x-auth-user, groups: { header: x-auth-groups, split: "," } }
      accept: { to_client: [x-note] }
      on_failure: deny
      cache: { ttl: 30s, ignore: [method, path, query], stale_if_error: 1h, stale_while_revalidate: 1m }
  partner:
    callout:
      protocol: ext_authz_http
      cluster: partner
      timeout: 500ms
      credential: ["header:x-api-key"]
      principal: { subject: x-auth-user, groups: { header: x-auth-groups, split: "," } }
      on_failure: deny
      cache: { ttl: 30s, ignore: [method, path, query] }
rules:
- { name: ops, match: { paths: ["/ops/**"] }, authenticate: [account], require: { groups: { any_of: [ops] } } }
- { name: open, match: { paths: ["/open/**"] }, authenticate: [account], anonymous: allow_missing_or_failed }
- { name: logout, match: { paths: [/logout] }, authenticate: [account], forget: credential }
- { name: leave, match: { paths: [/leave] }, authenticate: [account], anonymous: allow_missing_or_failed, forget: credential }
- name: forget
  match: { paths: [/forget], methods: [POST] }
  authenticate: [account]
  require: { groups: { any_of: [ops] } }
  forget: requested
- { name: partner, match: { paths: ["/partner/**"] }, authenticate: [partner] }
- { name: all, authenticate: [account] }
"#;

#[track_caller]
fn club(script: &str) {
    play(CLUB, script);
}

/// A caller is known; a rule still says for itself what it takes.
#[test]
fn the_rule_of_each_request_decides() {
    club(
        "GET /a | authorization: a -> asks
        < 200 | x-auth-user: ann | x-auth-groups: sales -> asked allowed ann; kept
        GET /ops/a | authorization: a -> remembered forbidden ann 403
        GET /a | authorization: a -> remembered allowed ann
        GET /open/a | authorization: a -> remembered allowed ann
        GET /ops/a | authorization: b -> asks
        < 200 | x-auth-user: bob | x-auth-groups: sales,ops -> asked allowed bob; kept
        GET /a | authorization: b -> remembered allowed bob
        GET /ops/a | authorization: b -> remembered allowed bob",
    );
    // Also where it is stale, and where the answer is to another's question.
    club(
        "GET /a | authorization: a -> asks
        GET /ops/a | authorization: a -> asks
        < 200 | x-auth-user: ann | x-auth-groups: sales -> asked allowed ann; kept
        < timeout -> stale forbidden ann 403
        +40s
        GET /ops/a | authorization: a -> revalidated forbidden ann 403; asks
        +60s
        GET /ops/a | authorization: a -> asks
        << timeout -> stale forbidden ann 403",
    );
}

/// ann of one service is not ann of the other, nor one credential the other's.
#[test]
fn two_authenticators_callers_are_two() {
    club(
        "GET /a | authorization: k -> asks
        < 200 | x-auth-user: ann -> asked allowed ann; kept
        GET /partner/a | x-api-key: k -> asks
        < 200 | x-auth-user: ann | x-auth-groups: partners -> asked allowed ann; kept
        GET /partner/a | x-api-key: k -> remembered allowed ann
        GET /ops/a | authorization: o -> asks
        < 200 | x-auth-user: root | x-auth-groups: ops -> asked allowed root; kept
        POST /forget?subject=ann&authenticator=partner | authorization: o -> remembered forgotten root 200
        GET /a | authorization: k -> remembered allowed ann
        GET /partner/a | x-api-key: k -> asks",
    );
}

const KNOWN: &str = "GET /a | authorization: a -> asks
    < 200 | x-auth-user: ann -> asked allowed ann; kept
    GET /a | authorization: a2 -> asks
    < 200 | x-auth-user: ann -> asked allowed ann; kept
    GET /a | authorization: b -> asks
    < 200 | x-auth-user: bob -> asked allowed bob; kept
    GET /partner/a | x-api-key: a -> asks
    < 200 | x-auth-user: ann -> asked allowed ann; kept
    GET /a | authorization: o -> asks
    < 200 | x-auth-user: root | x-auth-groups: ops -> asked allowed root; kept\n";

#[test]
fn a_logout_forgets_the_credential_and_its_caller() {
    club(&format!(
        "{KNOWN}GET /logout | authorization: a -> remembered allowed ann
        GET /a | authorization: a -> asks
        GET /a | authorization: a2 -> asks
        GET /a | authorization: b -> remembered allowed bob
        GET /partner/a | x-api-key: a -> remembered allowed ann"
    ));
    // Nothing of it is left for an outage either.
    club(&format!(
        "{KNOWN}+31s
        GET /logout | authorization: a -> revalidated allowed ann; asks
        < timeout -> heard timeout
        GET /a | authorization: a -> asks
        < timeout -> asked auth_unavailable 503"
    ));
    // What the question found is forgotten as well, also where it is asked by the logout itself.
    club(
        "GET /logout | authorization: a -> asks
        < 200 | x-auth-user: ann -> asked allowed ann; kept
        GET /a | authorization: a -> asks",
    );
    // Who is not let in makes nobody forget.
    club(&format!(
        "{KNOWN}GET /logout | authorization: x -> asks
        < 401 -> asked denied 401
        GET /a | authorization: a -> remembered allowed ann"
    ));
}

#[test]
fn an_operator_forgets_one_or_all() {
    let [a, b, key] = ["authorization: a", "authorization: b", "x-api-key: a"];
    for (query, forgotten) in [
        ("subject=ann", vec![a, key]),
        ("subject=ann&authenticator=account", vec![a]),
        ("authenticator=partner&subject=ann", vec![key]),
        ("subject=%61nn", vec![a, key]),
        ("subject=Ann", vec![]),
        ("all=true", vec![a, b, key]),
    ] {
        let mut script = format!("{KNOWN}POST /forget?{query} | authorization: o -> remembered forgotten root 200\n");
        for credential in [a, b, key] {
            let then = match (forgotten.contains(&credential), credential) {
                (true, _) => "asks",
                (false, "authorization: b") => "remembered allowed bob",
                (false, _) => "remembered allowed ann",
            };
            let path = if credential == key { "/partner/a" } else { "/a" };
            script += &format!("GET {path} | {credential} -> {then}\n");
        }
        club(&script);
    }
}

#[test]
fn what_an_operator_may_not_say() {
    for query in [
        "",
        "?",
        "?subject=",
        "?subject",
        "?all=false",
        "?all=1",
        "?all",
        "?all=true&subject=ann",
        "?subject=ann&all=true",
        "?subject=ann&subject=bob",
        "?all=true&all=true",
        "?subject=ann&authenticator=nobody",
        "?authenticator=account",
        "?all=true&authenticator=account",
        "?subject=ann&more=1",
        "?subject=%ff",
        "?Subject=ann",
    ] {
        club(&format!(
            "{KNOWN}POST /forget{query} | authorization: o -> remembered bad_request root 400
            GET /a | authorization: a -> remembered allowed ann"
        ));
    }
    club(&format!(
        "{KNOWN}POST /forget?all=true | authorization: a -> remembered forbidden ann 403
        POST /forget?all=true -> nobody unauthenticated 401
        GET /forget?all=true | authorization: o -> remembered allowed root
        GET /a | authorization: a -> remembered allowed ann"
    ));
}

/// Nothing is changed under `mode: observe`: the request goes where it would have gone without the filter.
#[test]
fn observing_answers_no_operator() {
    let policy = CLUB.replace("version: 1", "version: 1\nmode: observe");
    play(
        &policy,
        &format!("{KNOWN}POST /forget?all=true | authorization: o -> remembered forgotten root"),
    );
}

/// What was asked before an order may have been answered before it.
#[test]
fn an_answer_on_its_way_is_not_remembered() {
    for (order, ann, bob) in [
        (
            "POST /forget?subject=ann | authorization: o -> remembered forgotten root 200",
            "",
            "; kept",
        ),
        (
            "POST /forget?subject=ann&authenticator=partner | authorization: o -> remembered forgotten root 200",
            "; kept",
            "; kept",
        ),
        (
            "POST /forget?all=true | authorization: o -> remembered forgotten root 200",
            "",
            "",
        ),
        (
            "GET /logout | authorization: a2 -> remembered allowed ann",
            "",
            "; kept",
        ),
    ] {
        club(&format!(
            "{}GET /a | authorization: n -> asks
            GET /a | authorization: m -> asks
            +100ms
            {order}
            +100ms
            GET /a | authorization: late -> asks
            < 200 | x-auth-user: ann -> asked allowed ann{ann}
            < 200 | x-auth-user: bob -> asked allowed bob{bob}
            < 200 | x-auth-user: ann -> asked allowed ann; kept",
            KNOWN
        ));
    }
    // The credential's own: its caller is not known yet.
    club(
        "GET /open/a | authorization: n -> asks
        +1ms
        GET /leave | authorization: n -> asks
        << 401 -> asked anonymous nobody
        < 200 | x-auth-user: ann -> asked allowed ann
        GET /a | authorization: n -> asks",
    );
}

/// Under a new epoch nothing stands that was said under an older one; what comes with it does.
#[test]
fn epochs() {
    let epoch = |value: &str| {
        format!(
            "GET /a | authorization: e -> asks\n< 200 | x-auth-user: eve | x-meshgate-epoch: {value} -> asked allowed eve; kept\n"
        )
    };
    let then = |ann: &str, bob: &str, key: &str| {
        format!(
            "GET /a | authorization: a -> {ann}\nGET /a | authorization: b -> {bob}\nGET /partner/a | x-api-key: a -> {key}"
        )
    };
    let (ann, bob) = ("remembered allowed ann", "remembered allowed bob");
    club(&format!("{KNOWN}{}{}", epoch("17"), then("asks", "asks", ann)));
    club(&format!("{KNOWN}{}{}", epoch("17; ann"), then("asks", bob, ann)));
    club(&format!("{KNOWN}{}{}", epoch("17;ann"), then("asks", bob, ann)));
    club(&format!("{KNOWN}{}{}", epoch("0"), then(ann, bob, ann)));
    // Also where it stands in a denial or an error.
    for answer in [
        "401 | x-meshgate-epoch: 9 -> asked denied 401",
        "500 | x-meshgate-epoch: 9 -> asked auth_unavailable 503",
    ] {
        club(&format!(
            "{KNOWN}GET /a | authorization: e -> asks\n< {answer}\n{}",
            then("asks", "asks", ann)
        ));
    }
    // Who cannot be read meant something: everything goes, and what said so is not remembered.
    for value in ["soon", "17;", "-1"] {
        club(&format!(
            "{KNOWN}GET /a | authorization: e -> asks
            < 200 | x-auth-user: eve | x-meshgate-epoch: {value} -> asked allowed eve
            {}",
            then("asks", "asks", "asks")
        ));
    }
}

#[test]
fn an_epoch_is_heard_once_and_an_older_one_not_at_all() {
    let seventeen = "GET /a | authorization: a -> asks
        < 200 | x-auth-user: ann | x-meshgate-epoch: 17 -> asked allowed ann; kept
        GET /a | authorization: a -> remembered allowed ann
        +1s
        GET /a | authorization: b -> asks\n";
    // The same: nothing new.
    club(&format!(
        "{seventeen}< 200 | x-auth-user: bob | x-meshgate-epoch: 17 -> asked allowed bob; kept
        GET /a | authorization: a -> remembered allowed ann
        GET /a | authorization: b -> remembered allowed bob"
    ));
    // A replica that lags behind: its word is outdated already.
    club(&format!(
        "{seventeen}< 200 | x-auth-user: bob | x-meshgate-epoch: 16 -> asked allowed bob
        GET /a | authorization: a -> remembered allowed ann
        GET /a | authorization: b -> asks"
    ));
    club(&format!(
        "{seventeen}< 200 | x-auth-user: bob | x-meshgate-epoch: 18 -> asked allowed bob; kept
        GET /a | authorization: a -> asks
        GET /a | authorization: b -> remembered allowed bob"
    ));
    // One that says nothing and was asked before.
    club(
        "GET /a | authorization: b -> asks
        GET /a | authorization: a -> asks
        +10ms
        << 200 | x-auth-user: ann | x-meshgate-epoch: 17 -> asked allowed ann; kept
        < 200 | x-auth-user: bob -> asked allowed bob",
    );
}

/// Whoever has no credential at all has nothing to forget, however often it says so.
#[test]
fn a_stranger_who_logs_out_makes_nobody_forget() {
    let many = "GET /leave -> nobody anonymous nobody\n".repeat(1000);
    club(&format!(
        "{KNOWN}GET /a | authorization: n -> asks
        {many}GET /a | authorization: a -> remembered allowed ann
        < 200 | x-auth-user: ann -> asked allowed ann; kept"
    ));
}

/// Whoever can make the service fail must be able neither to shut it off for others nor to live on by it.
#[test]
fn one_caller_makes_no_outage() {
    let policy = remembering(BREAKER);
    let many: String = (0..20)
        .map(|n| format!("GET /?{n} | authorization: c -> asks\n< timeout -> …\n"))
        .collect();
    play(&policy, &format!("{many}{CLOSED}"));
}

#[test]
fn a_refused_credentials_logout_orders_nothing() {
    let policy = one(
        &format!("{CALLOUT}, cache: {{ ttl: 30s }}"),
        "anonymous: allow_missing_or_failed, forget: credential",
    );
    let strangers: String = (0..300)
        .map(|n| format!("GET /out | authorization: x{n} -> asks\n<< 401 -> …\n"))
        .collect();
    let good = "< 200 | x-auth-user: ann -> asked allowed ann; kept";
    play(&policy, &format!("GET / | authorization: a -> asks\n{strangers}{good}"));
}

/// Two questions on their way, and the later one is answered first.
#[test]
fn an_earlier_yes_undoes_no_later_denial() {
    let policy = remembering("cache: { ttl: 30s, stale_while_revalidate: 20s }");
    play(
        &policy,
        "GET / | authorization: a -> asks
< 200 | x-auth-user: ann -> asked allowed ann; kept
+31s
GET / | authorization: a -> revalidated allowed ann; asks
+3s
GET / | authorization: a -> revalidated allowed ann; asks
<< 401 -> …
< 200 | x-auth-user: ann -> …
GET / | authorization: a -> asks",
    );
}

//! Observe, shadow rules, preflights.

use crate::policies::{SHOP, rules};
use crate::text::{answered, check, read_policy, read_request};
use meshgate::decide::trailers_to_remove;

/// Nothing is changed, stripping included; what would have been done is told.
#[test]
fn observe() {
    let shop = format!("mode: observe\n{}", SHOP.trim_start());
    let forged = "x-user-id: root | x_user_id: root | x-envoy-a: b | authorization: a | cookie: session=1; a=2";
    check(
        &shop,
        &format!("GET /%70ublic/ | {forged}"),
        "public: forward public; observed",
    );
    check(&shop, "GET /closed", "closed: forward closed/refuse; observed");
    check(
        &shop,
        "GET /orders",
        "orders: forward unauthenticated/no_credential; observed",
    );
    check(&shop, "GET /none", "-: forward no_rule/no_rule; observed");
    check(
        &shop,
        "GET /orders//",
        "orders: forward bad_request/path_empty_segment; observed",
    );
    check(&shop, "GET /a/..", "-: forward bad_request/path_dot_segment; observed");
    check(
        &shop,
        "GET / | :authority: a,b",
        "-: forward bad_request/host; observed",
    );
    check(
        &shop,
        "OPTIONS /orders | origin: o | access-control-request-method: PUT",
        "orders: forward forbidden/preflight; observed",
    );
    let asked = format!("GET /orders | {forged}");
    answered(
        &shop,
        &asked,
        "200 | x-auth-user: ann | x-auth-a: b | x-note: c | set-cookie: d | x-envoy-auth-headers-to-remove: cookie",
        "orders: forward allowed account/ann; observed",
    );
    answered(&shop, &asked, "403", "orders: forward denied/service; observed");
    answered(
        &shop,
        &asked,
        "timeout",
        "orders: forward auth_unavailable/timeout; observed",
    );
    answered(
        &shop,
        &asked,
        "body too large",
        "orders: forward body_too_large/body_too_large; observed",
    );
    let (trailers, _) = read_request("GET / | x-user-id: root");
    assert!(trailers_to_remove(&read_policy(&shop), &trailers).is_empty());
}

/// Outcomes stand beside the step; the search goes on.
#[test]
fn shadow() {
    let shadows = |deciding: &str| {
        rules(&format!(
            r#"
- {{ name: elsewhere, match: {{ paths: [/elsewhere] }}, mode: shadow, refuse: 404 }}
- {{ name: shut, mode: shadow, refuse: 404 }}
- {{ name: open, match: {{ hosts: ["*"], paths: ["/**"] }}, mode: shadow, authenticate: none }}
- {{ name: anyone, mode: shadow, authenticate: [account] }}
- {{ name: ops, mode: shadow, authenticate: [account], anonymous: allow_missing_or_failed, require: {{ groups: {{ any_of: [ops] }} }} }}
- {{ name: guests, mode: shadow, authenticate: [account], anonymous: allow_missing }}
- {{ name: r, match: {{ hosts: [shop.example.com] }}, {deciding} }}
- {{ name: behind, mode: shadow, match: {{ paths: ["/**"] }}, refuse: 404 }}
"#
        ))
    };
    let beside = |anyone: &str, ops: &str, guests: &str| {
        format!(
            "; shadow shut=closed; shadow open=public; shadow anyone={anyone}; shadow ops={ops}; shadow guests={guests}"
        )
    };
    let (ask, lenient) = (
        shadows("authenticate: [account]"),
        shadows("authenticate: [account], anonymous: allow_missing_or_failed"),
    );
    let with = "GET / | authorization: a";
    let nobody = beside("unauthenticated", "unauthenticated", "anonymous");
    check(
        &ask,
        "GET /",
        &format!(
            "r: refuse 401 unauthenticated/no_credential; unauthenticated: this needs a credential; www-authenticate=Bearer{nobody}"
        ),
    );
    check(&lenient, "GET /", &format!("r: forward anonymous{nobody}"));
    answered(
        &ask,
        with,
        "200 | x-auth-user: ann",
        &format!(
            "r: forward allowed account/ann; remove authorization{}",
            beside("allowed", "forbidden", "allowed")
        ),
    );
    answered(
        &ask,
        with,
        "200 | x-auth-user: ann | x-auth-groups: ops",
        &format!(
            "r: forward allowed account/ann; remove authorization{}",
            beside("allowed", "allowed", "allowed")
        ),
    );
    answered(
        &lenient,
        with,
        "403",
        &format!(
            "r: forward anonymous; remove authorization{}",
            beside("denied", "unauthenticated", "denied")
        ),
    );
    let unasked = beside("not_asked", "not_asked", "not_asked");
    check(
        &shadows("refuse: 410"),
        "GET /",
        &format!("r: refuse 410 closed/refuse; gone: this is gone{unasked}"),
    );
    check(
        &shadows("refuse: 410"),
        "GET / | :authority: b",
        &format!(
            "-: refuse 403 no_rule/no_rule; forbidden: no rule allows this request{unasked}; shadow behind=closed"
        ),
    );
}

#[test]
fn preflight() {
    let policy = rules(
        r#"
- { name: public, match: { hosts: ["*"], paths: ["/public/**"] }, authenticate: none }
- { name: closed, match: { paths: ["/closed/**"] }, refuse: 404 }
- { name: read, match: { methods: [GET, HEAD] }, authenticate: [account], cors: { preflight: pass }, require: { groups: { any_of: [ops] } } }
- { name: options, match: { methods: [OPTIONS] }, authenticate: [account], anonymous: allow_missing }
- { name: write, authenticate: [account] }"#,
    );
    let asks = |target: &str, method: &str| {
        format!("OPTIONS {target} | origin: https://a | access-control-request-method: {method}")
    };
    let denied = "refuse 403 forbidden/preflight; forbidden: preflights are not allowed here";
    check(&policy, &asks("/", "GET"), "read: forward preflight");
    check(
        &policy,
        &format!("{} | authorization: a", asks("/", "GET")),
        "read: forward preflight; remove authorization",
    );
    check(&policy, &asks("/", "PUT"), &format!("write: {denied}"));
    check(&policy, &asks("/", "OPTIONS"), &format!("options: {denied}"));
    check(&policy, &asks("/public", "PUT"), "public: forward public");
    check(
        &policy,
        &asks("/closed", "PUT"),
        "closed: refuse 404 closed/refuse; not_found: there is nothing here",
    );
    // Without both headers, with two methods or by another method it is a request like any other.
    check(&policy, "OPTIONS / | origin: https://a", "options: forward anonymous");
    check(
        &policy,
        "OPTIONS / | access-control-request-method: GET",
        "options: forward anonymous",
    );
    check(
        &policy,
        &format!("{} | access-control-request-method: GET", asks("/", "GET")),
        "options: forward anonymous",
    );
    check(
        &policy,
        "GET / | origin: https://a | access-control-request-method: GET",
        "read: refuse 401 unauthenticated/no_credential; …",
    );
}

//! `require`: which callers may.

use crate::policies::one;
use crate::text::{answered, check};

const CALLOUT: &str = "protocol: ext_authz_http, on_failure: allow, credential: [\"header:authorization\"]";

fn policy(require: &str) -> String {
    let rule =
        format!("match: {{ paths: [\"/t/{{tenant}}/**\"] }}, anonymous: allow_missing, require: {{ {require} }}");
    one(CALLOUT, &rule)
}

/// `caller`: what the service answers besides 200 and the subject `ann`.
#[track_caller]
fn may(require: &str, caller: &str) {
    ask(require, caller, "GET /t/acme", "r: forward allowed account/ann; …");
}

#[track_caller]
fn may_not(require: &str, caller: &str, cause: &str) {
    ask(
        require,
        caller,
        "GET /t/acme",
        &format!("r: refuse 403 forbidden/{cause} account/ann; …"),
    );
}

#[track_caller]
fn ask(require: &str, caller: &str, request: &str, expected: &str) {
    let answer = format!(
        "200 | x-auth-user: ann{}{caller}",
        if caller.is_empty() { "" } else { " | " }
    );
    answered(
        &policy(require),
        &format!("{request} | authorization: a"),
        &answer,
        expected,
    );
}

#[test]
fn any_of() {
    let ops = "groups: { any_of: [ops, sales] }";
    may(ops, "x-auth-groups: staff, sales");
    may(ops, "x-auth-groups: a | x-auth-groups: ops");
    may_not(ops, "x-auth-groups: Ops", "groups");
    may_not(ops, "x-auth-groups: opsx,xops", "groups");
    may_not(ops, "x-auth-groups: ", "groups");
    may_not(ops, "", "groups");
    may("scopes: { any_of: [a] }", "x-auth-scopes: b a");
    may_not("scopes: { any_of: [a] }", "x-auth-scopes: b,a", "scopes");
}

#[test]
fn all_of() {
    let both = "groups: { all_of: [ops, sales] }";
    may(both, "x-auth-groups: sales,ops,x");
    may_not(both, "x-auth-groups: ops", "groups");
    may_not("groups: { all_of: [a], any_of: [b, c] }", "x-auth-groups: a", "groups");
    may("groups: { all_of: [a], any_of: [b, c] }", "x-auth-groups: a,c");
}

#[test]
fn none_of() {
    let clean = "groups: { none_of: [banned] }";
    may(clean, "x-auth-groups: ops");
    may_not(clean, "x-auth-groups: ops,banned", "groups");
    may("claims: { tenant: { none_of: [evil] } }", "x-auth-tenant: acme");
    may_not(
        "claims: { tenant: { none_of: [evil] } }",
        "x-auth-tenant: evil",
        "claims",
    );
}

/// An absent claim fails `none_of` as it fails the others.
#[test]
fn absent_claims() {
    for condition in [
        "acme",
        "{ any_of: [acme] }",
        "{ all_of: [acme] }",
        "{ none_of: [evil] }",
    ] {
        may_not(&format!("claims: {{ tenant: {condition} }}"), "", "claims");
        may_not(
            &format!("claims: {{ other: {condition} }}"),
            "x-auth-tenant: acme",
            "claims",
        );
    }
}

#[test]
fn path_captures() {
    let own = "claims: { tenant: \"{path.tenant}\" }";
    may(own, "x-auth-tenant: acme");
    may_not(own, "x-auth-tenant: Acme", "claims");
    may_not(own, "x-auth-tenant: {path.tenant}", "claims");
    ask(
        own,
        "x-auth-tenant: a b\u{e9}",
        "GET /t/a%20b%c3%a9/x",
        "r: forward allowed account/a…"
            .replace("account/a", "account/ann; ")
            .as_str(),
    );
    ask(
        own,
        "x-auth-tenant: acme",
        "GET /t/evil",
        "r: refuse 403 forbidden/claims…",
    );
    ask(
        "claims: { tenant: { none_of: [\"{path.tenant}\"] } }",
        "x-auth-tenant: acme",
        "GET /t/acme",
        "r: refuse 403 forbidden/claims…",
    );
}

#[test]
fn authenticators_and_peers() {
    may("authenticators: [account]", "");
    may_not("peers: [\"cluster.local/ns/a/sa/b\"]", "", "peers");
    ask(
        "peers: [\"cluster.local/ns/a/sa/*\"]",
        "",
        "GET /t/x | @peer spiffe://cluster.local/ns/a/sa/b",
        "r: forward allowed…",
    );
    ask(
        "peers: [\"cluster.local/ns/a/sa/*\"]",
        "",
        "GET /t/x | @peer spiffe://cluster.local/ns/b/sa/b",
        "r: refuse 403 forbidden/peers…",
    );
}

/// Nobody fails every `require`.
#[test]
fn nobody_may_nothing() {
    for (require, cause) in [
        ("groups: { none_of: [banned] }", "authenticators"),
        ("scopes: { none_of: [x] }", "authenticators"),
        ("claims: { tenant: { none_of: [evil] } }", "claims"),
        ("groups: { any_of: [ops] }", "groups"),
        ("authenticators: [account]", "authenticators"),
        ("peers: [\"cluster.local/ns/a/sa/*\"]", "authenticators"),
    ] {
        let request = "GET /t/acme | @peer spiffe://cluster.local/ns/a/sa/b";
        check(
            &policy(require),
            request,
            &format!(
                "r: refuse 401 unauthenticated/{cause}; unauthenticated: this needs a known caller; www-authenticate=Bearer"
            ),
        );
        answered(
            &policy(require),
            &format!("{request} | authorization: a"),
            "reset",
            &format!("r: refuse 401 unauthenticated/{cause}; …"),
        );
    }
}

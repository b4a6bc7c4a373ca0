//! What the upstream is told: set or absent, never the caller's own.

use crate::text::answered;

/// `templates` of the headers, and what the service said besides 200.
#[track_caller]
fn told(templates: &str, answer: &str, expected: &str) {
    let policy = crate::policies::one(
        "protocol: ext_authz_http, on_failure: deny, forward: true",
        "identity: { headers: { x-own: \"{claims.tenant}\" } }",
    );
    let policy = policy.replace("{ x-user-id: \"{subject}\" }", templates);
    answered(
        &policy,
        "GET / | x-id: root | x-own: root",
        &format!("200 | {answer}"),
        &format!("r: {expected}"),
    );
}

#[test]
fn rendered() {
    let id = |value: &str| format!("forward allowed account/ann; remove x-id; remove x-own; set x-id={value}");
    told("{ x-id: \"{subject}\" }", "x-auth-user: ann", &id("ann"));
    told(
        "{ x-id: \"user:{subject}@{authenticator}{{}}\" }",
        "x-auth-user: ann",
        &id("user:ann@account{}"),
    );
    told(
        "{ x-id: \"{groups}\" }",
        "x-auth-user: ann | x-auth-groups: a b, c%,, d\u{e9}",
        &id("a%20b,c%25,d%C3%A9"),
    );
    told(
        "{ x-id: \"{scopes}\" }",
        "x-auth-user: ann | x-auth-scopes: a b,c",
        &id("a,b%2Cc"),
    );
    told(
        "{ x-id: \"{claims.tenant}\" }",
        "x-auth-user: ann | x-auth-tenant: a, 100%\\x01",
        &format!("{}; set x-own=a, 100%25%01", id("a, 100%25%01")),
    );
}

#[test]
fn an_absent_part_leaves_nothing_of_the_callers() {
    let none = "forward allowed account/ann; remove x-id; remove x-own";
    told("{ x-id: \"{groups}\" }", "x-auth-user: ann", none);
    told("{ x-id: \"{groups}\" }", "x-auth-user: ann | x-auth-groups: ,", none);
    told(
        "{ x-id: \"t:{claims.tenant}\" }",
        "x-auth-user: ann | x-auth-tenant: ",
        none,
    );
    told("{ x-id: \"{claims.other}\" }", "x-auth-user: ann", none);
}

#[test]
fn a_rules_own_beside_the_global_ones() {
    told(
        "{ x-id: \"{subject}\" }",
        "x-auth-user: ann | x-auth-tenant: acme",
        "forward allowed account/ann; remove x-id; remove x-own; set x-id=ann; set x-own=acme",
    );
}

#[test]
fn too_long_is_refused_never_cut() {
    let (fits, long) = ("a".repeat(4096), "a".repeat(4097));
    told(
        "{ x-id: \"{subject}\" }",
        &format!("x-auth-user: {fits}"),
        &format!("forward allowed account/{fits}; …"),
    );
    let refused = |subject: &str| {
        format!(
            "refuse 403 forbidden/identity_too_long account/{subject}; forbidden: the caller's identity does not fit a header"
        )
    };
    told(
        "{ x-id: \"{subject}\" }",
        &format!("x-auth-user: {long}"),
        &refused(&long),
    );
    told(
        "{ x-id: \"{groups}\" }",
        &format!("x-auth-user: ann | x-auth-groups: {}", "%".repeat(1366)),
        &refused("ann"),
    );
}

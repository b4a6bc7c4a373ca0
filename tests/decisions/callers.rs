//! Who is asked about, and what nobody may: `anonymous` × credential × `require`.

use crate::policies::one;
use crate::text::{answered, check};

fn policy(anonymous: &str, on_failure: &str, require: &str) -> String {
    let rule = match require {
        "" => format!("anonymous: {anonymous}"),
        _ => format!("anonymous: {anonymous}, require: {{ {require} }}"),
    };
    let callout = format!("protocol: ext_authz_http, credential: [\"header:authorization\"], on_failure: {on_failure}");
    one(&callout, &rule)
}

const MISSING: &str = "refuse 401 unauthenticated/no_credential";
const BAD: &str = "refuse 401 denied/service";
const DOWN: &str = "refuse 503 auth_unavailable/timeout";
const UNMET: &str = "refuse 401 unauthenticated/groups";
const NOBODY: &str = "forward anonymous";
const OPENED: &str = "forward failed_open/timeout";

#[test]
fn nobody() {
    let (ops, none) = ("groups: { any_of: [ops] }", "");
    //  anonymous                  on_failure require  missing  bad     failed
    for (anonymous, on_failure, require, missing, bad, failed) in [
        ("deny", "deny", none, MISSING, BAD, DOWN),
        ("deny", "deny", ops, MISSING, BAD, DOWN),
        ("deny", "allow", none, MISSING, BAD, OPENED),
        ("deny", "allow", ops, MISSING, BAD, UNMET),
        ("allow_missing", "deny", none, NOBODY, BAD, DOWN),
        ("allow_missing", "deny", ops, UNMET, BAD, DOWN),
        ("allow_missing", "allow", none, NOBODY, BAD, OPENED),
        ("allow_missing", "allow", ops, UNMET, BAD, UNMET),
        ("allow_missing_or_failed", "deny", none, NOBODY, NOBODY, DOWN),
        ("allow_missing_or_failed", "deny", ops, UNMET, UNMET, DOWN),
        ("allow_missing_or_failed", "allow", none, NOBODY, NOBODY, OPENED),
        ("allow_missing_or_failed", "allow", ops, UNMET, UNMET, UNMET),
    ] {
        let policy = policy(anonymous, on_failure, require);
        let with = "GET / | authorization: Bearer a";
        let step = |verdict: &str| format!("r: {verdict}…");
        check(&policy, "GET /", &step(missing));
        check(&policy, "GET / | authorization: ", &step(missing));
        answered(&policy, with, "401", &step(bad));
        answered(&policy, with, "timeout", &step(failed));
        answered(&policy, with, "200", &step(&failed.replace("timeout", "bad_answer")));
    }
}

#[test]
fn somebody() {
    for anonymous in ["deny", "allow_missing", "allow_missing_or_failed"] {
        let policy = policy(anonymous, "deny", "groups: { any_of: [ops] }");
        let with = "GET / | authorization: Bearer a";
        answered(
            &policy,
            with,
            "200 | x-auth-user: ann | x-auth-groups: ops",
            "r: forward allowed account/ann; remove authorization; set x-user-id=ann",
        );
        answered(
            &policy,
            with,
            "200 | x-auth-user: ann",
            "r: refuse 403 forbidden/groups account/ann; forbidden: the caller may not do this",
        );
    }
}

/// One place that two readers could read as two callers.
#[test]
fn ambiguity() {
    let callout = "protocol: ext_authz_http, on_failure: allow, credential: [\"header:authorization\", \"header:x-key\", \"cookie:sid\", \"cookie:s_*\"]";
    let policy = one(callout, "anonymous: allow_missing_or_failed");
    let two = |request: &str, place: &str| {
        check(
            &policy,
            &format!("GET / | {request}"),
            &format!(
                "r: refuse 400 bad_request/ambiguous_credential; bad_request: not one readable credential in {place}"
            ),
        );
    };
    two("authorization: Bearer a,Bearer b", "header authorization");
    two("authorization: Bearer a, b", "header authorization");
    two("authorization: Basic YTpi,Basic YTpj", "header authorization");
    two("authorization: a,b", "header authorization");
    two("authorization: ,", "header authorization");
    two("authorization: Digest a=b,Bearer x=", "header authorization");
    two("authorization: Digest a=\"b, c=d", "header authorization");
    two("authorization: a | authorization: b", "header authorization");
    two("authorization: a | authorization: ", "header authorization");
    two("authorization: Bearer a | x-key: 1,2", "header x-key");
    two("x-key: 1 | x-key: 1", "header x-key");
    two("cookie: sid=1; sid=2", "cookie sid");
    two("cookie: sid=1 | cookie: sid=1", "cookie sid");
    two("cookie: s_a=1; s_a=2", "cookies s_*");
    let one = |request: &str| check(&policy, &format!("GET / | {request}"), "ask auth 500ms…");
    one("authorization: Digest username=\"a,b\", realm=\"x\"");
    one("authorization: AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=c;d, Signature=e==");
    one("cookie: sid=1; Sid=2; s_a=1; s_b=2");
    one("authorization: a | cookie: sid=1");
}

/// Nobody's credential is looked at where nobody is asked.
#[test]
fn nobody_is_asked() {
    let policy = |rule: &str| {
        one(
            "protocol: ext_authz_http, on_failure: deny, credential: [\"cookie:sid\"]",
            rule,
        )
    };
    check(
        &policy("cors: { preflight: deny }"),
        "GET / | authorization: Bearer a | cookie: xsid=1",
        "r: refuse 401 unauthenticated/no_credential…",
    );
    check(
        &policy("cors: { preflight: deny }"),
        "GET / | cookie: sid=1",
        "ask auth 500ms; …",
    );
    // Without `credential`: always.
    check(
        &one("protocol: ext_authz_http, on_failure: deny", "anonymous: deny"),
        "GET /",
        "ask auth 500ms; …",
    );
}

//! What a caller may not tell the upstream goes on every exit, however it is spelled.

use crate::policies::{SHOP, one};
use crate::text::{answered, check, read_policy, read_request};
use meshgate::decide::trailers_to_remove;

const FORGED: &str = "x-user-id: root | X.USER.ID: root | x-kept: me | cookie: a=1; session=s";

#[test]
fn on_every_exit() {
    let gone = "remove x-user-id; remove X.USER.ID";
    let with = |target: &str| format!("GET {target} | {FORGED}");
    let all = format!("{gone}; set cookie=a=1");
    check(SHOP, &with("/public/"), &format!("public: forward public; {all}"));
    check(
        SHOP,
        "GET /open/ | x-user-id: root | X.USER.ID: root | x-api-key: k",
        &format!("open: forward anonymous; {gone}; remove x-api-key"),
    );
    answered(SHOP, &with("/open/"), "403", &format!("open: forward anonymous; {all}"));
    answered(
        SHOP,
        &format!("{} | x-api-key: k", with("/lenient/")),
        "timeout",
        "lenient: forward failed_open/timeout; remove x-user-id; remove X.USER.ID; remove x-api-key; set cookie=a=1",
    );
    check(
        SHOP,
        &with("/cors/").replace("GET", "OPTIONS").replace(
            " | x-kept",
            " | origin: o | access-control-request-method: PUT | x-kept",
        ),
        &format!("cors: forward preflight; {all}"),
    );
    answered(
        SHOP,
        &with("/orders/"),
        "200 | x-auth-user: ann",
        &format!("orders: forward allowed account/ann; {all}; set x-user-id=ann; add x-auth-user=ann"),
    );
}

/// Denied and refused requests reach no upstream: nothing of theirs is in the step.
#[test]
fn nothing_of_a_refused_request_goes_anywhere() {
    let request = |target: &str| format!("GET {target} | {FORGED}");
    answered(
        SHOP,
        &request("/orders/"),
        "403",
        "orders: refuse 403 denied/service; forbidden: the request was not allowed",
    );
    check(
        SHOP,
        &request("/closed/"),
        "closed: refuse 404 closed/refuse; not_found: there is nothing here",
    );
    check(
        SHOP,
        &request("/none"),
        "-: refuse 403 no_rule/no_rule; forbidden: no rule allows this request",
    );
    check(
        SHOP,
        &request("/orders//"),
        "orders: refuse 400 bad_request/path_empty_segment; bad_request: path holds an empty segment",
    );
}

#[test]
fn spellings() {
    for name in [
        "x-user-id",
        "X-User-Id",
        "x_user_id",
        "x.user.id",
        "X_USER.ID",
        "x~user~id",
        "x!user!id",
        "x#user#id",
        "x$user$id",
        "x%user%id",
        "x&user&id",
        "x'user'id",
        "x*user*id",
        "x+user+id",
        "x^user^id",
        "x`user`id",
        "x|user|id",
        "x-user.id",
        "x_user-id", // identity
        "x-user-groups",
        "x_webauth_user",
        "X-WEBAUTH.USER", // another rule's identity, too
        "x-auth-user",
        "x_auth_anything",
        "X.Auth.Groups", // accepted from the service
        "x-internal-",
        "x_internal_debug",
        "my-secret",
        "my.secret", // the operator's list
        "x-envoy-retry-on",
        "x_envoy_max.retries",
        "x-envoy-original-path",
        "x-envoy-upstream-rq-timeout-ms",
        "x-original-url",
        "x_original_uri",
        "x-original-host",
        "x-original-method",
        "x-rewrite-url",
        "x_rewrite_url",
        "x-http-method-override",
        "x-http-method",
        "X.Method.Override",
        "x-override-url",
        "x-host",
        "x-http-host-override",
        "x-forwarded-host",
        "x-forwarded-uri",
        "x-forwarded-method",
        "x-forwarded-path",
        "x-forwarded-server",
        "forwarded",
        "authorization",
        "x-api-key", // credentials of any authenticator
        "x_api_key",
        "X.Api-Key", // and as a server that folds names reads them
    ] {
        check(
            SHOP,
            &format!("GET /public/ | {name}: v"),
            &format!("public: forward public; remove {name}"),
        );
    }
}

#[test]
fn what_stays() {
    for name in [
        "x-user",
        "x-user-id2",
        "xx-user-id",
        "x-auth",
        "x-interna",
        "secret",
        "x-envo-y",
        "x-request-id",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-client-cert",
        "accept",
        "user-agent",
        "via",
        "x-internal-trace",
        "x-forwarded-prefix", // identity.keep
    ] {
        check(SHOP, &format!("GET /public/ | {name}: v"), "public: forward public");
    }
}

#[test]
fn a_forwarded_credential_stays_for_the_rule_that_asks_for_it() {
    answered(
        SHOP,
        "GET /keeper/ | x-kept: k | authorization: a",
        "200 | x-auth-user: ann",
        "keeper: forward allowed keeper/ann; remove authorization; set x-user-id=ann",
    );
}

#[test]
fn cookies() {
    let cut = |cookies: &str, expected: &str| {
        let rows: Vec<String> = cookies.split('/').map(|value| format!("cookie: {value}")).collect();
        check(
            SHOP,
            &format!("GET /public/ | {}", rows.join(" | ")),
            &format!("public: forward public{expected}"),
        );
    };
    cut("a=1; session=2", "; set cookie=a=1");
    cut("session=2; a=1;b=2", "; set cookie=a=1; b=2");
    cut("a=1/session=2/b=3", "; set cookie=a=1; b=3");
    cut("session=1", "; remove cookie");
    cut("session_id=1; sessions=2", "; remove cookie");
    cut("Session=1; xsession=2", "");
    cut(" session = 1;a=1", "; set cookie=a=1");
    cut("a=1; session", "; set cookie=a=1");
    cut("a=session=1", "");
}

/// The next hop of an upgrade drops what `connection` lists: nobody lists our headers.
#[test]
fn connection_lists_nothing() {
    check(SHOP, "GET /public/ | connection: upgrade", "public: forward public");
    check(
        SHOP,
        "GET /public/ | connection: Upgrade, x-user-id",
        "public: forward public; set connection=upgrade",
    );
    check(
        SHOP,
        "GET /public/ | connection: x-user-id",
        "public: forward public; remove connection",
    );
}

/// A pattern of names never reaches what frames the request.
#[test]
fn pseudo_headers_are_no_headers() {
    let policy = |identity: &str| {
        one("protocol: ext_authz_http, on_failure: deny", "refuse: 404")
            .replace(
                "authenticate: [account], refuse: 404",
                "match: { hosts: [\"*\"], paths: [\"/**\"] }, authenticate: none",
            )
            .replace(
                "identity: { headers: { x-user-id: \"{subject}\" } }",
                &format!("identity: {identity}"),
            )
    };
    check(
        &policy("{ strip: [\"*path\", \"*method\", \"-*\"] }"),
        "GET /",
        "r: forward public",
    );
    check(
        &policy("{ headers: { _path: \"{subject}\" } }"),
        "GET / | -path: x",
        "r: forward public; remove -path",
    );
}

/// What the operator strips whole does not come back in part.
#[test]
fn a_stripped_cookie_header_stays_away() {
    let policy = SHOP.replace("\"*-secret\"", "\"*-secret\", cookie");
    check(
        &policy,
        "GET /public/ | cookie: a=1; session=2",
        "public: forward public; remove cookie",
    );
}

#[test]
fn trailers() {
    let policy = read_policy(SHOP);
    let removed = |trailers: &str| {
        let (headers, _) = read_request(&format!("GET / | {trailers}"));
        let names = trailers_to_remove(&policy, &headers);
        names
            .iter()
            .map(|name| name.escape_ascii().to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        removed("x_user_id: root | grpc-status: 0 | x-envoy-a: b"),
        "x_user_id x-envoy-a"
    );
    assert_eq!(removed("x-kept-back: a"), "");
}

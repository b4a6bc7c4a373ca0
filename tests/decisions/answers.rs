//! What the service's answer means.

use crate::policies::{SHOP, one};
use crate::text::answered;

#[track_caller]
fn with(callout: &str, answer: &str, expected: &str) {
    let callout = format!("credential: [\"header:authorization\"], {callout}");
    answered(
        &one(&callout, "mode: enforce"),
        "GET / | authorization: a | x-user-id: root",
        answer,
        &format!("r: {expected}"),
    );
}

const EXT: &str = "protocol: ext_authz_http, on_failure: deny";
const FORWARD: &str = "protocol: forward_auth, path: /, on_failure: deny";
const ANN: &str = "forward allowed account/ann; remove x-user-id; remove authorization; set x-user-id=ann";
const FORBIDDEN: &str = "forbidden: the request was not allowed";

#[test]
fn statuses() {
    for (status, ext, forward) in [
        ("200", true, true),
        ("201", false, true),
        ("202", false, true),
        ("299", false, true),
        ("301", false, false),
        ("302", false, false),
        ("400", false, false),
        ("403", false, false),
        ("404", false, false),
        ("407", false, false),
        ("429", false, false),
    ] {
        for (callout, allows) in [(EXT, ext), (FORWARD, forward)] {
            let denied = format!("refuse {status} denied/service; {FORBIDDEN}; x-auth-user=ann");
            with(
                callout,
                &format!("{status} | x-auth-user: ann"),
                if allows { ANN } else { &denied },
            );
        }
    }
    with(
        &format!("{EXT}, allow_status: [200, 204]"),
        "204 | x-auth-user: ann",
        ANN,
    );
    with(
        &format!("{FORWARD}, allow_status: [204]"),
        "200 | x-auth-user: ann",
        "refuse 200 denied/service; …",
    );
    with(
        EXT,
        "401",
        "refuse 401 denied/service; unauthenticated: the credential was not accepted",
    );
}

/// A reply that HTTP forbids a body gets none: the client would read it as the next reply.
#[test]
fn no_body_where_none_may_be() {
    with(EXT, "204", "refuse 204 denied/service; no body");
    with(EXT, "304 | etag: a", "refuse 304 denied/service; no body; etag=a");
}

#[test]
fn denials_pass_through() {
    let denied = "302 | location: /login | set-cookie: a=1 | set-cookie: b=2 | content-type: text/html | content-encoding: gzip | cache-control: public | x-why: no | > <html>";
    let all = "location=/login; set-cookie=a=1; set-cookie=b=2; content-type=text/html; content-encoding=gzip";
    with(
        EXT,
        denied,
        &format!("refuse 302 denied/service; > <html>; {all}; x-why=no"),
    );
    with(
        &format!("{EXT}, on_deny: {{ headers: [x-why] }}"),
        denied,
        "refuse 302 denied/service; > <html>; location=/login; content-type=text/html; x-why=no",
    );
    with(
        &format!("{EXT}, on_deny: {{ headers: [] }}"),
        "401 | www-authenticate: Negotiate | www-authenticate: Basic | x-why: no",
        "refuse 401 denied/service; unauthenticated: the credential was not accepted; www-authenticate=Negotiate; www-authenticate=Basic",
    );
    // A page too long to keep is ours instead, and so is its type.
    with(
        EXT,
        "403 | content-type: text/html | content-encoding: gzip | > …",
        &format!("refuse 403 denied/service; {FORBIDDEN}"),
    );
}

#[test]
fn failures() {
    let down = |cause: &str| {
        format!("refuse 503 auth_unavailable/{cause}; auth_unavailable: who calls cannot be found out right now")
    };
    for (answer, cause) in [
        ("502", "bad_response"),
        ("503", "connect_failure"),
        ("504", "timeout"),
        ("500", "server_error"),
        ("505", "server_error"),
        ("599", "server_error"),
        ("502 | x-envoy-upstream-service-time: 1", "server_error"),
        ("503 | x-envoy-upstream-service-time: 1", "server_error"),
        ("504 | x-envoy-upstream-service-time: 1", "server_error"),
        ("-", "reset"),
        ("- | x-auth-user: ann", "garbled"),
        ("200 | :status: 200 | x-auth-user: ann", "garbled"),
        ("abc | x-auth-user: ann", "garbled"),
        ("2xx", "garbled"),
        ("+200 | x-auth-user: ann", "garbled"),
        ("0200 | x-auth-user: ann", "garbled"),
        ("\\x20200 | x-auth-user: ann", "garbled"),
        ("\\xff", "garbled"),
        ("100", "garbled"),
        ("600", "garbled"),
        ("65736", "garbled"),
        ("unknown_cluster", "unknown_cluster"),
        ("no_host", "no_host"),
        ("connect_failure", "connect_failure"),
        ("timeout", "timeout"),
        ("reset", "reset"),
        ("bad_response", "bad_response"),
        ("garbled", "garbled"),
        // An allowing answer that does not say who.
        ("200", "bad_answer"),
        ("200 | x-auth-user: ", "bad_answer"),
        ("200 | x-auth-user: \\x20\\x09", "bad_answer"),
        ("200 | x-auth-user: ann | x-auth-user: bob", "bad_answer"),
        ("200 | x-auth-user: ann | x-auth-user: ann", "bad_answer"),
        ("200 | x-auth-user: a\\xff", "bad_answer"),
        ("200 | x_auth_user: ann", "bad_answer"),
        ("200 | x-auth-user: ann | x-auth-groups: \\xff", "bad_answer"),
        (
            "200 | x-auth-user: ann | x-auth-tenant: a | x-auth-tenant: b",
            "bad_answer",
        ),
    ] {
        with(EXT, answer, &down(cause));
        let open = format!("forward failed_open/{cause}; remove x-user-id; remove authorization");
        with(&EXT.replace("deny", "allow"), answer, &open);
    }
}

/// The operator's own mistake is never let through.
#[test]
fn an_unseen_body_never_opens() {
    for on_failure in ["deny", "allow"] {
        with(
            &EXT.replace("deny", on_failure),
            "body_unseen",
            "refuse 503 auth_unavailable/body_unseen; auth_unavailable: no body arrived within 1 s: the filter needs allow_on_headers_stop_iteration: true beside send.body",
        );
        with(
            &EXT.replace("deny", on_failure),
            "host",
            "refuse 503 auth_unavailable/host; auth_unavailable: who calls cannot be found out right now",
        );
        with(
            &EXT.replace("deny", on_failure),
            "host",
            "refuse 503 auth_unavailable/host; auth_unavailable: who calls cannot be found out right now",
        );
        with(
            &EXT.replace("deny", on_failure),
            "body too large",
            "refuse 413 body_too_large/body_too_large; body_too_large: the body is longer than may be checked",
        );
    }
}

#[test]
fn accepted() {
    let orders = |request: &str, answer: &str, expected: &str| {
        answered(
            SHOP,
            &format!("GET /orders | {request}"),
            &format!("200 | x-auth-user: ann{answer}"),
            &format!("orders: forward allowed account/ann; {expected}"),
        );
    };
    let auth = "authorization: a";
    let ours = "set x-user-id=ann; add x-auth-user=ann";
    orders(auth, "", &format!("remove authorization; {ours}"));
    // Set in place of the caller's, in the answer's number.
    orders(
        &format!("{auth} | x-auth-plan: gold | x_auth.plan: gold"),
        " | x-auth-plan: free | x-auth-plan: b",
        &format!(
            "remove x-auth-plan; remove x_auth.plan; remove authorization; {ours}; add x-auth-plan=free; add x-auth-plan=b"
        ),
    );
    orders(
        &format!("{auth} | x-auth-plan: gold"),
        "",
        &format!("remove x-auth-plan; remove authorization; {ours}"),
    );
    // Beside the caller's.
    orders(
        &format!("{auth} | x-note: mine"),
        " | x-note: theirs",
        &format!("remove authorization; {ours}; add x-note=theirs"),
    );
    // To the client; what is on no list goes nowhere.
    orders(
        auth,
        " | set-cookie: a=1 | set-cookie: b=2 | x-other: c | server: d",
        &format!("remove authorization; {ours}; client set-cookie=a=1; client set-cookie=b=2"),
    );
}

/// Whatever the pattern: nothing of the connection, of the proxy or of who calls.
#[test]
fn never_taken() {
    let never = "200 | x-auth-user: ann | :path: /admin | :authority: b | host: b | connection: close, x-secret, X-Two | x-secret: s | x_secret: s | x-two: t | keep-alive: 1 | te: t | trailer: a | transfer-encoding: chunked | upgrade: h2c | proxy-connection: a | proxy-authenticate: p | proxy-authorization: p | http2-settings: h | content-length: 5 | x-envoy-retry-on: 5xx | x_envoy_max.retries: 3 | x-forwarded-for: 1.2.3.4 | X_Forwarded.Host: b | forwarded: f | x-user-id: root | X.User_Id: root";
    let accept = "accept: { headers: [\"x-a*\", x-secret, x-two, http-x], append: [\"h*\", \"p*\", \"t*\", \"c*\", \"k*\", \"x-f*\", \"x-s*\", \"x-t*\"], to_client: [\"*\"] }";
    with(
        &format!("{EXT}, {accept}"),
        never,
        &format!("{ANN}; add x-auth-user=ann; client x-auth-user=ann"),
    );
    with(
        EXT,
        &never.replace("200", "403"),
        &format!("refuse 403 denied/service; {FORBIDDEN}; x-auth-user=ann"),
    );
    with(
        &format!("{EXT}, on_deny: {{ headers: [\"*\"] }}"),
        &never.replace("200", "403"),
        &format!("refuse 403 denied/service; {FORBIDDEN}; x-auth-user=ann"),
    );
}

/// `x-envoy-auth-headers-to-remove`
#[test]
fn removed_by_the_service() {
    let orders = |request: &str, list: &str, expected: &str| {
        let remove: Vec<String> = list
            .split('/')
            .map(|list| format!("x-envoy-auth-headers-to-remove: {list}"))
            .collect();
        answered(
            SHOP,
            &format!("GET /orders | {request}"),
            &format!("200 | x-auth-user: ann | {}", remove.join(" | ")),
            &format!(
                "orders: forward allowed account/ann; remove authorization; {expected}set x-user-id=ann; add x-auth-user=ann"
            ),
        );
    };
    orders(
        "authorization: a | x-a: 1 | x-b: 2 | x-c: 3",
        " X-A,, x-b ,none",
        "remove x-a; remove x-b; ",
    );
    orders(
        "authorization: a | x-a: 1 | x-b: 2",
        "x-a/x-b",
        "remove x-a; remove x-b; ",
    );
    orders("authorization: a", ":path,:authority,:method,host,Host", "");
    // Our word about the caller stands.
    orders("authorization: a", "x-user-id", "");
    // What is left of the cookies is the caller's own.
    orders("authorization: a | cookie: session=1; a=2", "cookie", "remove cookie; ");
    // Not on a denial, not passed on.
    answered(
        SHOP,
        "GET /open | authorization: a | x-a: 1",
        "403 | x-envoy-auth-headers-to-remove: x-a",
        "open: forward anonymous; remove authorization",
    );
}

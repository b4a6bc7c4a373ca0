//! The one table: what a refusal is to its caller, byte by byte once, and for gRPC.

use crate::policies::one;
use crate::text::{answered, check, on_request, read_policy, read_request, show_refuse};
use meshgate::decide::{Step, host_failed};

fn policy() -> String {
    one(
        "protocol: ext_authz_http, on_failure: deny, credential: [\"header:authorization\"]",
        "match: { paths: [\"/a/**\"] }, require: { scopes: { any_of: [a.read], all_of: [b] } }",
    )
}

#[test]
fn bytes() {
    let (headers, connection) = read_request("GET /a | x-request-id: 7");
    let Step::Refuse(refuse) = on_request(&read_policy(&policy()), headers, &connection) else {
        panic!("refused");
    };
    let header = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    assert_eq!(refuse.reply.status, 401);
    assert_eq!(
        refuse.reply.headers,
        [
            header("content-type", "application/json"),
            header("cache-control", "no-store"),
            header("www-authenticate", "Bearer")
        ]
    );
    assert_eq!(
        String::from_utf8_lossy(&refuse.reply.body),
        "{\"error\":\"unauthenticated\",\"message\":\"this needs a credential\",\"request_id\":\"7\"}\n"
    );
    assert_eq!(refuse.reply.grpc_status, None);
}

/// Each twice: to a caller, and to a gRPC caller.
#[test]
fn rows() {
    let bearer = "; www-authenticate=Bearer";
    let scope = "; www-authenticate=Bearer error=\"insufficient_scope\", scope=\"a.read b\"";
    for (request, answer, head, error, message, grpc, challenge) in [
        (
            "POST /a//",
            "",
            "r: refuse 400 bad_request/path_empty_segment",
            "bad_request",
            "path holds an empty segment",
            3,
            "",
        ),
        (
            "POST /a | authorization: a,b",
            "",
            "r: refuse 400 bad_request/ambiguous_credential",
            "bad_request",
            "not one readable credential in header authorization",
            3,
            "",
        ),
        (
            "POST /a",
            "",
            "r: refuse 401 unauthenticated/no_credential",
            "unauthenticated",
            "this needs a credential",
            16,
            bearer,
        ),
        (
            "POST /b",
            "",
            "-: refuse 403 no_rule/no_rule",
            "forbidden",
            "no rule allows this request",
            7,
            "",
        ),
        (
            "POST /a | authorization: a",
            "200 | x-auth-user: ann",
            "r: refuse 403 forbidden/scopes account/ann",
            "forbidden",
            "the caller may not do this",
            7,
            scope,
        ),
        (
            "POST /a | authorization: a",
            "401",
            "r: refuse 401 denied/service",
            "unauthenticated",
            "the credential was not accepted",
            16,
            "",
        ),
        (
            "POST /a | authorization: a",
            "429",
            "r: refuse 429 denied/service",
            "forbidden",
            "the request was not allowed",
            14,
            "",
        ),
        (
            "POST /a | authorization: a",
            "404",
            "r: refuse 404 denied/service",
            "forbidden",
            "the request was not allowed",
            12,
            "",
        ),
        (
            "POST /a | authorization: a",
            "302",
            "r: refuse 302 denied/service",
            "forbidden",
            "the request was not allowed",
            7,
            "",
        ),
        (
            "POST /a | authorization: a",
            "body too large",
            "r: refuse 413 body_too_large/body_too_large",
            "body_too_large",
            "the body is longer than may be checked",
            8,
            "",
        ),
        (
            "POST /a | authorization: a",
            "timeout",
            "r: refuse 503 auth_unavailable/timeout",
            "auth_unavailable",
            "who calls cannot be found out right now",
            14,
            "",
        ),
    ] {
        let step = |request: &str, expected: &str| match answer {
            "" => check(&policy(), request, expected),
            _ => answered(&policy(), request, answer, expected),
        };
        step(request, &format!("{head}; {error}: {message}{challenge}"));
        step(
            &format!("{request} | content-type: application/grpc"),
            &format!("{head}; grpc {grpc} {message}{challenge}"),
        );
    }
}

/// RFC 6749: a scope that is no token cannot be named in a challenge, nor end its quotes or its line.
#[test]
fn a_challenge_names_tokens_only() {
    for (scopes, challenge) in [
        (
            r#"["a:b/c.d", "x\"y", "\u00e9", "p q", "r\r\ns", t]"#,
            "; www-authenticate=Bearer error=\"insufficient_scope\", scope=\"a:b/c.d t\"",
        ),
        (r#"["\""]"#, "; www-authenticate=Bearer error=\"insufficient_scope\""),
    ] {
        let policy = policy().replace("[a.read], all_of: [b]", scopes);
        answered(
            &policy,
            "GET /a | authorization: a",
            "200 | x-auth-user: ann",
            &format!("r: refuse 403 forbidden/scopes account/ann; forbidden: the caller may not do this{challenge}"),
        );
    }
}

/// What the service says of a refusal is a page, and a gRPC caller reads none.
#[test]
fn a_grpc_caller_gets_no_page() {
    answered(
        &policy(),
        "POST /a | authorization: a | content-type: application/grpc",
        "403 | set-cookie: a=1 | > <html>",
        "r: refuse 403 denied/service; grpc 7 the request was not allowed",
    );
}

#[test]
fn closed_to_grpc() {
    for (status, grpc) in [(403, 7), (404, 12), (410, 7), (451, 7), (503, 14)] {
        let policy = crate::policies::rules(&format!("- {{ name: r, refuse: {status} }}"));
        check(
            &policy,
            "POST / | content-type: application/grpc+proto",
            &format!("r: refuse {status} closed/refuse; grpc {grpc} …"),
        );
    }
}

/// A caller may write what it likes into its request id: it is cut, and cannot leave its string.
#[test]
fn hostile_request_ids() {
    let id = |sent: &str, shown: &str| {
        let shown = if shown.is_empty() {
            String::new()
        } else {
            format!(" #{shown}")
        };
        check(
            &policy(),
            &format!("GET /b | x-request-id: {sent}"),
            &format!("-: refuse 403 no_rule/no_rule; forbidden: no rule allows this request{shown}"),
        );
    };
    id("", "");
    id("\",\"error\":\"x\\x0d\\x0a</script>", "\",\"error\":\"x\r\n</script>");
    id("a\\xffb", "a\u{fffd}b");
    id(&"a".repeat(200), &"a".repeat(128));
    let (headers, connection) = read_request("GET /b | x-request-id: \"\\x0d\\x0a\\xe2\\x80\\xa8\\x00</");
    let Step::Refuse(refuse) = on_request(&read_policy(&policy()), headers, &connection) else {
        panic!("refused");
    };
    let body = String::from_utf8(refuse.reply.body).expect("JSON is UTF-8");
    assert!(
        body.ends_with(",\"request_id\":\"\\\"\\r\\n\\u2028\\u0000</\"}\n"),
        "{body}"
    );
}

#[test]
fn the_proxy_failed() {
    let (headers, _) = read_request("GET /a | x-request-id: 7");
    let refuse = host_failed(&read_policy(&policy()), &headers);
    assert_eq!(
        show_refuse(&refuse),
        "-: refuse 503 auth_unavailable/host; auth_unavailable: who calls cannot be found out right now #7"
    );
}

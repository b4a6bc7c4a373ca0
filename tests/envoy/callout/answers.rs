//! What becomes of the service's answer.
use crate::policies::asking;
use crate::support::*;

#[test]
fn the_answer_says_who_calls() {
    let gate = Gate::start(asking(
        "principal: { subject: x-auth-user, groups: { header: x-auth-groups, split: '|' }, scopes: x-auth-scopes, claims: { tenant: x-auth-tenant } }",
        r#"
identity: { headers: { x-user-id: "{subject}", x-user-groups: "{groups}", x-tenant: "{claims.tenant}", x-by: "{authenticator}" } }
rules:
- { name: ops, match: { hosts: ["*"], paths: [/ops] }, require: { groups: { any_of: [ops] } } }
- { name: write, match: { hosts: ["*"], paths: [/write] }, require: { scopes: { all_of: [orders.read, orders.write] } } }
- { name: tenant, match: { hosts: ["*"], paths: ["/t/{tenant}"] }, require: { claims: { tenant: "{path.tenant}" } } }
- { name: rest, match: { hosts: ["*"], paths: ["/**"] } }"#,
    ));
    let answer = |groups: &'static str, scopes: &'static str, tenant: &'static str| {
        gate.auth.answer(move |_| {
            Reply::ok()
                .header("x-auth-user", "alice")
                .header("x-auth-groups", groups)
                .header("x-auth-scopes", scopes)
                .header("x-auth-tenant", tenant)
        });
    };
    answer("ops| sales ,eu", "orders.read orders.write", "acme");
    for target in ["/ops", "/write", "/t/acme", "/rest"] {
        assert_eq!(gate.send(&get(target)).status, 200, "{target}");
        let seen = gate.upstream.last();
        for (name, value) in [
            ("x-user-id", "alice"),
            ("x-user-groups", "ops,sales%20%2Ceu"),
            ("x-tenant", "acme"),
            ("x-by", "account"),
        ] {
            assert_eq!(seen.header(name).as_deref(), Some(value), "{target}: {name}");
        }
    }
    answer("sales", "orders.read", "other");
    for target in ["/ops", "/write", "/t/acme"] {
        assert_eq!(gate.send(&get(target)).status, 403, "{target}");
    }
    assert_eq!(gate.send(&get("/rest")).status, 200);
}

/// Whatever the patterns say.
#[test]
fn some_headers_are_never_taken_from_an_answer() {
    let gate = Gate::start(asking(
        "accept: { headers: [x-plain], append: ['*-auth-*', 'x-*-also', x-listed], to_client: ['*'] }"
            .replace("append: ['*-auth-*', 'x-*-also', x-listed], ", "append: [x-listed], ")
            .as_str(),
        "",
    ));
    gate.auth.answer(|_| {
        Reply::ok()
            .header("x-auth-user", "alice")
            .header("x-plain", "1")
            .header("connection", "x-listed")
            .header("x-listed", "1")
            .header("x-user-id", "mallory")
            .header("x-envoy-max-retries", "9")
            .header("x-forwarded-host", "evil.example")
            .header("keep-alive", "timeout=5")
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
    });
    for wire in Wire::BOTH {
        let response = gate.client(wire).send(&get("/"));
        assert_eq!(response.status, 200);
        let seen = gate.upstream.last();
        assert_eq!(seen.header("x-plain").as_deref(), Some("1"));
        assert_eq!(seen.headers.all("x-user-id"), [b"alice"]);
        for name in ["x-listed", "x-envoy-max-retries", "x-forwarded-host", "set-cookie"] {
            assert!(!seen.has(name), "{wire:?}: {name}");
        }
        assert_eq!(response.headers.all("set-cookie"), [b"a=1", b"b=2"], "{wire:?}");
        assert_eq!(response.headers.all("content-length").len(), 1, "{wire:?}");
        for name in [
            "x-user-id",
            "x-listed",
            "x-envoy-max-retries",
            "x-forwarded-host",
            "keep-alive",
        ] {
            assert!(!response.headers.contains(name), "{wire:?}: {name} reached the client");
        }
    }
}

/// Last, as ext_authz does it; who calls is ours to say.
#[test]
fn what_the_service_wants_removed_is_removed() {
    let gate = Gate::start(asking(
        "credential: ['cookie:session']\naccept: { headers: [x-auth-role], append: [x-more] }",
        "",
    ));
    gate.auth.answer(|_| {
        Reply::ok()
            .header("x-auth-user", "alice")
            .header("x-auth-role", "admin")
            .header("x-more", "2")
            .header(
                "x-envoy-auth-headers-to-remove",
                "Cookie,x-auth-role, x-more,x-user-id,:path,host",
            )
    });
    for wire in Wire::BOTH {
        let request = get("/a")
            .header("cookie", "session=1; theme=dark")
            .header("x-more", "1");
        assert_eq!(gate.client(wire).send(&request).status, 200);
        let seen = gate.upstream.last();
        for name in ["cookie", "x-auth-role", "x-more"] {
            assert!(!seen.has(name), "{wire:?}: {name} in {:?}", seen.headers);
        }
        assert_eq!(seen.headers.all("x-user-id"), [b"alice"], "{wire:?}");
        assert_eq!(
            (seen.path().as_str(), seen.header("host").as_deref()),
            ("/a", Some("test"))
        );
    }
}

#[test]
fn a_denial_carries_what_on_deny_lists() {
    let gate = Gate::start(asking("on_deny: { headers: ['x-why*'] }", ""));
    gate.auth.answer(|_| {
        Reply::status(401)
            .header("x-why-not", "expired")
            .header("x-internal", "db-7")
            .header("set-cookie", "a=1")
            .header("www-authenticate", "Basic realm=\"shop\"")
            .header("location", "/login")
            .header("content-type", "text/plain")
            .header("cache-control", "public")
            .body("go away")
    });
    for wire in Wire::BOTH {
        let response = gate.client(wire).send(&get("/"));
        assert_eq!(
            (response.status, response.text().as_str()),
            (401, "go away"),
            "{wire:?}"
        );
        for (name, value) in [
            ("x-why-not", Some("expired")),
            ("x-internal", None),
            ("set-cookie", None),
            ("www-authenticate", Some("Basic realm=\"shop\"")),
            ("location", Some("/login")),
            ("content-type", Some("text/plain")),
            ("cache-control", Some("no-store")),
        ] {
            assert_eq!(response.header(name).as_deref(), value, "{wire:?}: {name}");
        }
        assert_eq!(response.headers.all("content-type").len(), 1);
        assert_eq!(gate.upstream.count(), 0);
        let head = gate.client(wire).send(&request("HEAD", "/"));
        assert_eq!((head.status, head.body.len()), (401, 0), "{wire:?}");
        assert_eq!(head.header("x-why-not").as_deref(), Some("expired"));
    }
}

#[test]
fn a_denial_without_a_page_gets_ours() {
    let gate = Gate::start(asking("", ""));
    for (status, error) in [
        (401, "unauthenticated"),
        (403, "forbidden"),
        (404, "forbidden"),
        (429, "forbidden"),
    ] {
        gate.auth.answer(move |_| {
            Reply::status(status)
                .header("x-why", "because")
                .header("content-type", "text/html")
        });
        for wire in Wire::BOTH {
            let response = gate.client(wire).send(&get("/"));
            assert_eq!(response.status, status);
            assert_eq!(response.json()["error"], error, "{wire:?} {status}");
            assert_eq!(
                response.headers.all("content-type"),
                [b"application/json"],
                "{wire:?} {status}"
            );
            assert_eq!(response.header("x-why").as_deref(), Some("because"));
        }
    }
}

#[test]
fn a_refused_credential_may_pass_as_nobody() {
    let gate = Gate::start(asking(
        "credential: ['header:authorization']",
        r#"rules: [{ name: all, match: { hosts: ["*"], paths: ["/**"] }, anonymous: allow_missing_or_failed }]"#,
    ));
    gate.auth.answer(|_| Reply::status(401));
    let response = gate.send(
        &get("/")
            .header("authorization", "Bearer old")
            .header("x-user-id", "alice"),
    );
    assert_eq!((response.status, gate.auth.count()), (200, 1));
    assert!(!gate.upstream.last().has("x-user-id"));
}

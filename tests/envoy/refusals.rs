//! What a refused caller reads: JSON, gRPC, or the way to the sign-in page.
mod browser;
mod grpc;

use serde_json::json;

use crate::policies::{alice, json as policy_json};
use crate::support::*;

/// A rule for each row of the table of refusals.
fn policy() -> String {
    policy_json(
        r#"
version: 1
authenticators:
  account: &account
    callout:
      protocol: ext_authz_http
      cluster: auth
      timeout: 5s
      credential: ["header:authorization"]
      principal: { subject: x-auth-user, scopes: x-auth-scopes, claims: { tenant: x-auth-tenant } }
      on_failure: deny
  shown:
    callout:
      protocol: ext_authz_http
      cluster: auth
      timeout: 5s
      principal: { subject: x-auth-user }
      send: { body: { max: 4B, host_flag: allow_on_headers_stop_iteration } }
      on_failure: deny
identity: { headers: { x-user-id: "{subject}" } }
defaults: { authenticate: [account] }
rules:
- { name: r403, match: { hosts: ["*"], paths: [/refuse/403] }, refuse: 403 }
- { name: r404, match: { hosts: ["*"], paths: [/refuse/404] }, refuse: 404 }
- { name: r410, match: { hosts: ["*"], paths: [/refuse/410] }, refuse: 410 }
- { name: r451, match: { hosts: ["*"], paths: [/refuse/451] }, refuse: 451 }
- { name: r503, match: { hosts: ["*"], paths: [/refuse/503] }, refuse: 503 }
- { name: scopes, match: { hosts: ["*"], paths: [/scopes] }, require: { scopes: { all_of: [orders.read, orders.write] } } }
- { name: tenant, match: { hosts: ["*"], paths: ["/tenant/{t}"] }, require: { claims: { tenant: "{path.t}" } } }
- { name: open, match: { hosts: ["*"], paths: [/open] }, anonymous: allow_missing, require: { authenticators: [account] } }
- { name: shown, match: { hosts: ["*"], paths: [/shown] }, authenticate: [shown] }
- { name: any, match: { hosts: ["*"], paths: ["/any/**"] } }
"#
        .replace("account: &account", "account:")
        .as_str(),
    )
}

struct Row {
    what: &'static str,
    request: Request,
    reply: fn(&Received) -> Reply,
    status: u16,
    error: &'static str,
    challenge: Option<&'static str>,
    grpc_status: u16,
}

fn row(what: &'static str, request: Request, status: u16, error: &'static str, grpc_status: u16) -> Row {
    Row {
        what,
        request,
        reply: |_| alice(),
        status,
        error,
        challenge: None,
        grpc_status,
    }
}

fn known(target: &str) -> Request {
    get(target).header("authorization", "Bearer abc")
}

/// Every row of the table.
fn rows() -> Vec<Row> {
    vec![
        row("two readings of a path", get("/any/%2e%2e/x"), 400, "bad_request", 3),
        row("no host name", get("/any/").host("a..b"), 400, "bad_request", 3),
        row(
            "two credentials",
            known("/any/").header("authorization", "Bearer b"),
            400,
            "bad_request",
            3,
        ),
        Row {
            challenge: Some("Bearer"),
            ..row("no credential", get("/any/"), 401, "unauthenticated", 16)
        },
        Row {
            challenge: Some("Bearer"),
            ..row("nobody who must be somebody", get("/open"), 401, "unauthenticated", 16)
        },
        Row {
            reply: |_| Reply::status(401),
            ..row("the service: 401", known("/any/"), 401, "unauthenticated", 16)
        },
        Row {
            reply: |_| Reply::status(403),
            ..row("the service: 403", known("/any/"), 403, "forbidden", 7)
        },
        Row {
            reply: |_| Reply::status(404),
            ..row("the service: 404", known("/any/"), 404, "forbidden", 12)
        },
        Row {
            reply: |_| Reply::status(429),
            ..row("the service: 429", known("/any/"), 429, "forbidden", 14)
        },
        Row {
            challenge: Some(r#"Bearer error="insufficient_scope", scope="orders.read orders.write""#),
            ..row("scopes", known("/scopes"), 403, "forbidden", 7)
        },
        row("claims", known("/tenant/acme"), 403, "forbidden", 7),
        Row {
            reply: |_| Reply::ok().header("x-auth-user", "a".repeat(5000)),
            ..row("an identity that does not fit", known("/any/"), 403, "forbidden", 7)
        },
        row("no rule", get("/none"), 403, "forbidden", 7),
        row(
            "a preflight",
            request("OPTIONS", "/any/")
                .header("origin", "https://a.example")
                .header("access-control-request-method", "PUT"),
            403,
            "forbidden",
            7,
        ),
        row("refuse: 403", get("/refuse/403"), 403, "forbidden", 7),
        row("refuse: 404", get("/refuse/404"), 404, "not_found", 12),
        row("refuse: 410", get("/refuse/410"), 410, "gone", 7),
        row(
            "refuse: 451",
            get("/refuse/451"),
            451,
            "unavailable_for_legal_reasons",
            7,
        ),
        row("refuse: 503", get("/refuse/503"), 503, "unavailable", 14),
        row("a long body", post("/shown", "hello"), 413, "body_too_large", 8),
        Row {
            reply: |_| Reply::status(500),
            ..row("the service fails", known("/any/"), 503, "auth_unavailable", 14)
        },
    ]
}

fn start() -> Gate {
    Gate::builder()
        .policy(policy())
        .allow_on_headers_stop_iteration(true)
        .start()
}

#[test]
fn every_refusal_is_json_that_names_the_request() {
    // The client's id is kept, so that it can be told from one that Envoy makes.
    let gate = Gate::builder()
        .policy(policy())
        .allow_on_headers_stop_iteration(true)
        .hcm(json!({"preserve_external_request_id": true}))
        .start();
    for wire in Wire::BOTH {
        for (number, row) in rows().into_iter().enumerate() {
            let about = format!("{} over {wire:?}", row.what);
            gate.auth.answer(row.reply);
            let id = format!("{number:08}-0000-4000-8000-000000000000");
            let response = gate.client(wire).send(&row.request.clone().header("x-request-id", &id));
            assert_eq!(response.status, row.status, "{about}: {}", response.text());
            let body = response.json();
            assert_eq!(body["error"], row.error, "{about}");
            assert!(body["message"].as_str().is_some_and(|m| !m.is_empty()), "{about}");
            assert_eq!(body["request_id"], id.as_str(), "{about}");
            assert_eq!(body.as_object().map(|o| o.len()), Some(3), "{about}: {body}");
            assert_eq!(response.headers.all("cache-control"), [b"no-store"], "{about}");
            assert_eq!(response.headers.all("content-type"), [b"application/json"], "{about}");
            assert_eq!(response.header("www-authenticate").as_deref(), row.challenge, "{about}");
        }
    }
    assert_eq!(gate.upstream.count(), 0);
    gate.envoy.assert_no_trap();
}

#[test]
fn head_gets_the_same_headers_and_no_body() {
    let gate = start();
    for wire in Wire::BOTH {
        let response = gate.client(wire).send(&request("HEAD", "/refuse/404"));
        assert_eq!((response.status, response.body.len()), (404, 0), "{wire:?}");
        assert_eq!(response.header("content-type").as_deref(), Some("application/json"));
    }
}

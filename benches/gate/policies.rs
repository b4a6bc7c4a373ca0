//! A policy as a platform team has it: the rules of many services, four identity headers.

use serde_json::{Value, json};

/// The request's own rules stand last, so that a search in order would show.
pub fn with_rules(count: usize) -> Value {
    let mut rules: Vec<Value> = (0..count - 2).map(of_a_service).collect();
    rules.push(json!({
        "name": "public",
        "match": {"hosts": ["shop.example.com"], "paths": ["/healthz", "/static/**"]},
        "authenticate": "none",
    }));
    rules.push(json!({
        "name": "orders",
        "match": {"hosts": ["shop.example.com"], "paths": ["/orders/**"], "methods": ["GET", "POST"]},
        "authenticate": ["account"],
    }));
    json!({
        "version": 1,
        "revision": "bench",
        "authenticators": {"account": {"callout": {
            "protocol": "ext_authz_http",
            "cluster": "auth",
            "timeout": "500ms",
            "credential": ["header:authorization", "cookie:session*"],
            "principal": {
                "subject": "x-auth-user",
                "groups": {"header": "x-auth-groups", "split": ","},
                "claims": {"tenant": "x-auth-tenant"},
            },
            "on_failure": "deny",
        }}},
        "identity": {
            "headers": {
                "x-user-id": "{subject}",
                "x-user-groups": "{groups}",
                "x-tenant-id": "{claims.tenant}",
                "x-authenticated-by": "{authenticator}",
            },
            "strip": ["x-internal-*", "x-auth-*"],
        },
        "rules": rules,
    })
}

/// Half of them on the host that is asked for.
fn of_a_service(number: usize) -> Value {
    let host = match number % 2 {
        0 => "shop.example.com".to_owned(),
        _ => format!("team-{}.example.com", number % 50),
    };
    json!({
        "name": format!("service-{number}"),
        "match": {"hosts": [host], "paths": [format!("/service-{number}/**"), format!("/api/{{version}}/service-{number}/*")]},
        "authenticate": ["account"],
    })
}

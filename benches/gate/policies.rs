//! A policy as a platform team has it: the rules of many services, four identity headers.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

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

/// Ten rules, and answers are remembered.
pub fn remembering() -> Value {
    let mut policy = with_rules(10);
    policy["authenticators"]["account"]["callout"]["cache"] = json!({
        "ttl": "1h",
        "max_entries": 150_000,
        "max_bytes": "64MiB",
    });
    policy
}

/// Answers are remembered; the rule names the first of all experiments.
pub fn experimenting(defined: usize, named: usize) -> Value {
    let mut policy = remembering();
    let name = |n: usize| format!("experiment-{n}");
    for n in 0..defined {
        policy["experiments"][name(n)] = json!({
            "unit": ["subject"],
            "header": format!("x-variant-{n}"),
            "variants": [{"name": "control", "weight": "50%"}, {"name": "blue", "weight": "50%"}],
        });
    }
    let named: Vec<String> = (0..named).map(name).collect();
    let rules = policy["rules"].as_array_mut().expect("rules");
    for rule in rules.iter_mut().filter(|rule| rule["name"] == "orders") {
        rule["experiments"] = json!(named);
    }
    policy
}

/// Ten rules; tokens of one issuer. The upstream is told nothing, as Envoy's own filter tells it nothing.
pub fn verifying(jwks: Value, remembered: usize) -> Value {
    let mut policy = with_rules(10);
    policy["identity"] = json!({});
    policy["authenticators"]["account"] = json!({"jwt": {
        "issuer": "https://id.example.com",
        "audiences": ["api"],
        "keys": {"inline": jwks},
        "principal": {"groups": "groups", "claims": {"tenant": "tenant_id"}},
        "cache": {"max_entries": remembered},
    }});
    policy
}

/// Holds far less than comes by.
pub fn small_memory() -> Value {
    let mut policy = whole();
    let cache = &mut policy["authenticators"]["account"]["callout"]["cache"];
    cache["max_entries"] = json!(5_000);
    cache["max_bytes"] = json!("4MiB");
    // Memory is looked at, not speed: a machine that is busy with something else is no outage.
    policy["authenticators"]["account"]["callout"]["timeout"] = json!("30s");
    policy
}

/// All that this version can do on the way of a known caller.
pub fn whole() -> Value {
    let mut policy = remembering();
    let callout = &mut policy["authenticators"]["account"]["callout"];
    callout["cache"]["stale_if_error"] = json!("5m");
    callout["cache"]["stale_while_revalidate"] = json!("10s");
    callout["breaker"] = json!({"failures": 5, "open_for": "5s"});
    let rules = policy["rules"].as_array_mut().expect("rules");
    for rule in rules.iter_mut().filter(|rule| rule["name"] == "orders") {
        rule["require"] = json!({
            "groups": {"any_of": ["ops", "sales"]},
            "claims": {"tenant": {"any_of": ["acme"]}},
        });
        rule["upstream"] = json!({
            "timeout": "2s",
            "retry": {
                "attempts": 3,
                "retry_on": ["connect-failure", "refused-stream", 503],
                "per_try_timeout": "500ms",
            },
        });
    }
    policy
}

/// The request's token as an API key, last among `count` keys.
pub fn api_keys(count: usize, token: &str) -> Value {
    let digest = |key: &str| -> String {
        let digest = Sha256::digest(key.as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let key = |id: String, key: &str| json!({"id": id, "sha256": digest(key), "subject": "alice"});
    let mut keys: Vec<Value> = (1..count)
        .map(|n| key(format!("key-{n}"), &format!("another {n}")))
        .collect();
    keys.push(key("key".to_owned(), token));
    let mut policy = with_rules(10);
    policy["authenticators"]["account"] = json!({"api_key": {
        "from": [{"header": "authorization", "prefix": "Bearer "}],
        "keys": {"inline": keys},
    }});
    policy
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

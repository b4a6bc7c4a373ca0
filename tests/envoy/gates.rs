//! Two gates and more in one path: the first knows the caller, the others take its signed word and nobody else's.

use crate::support::gate::cluster;
use crate::support::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;

const KEY: &str = include_str!("../assertion/p256.pem");
const JWKS: &str = "/.well-known/meshgate/jwks.json";

fn policy(authenticators: Value, asked: &str) -> Value {
    json!({
        "version": 1,
        "authenticators": authenticators,
        "identity": {
            "headers": {"x-user-id": "{subject}", "x-user-groups": "{groups}", "x-plan": "{claims.plan}"},
            "assertion": {
                "header": "x-identity", "keys": [{"env": "SIGNING_KEY"}], "issuer": "mesh", "audience": "mesh",
                "jwks_path": JWKS,
            },
        },
        "rules": [{"name": "all", "authenticate": [asked]}],
    })
}

/// Knows partners by their keys.
fn partners() -> String {
    let digest: String = Sha256::digest(b"acme-key")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let keys = json!([{
        "id": "acme-1", "sha256": digest, "subject": "acme", "groups": ["partners", "gold"], "claims": {"plan": "gold"},
    }]);
    let partner = json!({"partner": {"api_key": {"from": [{"header": "x-api-key"}], "keys": {"inline": keys}}}});
    policy(partner, "partner").to_string()
}

fn edge(next: SocketAddr) -> Gate {
    Gate::builder()
        .policy(partners())
        .vm_env("SIGNING_KEY", KEY)
        .cluster(cluster("next", &[next]))
        .routes(json!([{"match": {"prefix": "/"}, "route": {"cluster": "next"}}]))
        .start()
}

/// Knows whom an earlier gate vouches for, and vouches itself for whom its service calls in their name.
fn sidecar(keys: &Value) -> Gate {
    let edge = json!({"edge": {"gate": {
        "header": "x-identity", "issuer": "mesh", "audience": "mesh", "keys": {"inline": keys},
    }}});
    Gate::builder()
        .policy(policy(edge, "edge"))
        .vm_env("SIGNING_KEY", KEY)
        .start()
}

fn keys() -> Value {
    let any = Gate::builder().policy(partners()).vm_env("SIGNING_KEY", KEY).start();
    let response = any.send(&get(JWKS));
    assert_eq!(response.status, 200, "{}", response.text());
    serde_json::from_str(&response.text()).expect("a JWK set")
}

fn seen(gate: &Gate) -> [Option<String>; 3] {
    let seen = gate.upstream.last();
    ["x-user-id", "x-user-groups", "x-plan"].map(|name| seen.header(name))
}

#[test]
fn the_same_caller_everywhere() {
    let keys = keys();
    let (first, second) = (sidecar(&keys), sidecar(&keys));
    let edge = edge(first.addr());
    let acme = ["acme", "partners,gold", "gold"].map(|text| Some(text.to_owned()));

    for wire in Wire::BOTH {
        let request = get("/orders/7")
            .header("x-api-key", "acme-key")
            .header("x-user-id", "root");
        let response = edge.client(wire).send(&request.header("x-identity", "forged"));
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(seen(&first), acme, "the first service");
        // That service calls the next in its caller's name.
        let word = first.upstream.last().header("x-identity").expect("a word for the next");
        let response = second.client(wire).send(&get("/stock/7").header("x-identity", &word));
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(seen(&second), acme, "the second service");
    }

    let calls = second.upstream.count();
    let plain = get("/stock/7")
        .header("x-user-id", "acme")
        .header("x-api-key", "acme-key");
    assert_eq!(second.send(&plain).status, 401, "straight to the second");
    let word = first.upstream.last().header("x-identity").expect("a word");
    let (head, signature) = word.rsplit_once('.').expect("three parts");
    let other = format!("{head}.{}", signature.chars().rev().collect::<String>());
    assert_eq!(
        second.send(&get("/stock/7").header("x-identity", &other)).status,
        401,
        "a word that was changed"
    );
    assert_eq!(second.upstream.count(), calls);
    for gate in [&edge, &first, &second] {
        gate.envoy.assert_no_trap();
    }
}

//! Tokens in a real Envoy: whose they are, where they stop, and where keys come from.

mod fetched;
mod issuer;
mod rotated;
mod verified;

use crate::mint::{self, key};
use crate::support::{Gate, Response, get, until};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const ISSUER: &str = "https://id.example.com";

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
}

/// A public key by its name in tests/tokens/test-keys.json, under any `kid`.
fn jwk(name: &str, kid: &str) -> Value {
    serde_json::from_str(&key(name).jwk_with(&format!(r#""kid":"{kid}""#))).expect("JSON")
}

/// Of P-256, under these names.
fn jwks(kids: &[impl AsRef<str>]) -> Value {
    json!({"keys": kids.iter().map(|kid| jwk("p256", kid.as_ref())).collect::<Vec<_>>()})
}

fn claims(issuer: &str) -> String {
    json!({"iss": issuer, "aud": ["api"], "sub": "ann", "iat": now(), "exp": now() + 600}).to_string()
}

fn es256(kid: &str, issuer: &str) -> String {
    let header = json!({"alg": "ES256", "kid": kid, "typ": "JWT"}).to_string();
    mint::token(&header, &claims(issuer), "p256", Algorithm::ES256)
}

fn policy(keys: Value) -> Value {
    json!({
        "version": 1,
        "identity": {"headers": {"x-user-id": "{subject}"}},
        "authenticators": {"staff": {"jwt": {
            "issuer": ISSUER,
            "audiences": ["api"],
            "keys": keys,
            "from": [{"header": "authorization", "prefix": "Bearer "}, {"cookie": "id"}, {"query": "access_token"}],
        }}},
        "rules": [{"name": "r", "authenticate": ["staff"]}],
    })
}

/// From the stub in the place of the auth service.
fn remote(path: &str) -> Value {
    json!({"cluster": "auth", "authority": "id.example.com", "path": path, "refresh": "10s"})
}

fn with(gate: &Gate, token: &str) -> Response {
    gate.send(&get("/a").header("authorization", format!("Bearer {token}")))
}

/// Of a gate with two workers: the VM that fetches holds the keys at once, the other and the main thread's take them
/// at their next tick. Until then a request that comes to one of them meets the old keys, or none.
fn all_hold(gate: &Gate, authenticator: &str, sets: u64) {
    const OTHERS: u64 = 2;
    let name = format!("wasmcustom.meshgate_key_fetches_total.authenticator={authenticator}.result=taken");
    until(
        format!("key set {sets} of {authenticator} in every VM"),
        Duration::from_secs(30),
        || {
            let taken = gate.envoy.stat(&name).unwrap_or_default();
            (taken >= OTHERS * sets).then_some(())
        },
    );
}

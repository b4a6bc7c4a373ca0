//! What the next gate is told, and the keys to check it with, on a real Envoy.

use crate::policies::{account, knows_ada, log_lines};
use crate::support::*;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::{DecodingKey, jwk::JwkSet};
use serde_json::{Value, json};

const ES256: &str = include_str!("../assertion/p256.pem");
const RS256: &str = include_str!("../assertion/rsa.pem");
const NEXT: &str = include_str!("../assertion/next.pem");
const JWKS: &str = "/.well-known/meshgate/jwks.json";

/// The rules of several tests; `more` goes into the assertion.
fn policy(more: &str) -> String {
    let mut policy: Value = serde_json::from_str(&account(
        r#"rules:
- { name: public, match: { hosts: ["*"], paths: ["/public/**"] }, authenticate: none }
- { name: maybe, match: { paths: ["/maybe/**"] }, anonymous: allow_missing }
- { name: shop, match: { hosts: [shop.example.com] }, identity: { audience: "https://{host}" } }
- { name: everything }"#,
    ))
    .unwrap();
    policy["identity"]["assertion"] = json!({
        "header": "x-identity", "keys": [{"env": "SIGNING_KEY"}], "issuer": "gateway", "audience": "mesh", "jwks_path": JWKS,
    });
    let more: Value = serde_json::from_str(more).unwrap();
    gate::merge(&mut policy["identity"]["assertion"], more);
    policy.to_string()
}

fn gate(more: &str, keys: &[(&str, &str)]) -> Gate {
    let builder = Gate::builder().policy(policy(more)).auth(knows_ada);
    keys.iter()
        .fold(builder, |builder, (name, key)| builder.vm_env(name, key))
        .start()
}

fn ada(path: &str) -> Request {
    get(path)
        .header("authorization", "Bearer ada")
        .header("x-identity", "forged")
        .header("x-identity", "forged too")
        .header("x.identity", "forged as well")
}

/// What the upstream reads in the header; nothing of a caller's own.
#[track_caller]
fn told(gate: &Gate, wire: Wire, request: &Request) -> Option<String> {
    let response = gate.client(wire).send(request);
    assert_eq!(response.status, 200, "{}", response.text());
    let seen = gate.upstream.last();
    let values: Vec<String> = seen
        .headers
        .iter()
        .filter(|(name, _)| String::from_utf8_lossy(name).contains("identity"))
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .collect();
    assert!(
        values.len() <= 1 && !values.iter().any(|value| value.contains("forged")),
        "{values:?}"
    );
    values.into_iter().next()
}

#[track_caller]
fn jwks(gate: &Gate) -> String {
    let response = gate.send(&get(JWKS));
    assert_eq!(response.status, 200, "{}", response.text());
    response.text()
}

/// The claims, where the signature is by the key of the set that the token names.
#[track_caller]
fn verified(token: &str, jwks: &str) -> Value {
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let header: Value = serde_json::from_slice(&decode(parts[0])).unwrap();
    assert_eq!(header["typ"], "meshgate+jwt");
    let set: JwkSet = serde_json::from_str(jwks).unwrap();
    let key = set.find(header["kid"].as_str().unwrap()).expect("the key");
    let algorithm = header["alg"].as_str().unwrap().parse().unwrap();
    let key = DecodingKey::from_jwk(key).unwrap();
    let verifier = (DEFAULT_PROVIDER.verifier_factory)(&algorithm, &key).unwrap();
    let message = format!("{}.{}", parts[0], parts[1]);
    verifier
        .verify(message.as_bytes(), &decode(parts[2]))
        .expect("a signature");
    serde_json::from_slice(&decode(parts[1])).unwrap()
}

#[test]
fn the_upstream_sees_our_word_and_nobody_elses() {
    for (algorithm, key) in [("ES256", ES256), ("RS256", RS256)] {
        let gate = gate(&json!({"algorithm": algorithm}).to_string(), &[("SIGNING_KEY", key)]);
        let keys = jwks(&gate);
        for wire in Wire::BOTH {
            let token = told(&gate, wire, &ada("/")).expect("an assertion");
            let mut claims = verified(&token, &keys);
            let life = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
            assert_eq!(life, 60);
            for times in ["iat", "exp"] {
                claims.as_object_mut().unwrap().remove(times);
            }
            let expected = json!({"iss": "gateway", "aud": "mesh", "sub": "ada", "auth": "account", "groups": [], "scope": "", "claims": {}});
            assert_eq!(claims, expected);
            let shop = told(&gate, wire, &ada("/").host("shop.example.com")).expect("an assertion");
            assert_eq!(verified(&shop, &keys)["aud"], "https://shop.example.com");
            for path in ["/public/a", "/maybe/a"] {
                assert_eq!(told(&gate, wire, &get(path).header("x-identity", "forged")), None);
            }
        }
        let log = gate.envoy.log();
        assert!(!log.contains("eyJ") && !log.contains("PRIVATE KEY"), "{log}");
        gate.envoy.assert_no_trap();
    }
}

#[test]
fn keys_are_served_by_the_filter_itself() {
    let gate = gate(
        r#"{"keys": [{"env": "SIGNING_KEY"}, {"env": "OLD"}]}"#,
        &[("SIGNING_KEY", NEXT), ("OLD", ES256)],
    );
    for wire in Wire::BOTH {
        let response = gate.client(wire).send(&get(JWKS).host("any.example.org"));
        assert_eq!(response.status, 200);
        assert_eq!(
            response.header("content-type").as_deref(),
            Some("application/jwk-set+json")
        );
        assert_eq!(response.header("cache-control").as_deref(), Some("public, max-age=300"));
        let set: Value = serde_json::from_str(&response.text()).unwrap();
        let kids: Vec<&Value> = set["keys"].as_array().unwrap().iter().map(|key| &key["kid"]).collect();
        assert_eq!(
            (kids.len(), kids[1].as_str()),
            (2, Some("ABvzTh9mK3jNV_kbmuKBD2G2jX_yNl1tnppH5bsahFc"))
        );
        let head = gate.client(wire).send(&request("HEAD", JWKS));
        assert_eq!((head.status, head.text().as_str()), (200, ""));
        assert_eq!(gate.client(wire).send(&request("POST", JWKS)).status, 401);
        assert_eq!(gate.client(wire).send(&get(format!("{JWKS}/a"))).status, 401);
    }
    assert_eq!(gate.upstream.count(), 0);
    let log = gate.envoy.log();
    let served = log_lines(&log)
        .into_iter()
        .filter(|line| line["outcome"] == "jwks")
        .count();
    assert_eq!(served, 4);
}

#[test]
fn a_missing_key_keeps_envoy_from_starting() {
    let log = Gate::builder().policy(policy("{}")).expect_refused();
    let why = "policy refused: identity.assertion.keys[0].env: the variable SIGNING_KEY is not set in vm_config.environment_variables, or is no text";
    assert!(log.contains(why), "{log}");
    let secret = "MIGHAgEAMBMGByqGSM49AgEG";
    let log = Gate::builder()
        .policy(policy("{}"))
        .vm_env("SIGNING_KEY", secret)
        .expect_refused();
    assert!(
        log.contains("the variable SIGNING_KEY holds no private key in PEM"),
        "{log}"
    );
    let lines = log.lines().filter(|line| line.contains("wasm log"));
    assert!(lines.filter(|line| line.contains(secret)).count() == 0, "{log}");
}

//! Log lines, filter state, and the next gate.

use super::*;
use crate::policies::decisions;
use sha2::{Digest, Sha256};

const KEY: &str = include_str!("../../assertion/p256.pem");
const JWKS: &str = "/.well-known/meshgate/jwks.json";

/// Two weights whose owners disagree: what the second gate would choose alone is the other one.
fn policy(authenticators: Value, asked: &str, weights: [&str; 2]) -> Value {
    object!({
        "version": 1,
        "authenticators": authenticators,
        "log": {"access": ["variant"]},
        "identity": {"assertion": {
            "header": "x-identity", "keys": [{"env": "SIGNING_KEY"}], "issuer": "mesh", "audience": "mesh", "jwks_path": JWKS,
        }},
        "experiments": {"checkout": {
            "unit": ["subject"],
            "header": "x-variant",
            "variants": [{"name": "control", "weight": weights[0]}, {"name": "blue", "weight": weights[1]}],
            "force": {
                "header": "x-force", "cookie": "force", "query": "force",
                "require": {"groups": {"any_of": ["qa"]}},
            },
        }},
        "rules": [{"name": "all", "authenticate": [asked], "experiments": ["checkout"]}],
    })
}

fn partners() -> String {
    let key = |id: &str, group: &str| {
        let digest: String = Sha256::digest(id).iter().map(|byte| format!("{byte:02x}")).collect();
        object!({"id": id, "sha256": digest, "subject": id, "groups": [group]})
    };
    let keys = object!([key("acme", "partners"), key("tester", "qa")]);
    let partner = object!({"partner": {"api_key": {"from": [{"header": "x-api-key"}], "keys": {"inline": keys}}}});
    policy(partner, "partner", ["0%", "100%"]).to_string()
}

fn edge() -> Gate {
    Gate::builder()
        .policy(partners())
        .vm_env("SIGNING_KEY", KEY)
        .access_log(object!({"variant": "%FILTER_STATE(wasm.meshgate_variant:PLAIN)%"}))
        .start()
}

#[test]
fn the_next_gate_agrees() {
    let edge = edge();
    let keys: Value = edge.send(&get(JWKS)).json();
    let known = object!({"edge": {"gate": {
        "header": "x-identity", "issuer": "mesh", "audience": "mesh", "keys": {"inline": keys},
    }}});
    let sidecar = Gate::builder()
        .policy(policy(known, "edge", ["100%", "0%"]))
        .vm_env("SIGNING_KEY", KEY)
        .start();
    assert_eq!(edge.send(&get("/a").header("x-api-key", "acme")).status, 200);
    let seen = edge.upstream.last();
    assert_eq!(seen.header("x-variant").as_deref(), Some("blue"));
    let word = seen.header("x-identity").expect("a word for the next gate");
    let forged = get("/b").header("x-identity", &word).header("x-variant", "control");
    assert_eq!(sidecar.send(&forged).status, 200);
    assert_eq!(
        sidecar.upstream.last().headers.all("x-variant"),
        [b"blue"],
        "alone it would say control"
    );
    assert_eq!(decisions(&sidecar, "/b", 1)[0]["variants"], "checkout=blue:gate");
    let counted = sidecar.envoy.stats("wasmcustom.meshgate_exposures_total");
    assert!(counted.values().all(|n| *n == 0), "the edge told it: {counted:?}");
    assert_eq!(edge.envoy.stats("wasmcustom.meshgate_exposures_total").len(), 1);
}

#[test]
fn who_may_chooses_and_nobody_sees_how() {
    let edge = edge();
    let ways = |who: &str| {
        let of = |target: &str| get(target).header("x-api-key", who);
        [
            of("/a").header("x-force", "control"),
            of("/a?b=1&force=control"),
            of("/a").header("cookie", "a=1; force=control"),
        ]
    };
    for (who, variant) in [("tester", "control"), ("acme", "blue")] {
        for request in ways(who) {
            assert_eq!(edge.send(&request).status, 200);
            let seen = edge.upstream.last();
            assert_eq!(seen.header("x-variant").as_deref(), Some(variant), "{who}");
            assert!(!seen.has("x-force"));
            assert!(!seen.path().contains("force"), "{}", seen.path());
            assert!(!seen.header("cookie").unwrap_or_default().contains("force"));
        }
    }
    let lines = edge.access_log(6);
    assert_eq!(lines[0]["variant"], "checkout=control:forced");
    assert_eq!(lines[5]["variant"], "checkout=blue");
    let counted = edge.envoy.stats("wasmcustom.meshgate_exposures_total");
    let counted: Vec<_> = counted.into_iter().collect();
    let blue = "wasmcustom.meshgate_exposures_total.experiment=checkout.variant=blue".to_owned();
    assert_eq!(counted, [(blue, 1)], "what was forced is no exposure");
}

//! Keys from the environment, and what they sign.

use crate::gate::*;
use crate::host::Host;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Once;
use std::time::Duration;

/// The gate's policy, with an assertion whose key is in that variable.
fn policy(variable: &str) -> String {
    let mut policy: serde_json::Value = serde_json::from_str(POLICY).expect("JSON");
    policy["identity"]["assertion"] = serde_json::json!({
        "header": "x-identity", "keys": [{"env": variable}], "issuer": "gateway", "audience": "mesh",
        "jwks_path": "/.well-known/jwks.json",
    });
    policy.to_string()
}

/// Variables of the process stand in for those of a VM.
fn environment() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        let set = |name, value| {
            // SAFETY: nothing in this process reads the environment but the standard library, which locks it.
            unsafe { std::env::set_var(name, value) }
        };
        set("MESHGATE_TEST_KEY", include_str!("../assertion/p256.pem"));
        set("MESHGATE_TEST_NO_KEY", "s3cr3t-but-no-key");
    });
}

fn gate() -> Host {
    environment();
    serving(&policy("MESHGATE_TEST_KEY"), options())
}

#[test]
fn a_key_that_cannot_be_used_refuses_the_policy_and_is_not_shown() {
    environment();
    for (variable, why) in [
        (
            "MESHGATE_TEST_UNSET",
            "is not set in vm_config.environment_variables, or is no text",
        ),
        ("MESHGATE_TEST_NO_KEY", "holds no private key in PEM"),
    ] {
        let host = Host::start(policy(variable), options());
        assert!(!host.accepted());
        let told: Vec<String> = lines(&host).iter().map(|line| line["msg"].to_string()).collect();
        let expected = format!("\"policy refused: identity.assertion.keys[0].env: the variable {variable} {why}\"");
        assert_eq!(told, [expected]);
        assert_eq!(host.metric("meshgate_policy_loads_total.result=rejected"), Some(1));
    }
}

#[test]
fn an_update_without_its_key_leaves_the_old_policy() {
    let mut host = gate();
    assert!(!host.configure(policy("MESHGATE_TEST_UNSET")));
    let stream = known(&host, "/gate/a");
    answer(&host, YES);
    assert!(told(&stream, "x-identity").is_some());
}

#[test]
fn the_upstream_gets_ours_and_the_same_for_a_while() {
    let host = gate();
    let ask = |host: &Host| {
        let stream = host.request(&headers(
            "/gate/a",
            &[CREDENTIAL, ("x-identity", "forged"), ("x_identity", "forged")],
        ));
        answer(host, YES);
        assert_eq!(told(&stream, "x_identity"), None);
        told(&stream, "x-identity").expect("an assertion")
    };
    let first = ask(&host);
    let claims = URL_SAFE_NO_PAD
        .decode(first.split('.').nth(1).expect("claims"))
        .expect("base64url");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
    assert_eq!((&claims["sub"], &claims["iat"]), (&"u7".into(), &1_767_323_045.into()));
    host.advance(Duration::from_secs(29));
    assert_eq!(ask(&host), first);
    host.advance(Duration::from_secs(1));
    assert_ne!(ask(&host), first);
    let public = host.request(&headers("/public/a", &[("x-identity", "forged")]));
    assert_eq!(told(&public, "x-identity"), None);
    for line in lines(&host) {
        assert!(!line.to_string().contains(&first[..40]), "{line}");
    }
}

#[test]
fn the_filter_answers_with_its_keys() {
    let host = gate();
    let stream = host.request(&headers("/.well-known/jwks.json", &[]));
    let reply = stream.reply().expect("a reply");
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.headers.get("content-type").as_deref(),
        Some("application/jwk-set+json")
    );
    let set: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!(set["keys"][0]["kid"], "ABvzTh9mK3jNV_kbmuKBD2G2jX_yNl1tnppH5bsahFc");
    assert_eq!(decision(&host), "jwks");
    assert_eq!(host.metric("meshgate_requests_total.rule=none.outcome=jwks"), Some(1));
}

//! Kong itself cannot run here. Its configuration is read instead: what stands there stands in the policy, and the policy
//! does what Kong's documentation says of it.

use super::{example, policy, seen};
use crate::mint::{self, key};
use crate::support::*;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::{SystemTime, UNIX_EPOCH};

fn kong(name: &str) -> Value {
    example(&format!("kong/{name}/kong.yaml"))
}

fn gate(name: &str) -> GateBuilder {
    Gate::builder().policy(policy(&format!("kong/{name}/policy.yaml")))
}

/// The `config` of a plugin.
#[track_caller]
fn plugin(kong: &Value, name: &str) -> Value {
    let plugins = kong["services"][0]["plugins"].as_array().expect("plugins");
    plugins.iter().find(|p| p["name"] == name).expect(name)["config"].clone()
}

fn api_key(kong: &Value, consumer: usize) -> String {
    let key = &kong["consumers"][consumer]["keyauth_credentials"][0]["key"];
    key.as_str().expect("a key").to_owned()
}

/// Kong's consumers with their groups are the policy's keys.
fn consumers_are_keys(name: &str) {
    let (kong, policy) = (kong(name), policy(&format!("kong/{name}/policy.yaml")));
    let hex = |key: &str| {
        Sha256::digest(key)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect::<String>()
    };
    let consumers = kong["consumers"].as_array().expect("consumers").iter().enumerate();
    let theirs: Vec<Value> = consumers
        .map(|(i, c)| {
            let groups = c["acls"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|acl| acl["group"].clone());
            json!([c["username"], hex(&api_key(&kong, i)), groups.collect::<Vec<_>>()])
        })
        .collect();
    let keys = &policy["authenticators"]["consumer"]["api_key"]["keys"]["inline"];
    let none = json!([]);
    let groups = |k: &Value| k.get("groups").unwrap_or(&none).clone();
    let keys = keys.as_array().expect("keys").iter();
    let ours: Vec<Value> = keys.map(|k| json!([k["subject"], k["sha256"], groups(k)])).collect();
    assert_eq!(ours, theirs, "{name}");
}

#[test]
fn jwt() {
    let kong = kong("jwt");
    let secret = &kong["consumers"][0]["jwt_secrets"][0];
    let ours = policy("kong/jwt/policy.yaml")["authenticators"]["shop-app"]["jwt"].clone();
    assert_eq!(kong["consumers"][0]["username"], "shop-app");
    assert_eq!(
        (&secret["key"], &secret["algorithm"]),
        (&ours["issuer"], &ours["algorithms"][0])
    );
    // The last 64 bytes of the PEM are the coordinates.
    let pem: String = secret["rsa_public_key"]
        .as_str()
        .expect("PEM")
        .lines()
        .filter(|l| !l.starts_with('-'))
        .collect();
    let whole = key("p256")
        .pem
        .lines()
        .filter(|l| !l.starts_with('-'))
        .collect::<String>();
    assert_eq!(pem, whole);
    let jwk = &ours["keys"]["inline"]["keys"][0];
    assert_eq!([&jwk["x"], &jwk["y"]], [&key("p256").jwk["x"], &key("p256").jwk["y"]]);

    let gate = gate("jwt").start();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let token = |issuer: &str, exp: u64| {
        let claims = json!({"iss": issuer, "sub": "ann", "exp": exp}).to_string();
        mint::token(r#"{"alg":"ES256","typ":"JWT"}"#, &claims, "p256", Algorithm::ES256)
    };
    let good = token("https://id.example.com", now + 600);
    let bearer = |token: &str| get("/orders/1").header("authorization", format!("Bearer {token}"));
    let names = ["x-consumer-username", "x-user-id", "authorization"];
    let request = bearer(&good).header("x-consumer-username", "root");
    assert_eq!(gate.send(&request).status, 200);
    let told = |authorization| [Some("shop-app".to_owned()), Some("ann".into()), authorization];
    assert_eq!(
        seen(&gate.upstream.last(), &names),
        told(Some(format!("Bearer {good}")))
    );
    assert_eq!(gate.send(&get(format!("/orders/1?jwt={good}"))).status, 200);
    assert_eq!(seen(&gate.upstream.last(), &names), told(None));
    for bad in [
        get("/orders/1"),
        bearer(&token("https://id.example.com", now - 600)),
        bearer(&token("https://other.example.com", now + 600)),
        bearer(&good[..good.len() - 4]),
    ] {
        assert_eq!(gate.send(&bad).status, 401);
    }
    assert_eq!(gate.upstream.count(), 2);
}

#[test]
fn key_auth() {
    consumers_are_keys("key-auth");
    let kong = kong("key-auth");
    assert_eq!(plugin(&kong, "key-auth")["key_names"], json!(["apikey"]));
    let gate = gate("key-auth").start();
    for (consumer, who) in ["acme", "blue"].into_iter().enumerate() {
        let key = api_key(&kong, consumer);
        for request in [
            get("/orders/1?a=b").header("apikey", &key),
            get(format!("/orders/1?a=b&apikey={key}")),
        ] {
            assert_eq!(gate.send(&request.header("x-consumer-username", "root")).status, 200);
            let last = gate.upstream.last();
            assert_eq!(
                seen(&last, &["x-consumer-username", "apikey"]),
                [Some(who.to_owned()), None]
            );
            assert_eq!(last.path(), "/orders/1?a=b", "hide_credentials");
        }
    }
    for bad in [get("/orders/1"), get("/orders/1").header("apikey", "wrong")] {
        assert_eq!(gate.send(&bad).status, 401);
    }
}

#[test]
fn acl() {
    consumers_are_keys("acl");
    let kong = kong("acl");
    let rule = policy("kong/acl/policy.yaml")["rules"][0].clone();
    assert_eq!(plugin(&kong, "acl")["allow"], rule["require"]["groups"]["any_of"]);
    let gate = gate("acl").start();
    let by = |consumer| get("/orders/1").header("apikey", api_key(&kong, consumer));
    assert_eq!(gate.send(&by(0)).status, 200);
    let names = ["x-consumer-username", "x-consumer-groups"];
    assert_eq!(
        seen(&gate.upstream.last(), &names),
        [Some("acme".to_owned()), Some("gold,eu".into())]
    );
    assert_eq!(gate.send(&by(1)).status, 403);
    assert_eq!(gate.send(&get("/orders/1")).status, 401);
    assert_eq!(gate.upstream.count(), 1);
}

#[test]
fn request_transformer() {
    consumers_are_keys("request-transformer");
    let kong = kong("request-transformer");
    let config = plugin(&kong, "request-transformer");
    let gate = gate("request-transformer").start();
    let mut request = get("/orders/1")
        .header("apikey", api_key(&kong, 0))
        .header("x-caller", "me");
    let removed = config["remove"]["headers"].as_array().expect("names");
    for name in removed {
        request = request.header(name.as_str().expect("a name"), "forged");
    }
    // Kong lets this one through, and a CGI-like server reads it as the first.
    assert_eq!(gate.send(&request.header("x_internal_user", "forged")).status, 200);
    let last = gate.upstream.last();
    for name in removed.iter().filter_map(Value::as_str).chain(["x_internal_user"]) {
        assert_eq!(last.header(name), None, "{name}");
    }
    let added = config["add"]["headers"][0]
        .as_str()
        .and_then(|h| h.split_once(':'))
        .expect("a header");
    assert_eq!(last.header(added.0).as_deref(), Some(added.1));
    assert_eq!(last.header("x-caller").as_deref(), Some("acme"));
}

#[test]
fn rate_limiting() {
    consumers_are_keys("rate-limiting");
    let kong = kong("rate-limiting");
    let limit = policy("kong/rate-limiting/policy.yaml")["rate_limits"]["consumer"].clone();
    assert_eq!(
        (&plugin(&kong, "rate-limiting")["minute"], limit["window"].as_str()),
        (&limit["requests"], Some("1m"))
    );
    let gate = gate("rate-limiting").start();
    let by = |consumer| gate.send(&get("/orders/1").header("apikey", api_key(&kong, consumer)));
    // One comes back each second, so a slow machine gets more than 60.
    let refused = (0..500).find(|_| by(0).status == 429).expect("429");
    assert!(refused >= 60, "after {refused}");
    assert_eq!(gate.upstream.count(), refused);
    assert_eq!(by(1).status, 200, "the other's bucket is full");
    let refused = until("429 again", LONG, || Some(by(0)).filter(|r| r.status == 429));
    assert!(refused.header("retry-after").is_some() && refused.header("ratelimit-limit").as_deref() == Some("60"));
}

#[test]
fn proxy_cache() {
    let config = plugin(&kong("proxy-cache"), "proxy-cache");
    let callout = policy("kong/proxy-cache/policy.yaml")["authenticators"]["account"]["callout"].clone();
    assert_eq!(callout["cache"]["ttl"], format!("{}s", config["cache_ttl"]));
    assert_eq!(config["vary_headers"], json!(["authorization"]));
    let gate = gate("proxy-cache")
        .workers(1)
        .auth(|asked| match asked.header("authorization").as_deref() {
            Some("Bearer alice") => Reply::ok().header("x-auth-user", "alice"),
            Some("Bearer bob") => Reply::ok().header("x-auth-user", "bob"),
            _ => Reply::status(401),
        })
        .start();
    let by = |who: &str, path: &str| get(path).header("authorization", format!("Bearer {who}"));
    for path in ["/orders/1", "/orders/2?q=1", "/orders/3"] {
        for who in ["alice", "bob"] {
            assert_eq!(gate.send(&by(who, path)).status, 200);
            assert_eq!(gate.upstream.last().header("x-user-id").as_deref(), Some(who));
        }
    }
    assert_eq!(gate.auth.count(), 2, "once for each token, whatever the path");
    // What Kong's cache cannot: who is known stays known while the service is away, and nobody else gets in.
    gate.auth.stop();
    assert_eq!(gate.send(&by("alice", "/orders/4")).status, 200);
    assert_eq!(gate.send(&by("carl", "/orders/4")).status, 503);
}

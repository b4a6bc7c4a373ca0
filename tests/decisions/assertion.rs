//! What the next gate is told, and where the keys to check it with are.

use crate::text::{NOW, read_policy, read_request, show};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use meshgate::cache::Seed;
use meshgate::config;
use meshgate::decide::{Around, Step, on_request};
use meshgate::memory::Memory;
use meshgate::policy::Policy;
use meshgate::time::UnixTime;
use std::sync::Arc;

const RULES: &str = r#"
- { name: public, match: { hosts: [shop.example.com], paths: ["/public/**"] }, authenticate: none }
- { name: closed, match: { paths: ["/closed/**", "/.well-known/**"] }, refuse: 404 }
- { name: open, match: { paths: ["/open/**"] }, anonymous: allow_missing }
- { name: failed, match: { paths: ["/failed/**"] }, anonymous: allow_missing_or_failed }
- { name: cors, match: { paths: ["/cors/**"] }, cors: { preflight: pass } }
- { name: orders, match: { hosts: [shop.example.com, "*.shop.example.com"], paths: ["/orders/**"] }, identity: { audience: "https://{host}" } }
- { name: rest }
"#;

fn policy(rest: &str) -> Arc<Policy> {
    read_policy(&text(rest))
}

fn text(rest: &str) -> String {
    format!(
        r#"
version: 1
authenticators:
  partner:
    api_key:
      from: [{{ header: x-api-key }}]
      keys: {{ inline: [
        {{ id: one, sha256: "SHA", subject: acme, groups: [partners], scopes: [a, b], claims: {{ plan: gold }} }},
        {{ id: two, sha256: "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35", subject: beta }} ] }}
identity:
  headers: {{ x-user-id: "{{subject}}" }}
  assertion: {{ header: x-identity, keys: [{{ env: KEY }}], issuer: gateway, audience: mesh, jwks_path: /.well-known/meshgate/jwks.json }}
defaults: {{ authenticate: [partner] }}
{rest}
rules:{RULES}"#
    )
    .replace("SHA", "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b")
}

/// With the keys that the policy names.
fn memory(policy: &Policy) -> Memory {
    let key = |name: &str| (name == "KEY").then(|| include_str!("../assertion/p256.pem").to_owned());
    let assertions = config::signing(policy, key).expect("keys");
    Memory::new(policy, Seed::default()).with_assertions(assertions)
}

fn step(policy: &Arc<Policy>, memory: &mut Memory, request: &str, now: UnixTime) -> Step {
    let (headers, connection) = read_request(request);
    let mut around = Around {
        shared: &meshgate::cache::NoStore,
        signatures: &meshgate::authn::jwt::InRust,
        connection: &connection,
        memory,
        now,
    };
    on_request(policy, headers, true, &mut around)
}

/// A token is shown as its claims.
fn shown(step: &Step) -> String {
    let parts = show(step).split("; ").map(claims_of).collect::<Vec<_>>();
    parts.join("; ")
}

fn claims_of(part: &str) -> String {
    let Some(token) = part.strip_prefix("set x-identity=") else {
        return part.to_owned();
    };
    let claims = token.split('.').nth(1).expect("claims");
    let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64url");
    format!("set x-identity={}", String::from_utf8(claims).expect("text"))
}

#[track_caller]
fn check(policy: &Arc<Policy>, request: &str, expected: &str) {
    let shown = shown(&step(policy, &mut memory(policy), request, NOW));
    assert_eq!(shown, expected, "{request}");
}

fn acme(audience: &str) -> String {
    format!(
        r#"set x-identity={{"iss":"gateway","aud":"{audience}","sub":"acme","iat":1796083200,"exp":1796083260,"auth":"partner","groups":["partners"],"scope":"a b","claims":{{"plan":"gold"}}}}"#
    )
}

#[test]
fn a_known_caller_is_told_and_nobody_else() {
    let policy = policy("");
    let known = |rule: &str, audience: &str| {
        let told = acme(audience);
        format!(
            "{rule}: forward allowed partner/acme by one; remove x-identity; remove x-api-key; {told}; set x-user-id=acme"
        )
    };
    let request = |target: &str| format!("GET {target} | x-api-key: 1 | x-identity: forged");
    check(&policy, &request("/"), &known("rest", "mesh"));
    check(&policy, &request("/open"), &known("open", "mesh"));
    check(
        &policy,
        &request("/orders/7"),
        &known("orders", "https://shop.example.com"),
    );
    let other = "GET /orders/7 | :authority: EU.shop.example.com:8443 | x-api-key: 1 | x-identity: forged";
    check(
        &policy,
        other,
        &known("orders", "https://eu.shop.example.com").replace(
            "set x-identity",
            "set :authority=eu.shop.example.com:8443; set x-identity",
        ),
    );
    check(
        &policy,
        "GET /public/a | x-api-key: 1 | x-identity: forged | X_Identity: forged",
        "public: forward public; remove x-identity; remove X_Identity; remove x-api-key",
    );
    check(
        &policy,
        "GET /open | x-identity: forged",
        "open: forward anonymous; remove x-identity",
    );
    check(
        &policy,
        "GET /failed | x-api-key: 3 | x-identity: forged",
        "failed: forward anonymous/unknown_key; remove x-identity; remove x-api-key",
    );
    check(
        &policy,
        "OPTIONS /cors | origin: https://a | access-control-request-method: GET | x-identity: forged",
        "cors: forward preflight; remove x-identity",
    );
}

#[test]
fn one_serves_its_caller_until_half_of_its_life_is_over() {
    let policy = policy("");
    let mut memory = memory(&policy);
    let mut told = |request: &str, after_s: u64| match step(
        &policy,
        &mut memory,
        request,
        UnixTime::from_secs(NOW.as_secs() + after_s),
    ) {
        Step::Forward(forward) => {
            let set = forward.edits.set.iter().find(|(name, _)| name == b"x-identity");
            String::from_utf8(set.expect("an assertion").1.clone()).expect("text")
        }
        other => panic!("{}", show(&other)),
    };
    let first = told("GET / | x-api-key: 1", 0);
    assert_eq!(
        told("POST /open?a=b | x-api-key: 1", 29),
        first,
        "another rule of that audience"
    );
    assert_ne!(told("GET / | x-api-key: 2", 0), first, "another caller");
    assert_ne!(told("GET /orders | x-api-key: 1", 0), first, "another audience");
    let second = told("GET / | x-api-key: 1", 30);
    assert_ne!(second, first);
    assert_eq!(told("GET / | x-api-key: 1", 59), second);
}

#[test]
fn keys_are_served_on_one_path_alone() {
    let policy_ = policy("");
    let served = |request: &str| {
        let shown = shown(&step(&policy_, &mut memory(&policy_), request, NOW));
        let keys = r#"-: refuse 200 jwks; > {"keys":[{"crv":"P-256","kty":"EC","x":""#;
        let headers = "; may be stored; content-type=application/jwk-set+json; cache-control=public, max-age=300";
        let yes = shown.starts_with(keys) && shown.ends_with(headers);
        assert_eq!(yes, shown.contains("crv"), "{shown}");
        yes
    };
    for request in [
        "GET /.well-known/meshgate/jwks.json",
        "HEAD /.well-known/meshgate/jwks.json",
        "GET /.well-known/meshgate/jwks.json?a=b",
        "GET /%2ewell-known/meshgate/jwks.json",
        "GET /.well-known/meshgate/jwks.json | :authority: any.example.org:1",
    ] {
        assert!(served(request), "{request}");
    }
    for request in [
        "POST /.well-known/meshgate/jwks.json",
        "OPTIONS /.well-known/meshgate/jwks.json",
        "GET /.well-known/meshgate/jwks.json/",
        "GET /.well-known/meshgate/jwks.jsonx",
        "GET /.well-known/meshgate",
        "GET /.well-known/meshgate/JWKS.json",
    ] {
        assert!(!served(request), "{request}");
    }
    check(
        &policy_,
        "POST /.well-known/meshgate/jwks.json",
        "closed: refuse 404 closed/refuse; not_found: there is nothing here",
    );
}

#[test]
fn observed_nothing_is_signed_and_nothing_answered() {
    let policy = policy("mode: observe");
    check(
        &policy,
        "GET / | x-api-key: 1",
        "rest: forward allowed partner/acme by one; observed",
    );
    let unsigned = step(
        &policy,
        &mut Memory::new(&policy, Seed::default()),
        "GET / | x-api-key: 1",
        NOW,
    );
    assert_eq!(shown(&unsigned), "rest: forward allowed partner/acme by one; observed");
    check(
        &policy,
        "HEAD /.well-known/meshgate/jwks.json",
        "closed: forward closed/refuse; observed",
    );
}

/// Whoever calls the core without the keys.
#[test]
fn without_a_key_nobody_is_told_to_be_nobody() {
    let policy = policy("");
    let mut memory = Memory::new(&policy, Seed::default());
    let mut shown = |request: &str| shown(&step(&policy, &mut memory, request, NOW));
    assert_eq!(
        shown("GET / | x-api-key: 1"),
        "rest: refuse 503 auth_unavailable/unsigned_assertion partner/acme by one; auth_unavailable: who calls cannot be told right now"
    );
    assert_eq!(shown("GET /open"), "open: forward anonymous");
}

/// The caller is known, so no stranger can fill a log with it.
#[test]
fn what_could_not_be_signed_is_an_error() {
    let policy = policy("");
    let record = |request: &str| match step(&policy, &mut Memory::new(&policy, Seed::default()), request, NOW) {
        Step::Refuse(refuse) => refuse.record,
        _ => panic!("{request} is not refused"),
    };
    let known = record("GET / | x-api-key: 1");
    assert!(known.is_error());
    assert_eq!(known.message(), "the proxy's own key does not sign");
    assert!(!record("GET / | x-api-key: 9").is_error());
}

/// The next gate goes by what was chosen here: of those that take part, and no experiment that is only watched.
#[test]
fn variants_are_told() {
    let experiments = r#"
experiments:
  checkout: { unit: ["header:x-device"], header: x-checkout, variants: [{ name: control, weight: 50% }, { name: blue, weight: 50% }] }
  pricing: { unit: [subject], header: x-pricing, variants: [{ name: low }] }
  nobodys: { unit: [subject], header: x-nobodys, coverage: 0%, variants: [{ name: a }] }
  quiet: { unit: [subject], mode: shadow, header: x-quiet, variants: [{ name: a }] }"#;
    let rule = r#"- { name: tried, match: { paths: [/tried] }, experiments: [checkout, pricing, nobodys, quiet] }"#;
    let policy = read_policy(&text(experiments).replace("rules:\n", &format!("rules:\n{rule}\n")));
    let mut memory = memory(&policy);
    let mut told = |device: &str| {
        let request = format!("GET /tried | x-api-key: 1 | x-device: {device}");
        let step = step(&policy, &mut memory, &request, NOW);
        let shown = shown(&step);
        let (_, variants) = shown.split_once(r#""variants":"#).expect("variants");
        let (variants, _) = variants.split_once("}").expect("an end");
        let checkout = step.record().expect("decided").variants[0]
            .variant()
            .expect("one")
            .to_string();
        assert_eq!(variants, format!(r#"{{"checkout":"{checkout}","pricing":"low""#));
        checkout
    };
    let variants: std::collections::BTreeSet<String> = (0..20).map(|n| told(&n.to_string())).collect();
    assert_eq!(variants.len(), 2, "one caller, and a token for each variant");
}

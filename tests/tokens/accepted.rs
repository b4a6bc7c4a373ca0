//! Tokens that hold, what is known of their callers, and what the proxy is asked.

use crate::mint::{encode, hs, key, message, token};
use crate::world::{Counting, ES256, ISSUER, NOW, RS256, World, claims, good, key_set, with_claims};
use jsonwebtoken::Algorithm;
use meshgate::authn::jwt::{Audiences, Hash, InRust, Signatures, TokenFault, Verified, issuer_of};
use meshgate::authn::keys::KeySet;
use meshgate::authn::{Claim, ClaimPath, Principal};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[track_caller]
fn known(world: &World, token: &str) -> Verified {
    world.verify(token.as_bytes(), &InRust).expect("a good token")
}

#[test]
fn the_caller_whole() {
    let token = with_claims(
        r#""realm_access":{"roles":["staff","",7]},"scope":"read  write","tenant":"acme","big":18446744073709551615,
           "object":{"a":1.5,"b":[true,"x"],"c":null,"d":[[1]],"e":{"f":-1}},"list":[1,{}],"unasked":"x""#,
    );
    let text = |text: &str| Claim::Scalar(text.into());
    let object: BTreeMap<String, Claim> = [
        ("a", text("1.5")),
        ("b", Claim::List(vec!["true".into(), "x".into()])),
        ("e", Claim::Object([("f".to_owned(), text("-1"))].into())),
    ]
    .map(|(name, claim)| (name.to_owned(), claim))
    .into();
    let verified = known(&World::new(), &token);
    assert_eq!(
        verified.principal,
        Arc::new(Principal {
            authenticator: "employee".into(),
            subject: "alice".into(),
            groups: vec!["staff".into(), "7".into()],
            scopes: vec!["read".into(), "write".into()],
            claims: vec![
                ("tenant".into(), text("acme")),
                ("big".into(), text("18446744073709551615")),
                ("object".into(), Claim::Object(object)),
            ],
            variants: vec![],
        })
    );
    assert_eq!(verified.expires_at, Duration::from_secs(NOW + 300));
    assert_eq!(verified.window.from, Duration::from_secs(NOW - 40));
    assert_eq!(verified.window.until, Duration::from_secs(NOW + 330));
}

/// What an earlier gate chose, and nothing else that stands there.
#[test]
fn variants() {
    let mut world = World::new();
    let of = |world: &World, more: &str| known(world, &with_claims(more)).principal.variants.clone();
    let two = r#""variants":{"checkout":"blue","pricing":7,"more":{"a":"b"},"search":"new"}"#;
    assert_eq!(of(&world, two), [], "nobody but a gate says so");
    world.verification.principal.variants = Some(ClaimPath(vec!["variants".into()]));
    let pair = |name: &str, variant: &str| (name.to_owned(), variant.to_owned());
    assert_eq!(of(&world, two), [pair("checkout", "blue"), pair("search", "new")]);
    for none in [
        "",
        r#""variants":"blue""#,
        r#""variants":["blue"]"#,
        r#""variants":null"#,
    ] {
        assert_eq!(of(&world, none), []);
    }
    let many: Vec<String> = (0..200).map(|n| format!(r#""e{n}":"v""#)).collect();
    assert_eq!(of(&world, &format!(r#""variants":{{{}}}"#, many.join(","))).len(), 64);
}

#[test]
fn groups_and_scopes_in_other_forms() {
    let of = |more: &str| known(&World::new(), &with_claims(more)).principal;
    assert_eq!(of(r#""realm_access":{"roles":"a b"}"#).groups, ["a b"]);
    assert_eq!(of(r#""scope":["a b","c"]"#).scopes, ["a b", "c"]);
    assert!(of("").groups.is_empty());
    assert!(of(r#""realm_access":"x","scope":null"#).groups.is_empty());
    assert_eq!(of(r#""sub":42"#).subject, "42");
    // Not rounded into somebody else's.
    assert_eq!(of(r#""big":123456789012345678901"#).claims, []);
}

#[test]
fn at_the_edges_of_time() {
    let ok = |more: String, now_ms: u64| {
        known(&World::new().at(Duration::from_millis(now_ms)), &with_claims(&more));
    };
    ok(format!(r#""exp":{}"#, NOW - 30), NOW * 1000 - 1);
    ok(format!(r#""exp":{}.25"#, NOW - 30), NOW * 1000);
    ok(format!(r#""exp":{}e0"#, NOW + 1), NOW * 1000);
    ok(format!(r#""nbf":{}"#, NOW + 30), NOW * 1000);
    ok(format!(r#""iat":{}"#, NOW + 30), NOW * 1000);
    ok(r#""iat":"(absent)""#.into(), NOW * 1000);
    ok(r#""exp":253402300799"#.into(), NOW * 1000);
    known(&World::new().max_lifetime(310), &good());
}

#[test]
fn audiences() {
    known(&World::new(), &with_claims(r#""aud":["other","web"]"#));
    let mut any = World::new();
    any.verification.audiences = Audiences::Any;
    known(&any, &with_claims(r#""aud":"(absent)""#));
    known(&any, &with_claims(r#""aud":"other""#));
    any.verification.audiences = Audiences::Listed(vec![]);
    assert_eq!(any.verify(good().as_bytes(), &InRust), Err(TokenFault::Audience));
}

#[test]
fn types_and_what_a_header_brings_along() {
    for more in [
        r#""typ":"at+jwt""#,
        r#""typ":"AT+JWT""#,
        r#""typ":"application/at+jwt""#,
        r#""typ":"jwt""#,
        r#""jku":"https://evil.example","x5c":["AAAA"],"jwk":{"kty":"oct","k":"AAAA"},"cty":"x","b64":true"#,
    ] {
        let header = format!(r#"{{"alg":"RS256","kid":"rsa",{more}}}"#);
        known(&World::new(), &token(&header, &claims(""), "rsa", Algorithm::RS256));
    }
}

#[test]
fn all_algorithms() {
    use Algorithm::*;
    for (algorithm, name) in [
        (RS256, "rsa"),
        (RS384, "rsa"),
        (RS512, "rsa"),
        (PS256, "rsa"),
        (PS384, "rsa"),
        (PS512, "rsa"),
        (ES256, "p256"),
        (EdDSA, "ed25519"),
    ] {
        let world = World::new().algorithms(&[algorithm]);
        let token = token(&format!(r#"{{"alg":"{algorithm:?}"}}"#), &claims(""), name, algorithm);
        known(&world, &token);
    }
    for (algorithm, length) in [(HS256, 32), (HS384, 48), (HS512, 64)] {
        let secret = vec![7; length];
        let world = World::new()
            .algorithms(&[algorithm])
            .keys(KeySet::secret(&secret).expect("long enough"));
        known(
            &world,
            &hs(
                &format!(r#"{{"alg":"{algorithm:?}"}}"#),
                &claims(""),
                &secret,
                algorithm,
            ),
        );
    }
}

/// The proxy's part, played: it must be able to read what it is handed.
struct Proxy;

impl Signatures for Proxy {
    fn verify(&self, hash: Hash, spki: &[u8], message: &[u8], der: &[u8]) -> Option<bool> {
        use p384::ecdsa::signature::Verifier;
        assert_eq!(hash, Hash::Sha384);
        assert_eq!(spki, key("p384").spki);
        let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(&spki[spki.len() - 97..]).expect("a key");
        let signature = p384::ecdsa::Signature::from_der(der).expect("DER");
        Some(key.verify(message, &signature).is_ok())
    }
}

#[test]
fn by_the_proxy() {
    let es384 = token(r#"{"alg":"ES384","kid":"p384"}"#, &claims(""), "p384", Algorithm::ES384);
    let verified = {
        let world = World::new();
        meshgate::authn::jwt::verify(
            es384.as_bytes(),
            &world.verification,
            &world.keys,
            &"employee".into(),
            world.now,
            &Proxy,
        )
    };
    assert_eq!(verified.expect("it holds").principal.subject, "alice");
}

/// What it says counts, either way; PSS, EdDSA and HMAC it is never asked about.
#[test]
fn the_proxys_word_counts() {
    struct Says(bool);
    impl Signatures for Says {
        fn verify(&self, _: Hash, _: &[u8], _: &[u8], _: &[u8]) -> Option<bool> {
            Some(self.0)
        }
    }
    let verify = |token: &str, says| {
        let world = World::new();
        let verified = meshgate::authn::jwt::verify(
            token.as_bytes(),
            &world.verification,
            &world.keys,
            &"a".into(),
            world.now,
            &Says(says),
        );
        verified.map(|_| ())
    };
    let forged = token(RS256, &claims(""), "rsa-other", Algorithm::RS256);
    assert_eq!(verify(&good(), false), Err(TokenFault::Signature));
    assert_eq!(verify(&forged, true), Ok(()));
    let ps256 = token(r#"{"alg":"PS256","kid":"rsa"}"#, &claims(""), "rsa", Algorithm::PS256);
    assert_eq!(verify(&ps256, false), Ok(()));
    let forged = token(
        r#"{"alg":"PS256","kid":"rsa"}"#,
        &claims(""),
        "rsa-other",
        Algorithm::PS256,
    );
    assert_eq!(verify(&forged, true), Err(TokenFault::Signature));
}

/// A proxy that takes anything is asked about nothing that is no signature by its form.
#[test]
fn the_proxy_is_asked_about_signatures_only() {
    struct Gullible;
    impl Signatures for Gullible {
        fn verify(&self, _: Hash, _: &[u8], _: &[u8], _: &[u8]) -> Option<bool> {
            Some(true)
        }
    }
    let verify = |header: &str, signature: &[u8]| {
        let world = World::new();
        let token = format!("{}.{}", message(header, &claims("")), encode(signature));
        let name = "employee".into();
        let verified = meshgate::authn::jwt::verify(
            token.as_bytes(),
            &world.verification,
            &world.keys,
            &name,
            world.now,
            &Gullible,
        );
        verified.map(|_| ())
    };
    let es384 = r#"{"alg":"ES384","kid":"p384"}"#;
    for (header, length) in [(RS256, 256), (ES256, 64), (es384, 96)] {
        assert_eq!(verify(header, &vec![1; length]), Ok(()));
        for signature in [vec![], vec![1; length - 1], vec![1; length + 1], vec![1; length * 2]] {
            assert_eq!(
                verify(header, &signature),
                Err(TokenFault::Signature),
                "{header} {}",
                signature.len()
            );
        }
    }
    for (header, half) in [(ES256, 32), (es384, 48)] {
        for (r, s) in [(0, 0), (0, 1), (1, 0), (0xff, 1), (1, 0xff)] {
            let signature = [vec![r; half], vec![s; half]].concat();
            assert_eq!(
                verify(header, &signature),
                Err(TokenFault::Signature),
                "{header} {r} {s}"
            );
        }
    }
}

#[test]
fn one_check_for_a_token_that_names_its_key() {
    let asked = |token: &str| {
        let counting = Counting::default();
        let world = World::new();
        let verified = meshgate::authn::jwt::verify(
            token.as_bytes(),
            &world.verification,
            &world.keys,
            &"a".into(),
            world.now,
            &counting,
        );
        verified.expect("a good token");
        counting.0.take()
    };
    assert_eq!(asked(&good()), [(Hash::Sha256, key("rsa").spki.len(), 256)]);
    let es256 = asked(&token(ES256, &claims(""), "p256", Algorithm::ES256));
    assert!(matches!(es256.as_slice(), [(Hash::Sha256, 91, 68..=72)]), "{es256:?}");
}

#[test]
fn the_second_of_two_keys_of_one_name() {
    let jwks = ["rsa-other", "rsa"].map(|name| key(name).jwk_with(r#""kid":"rsa""#));
    known(&World::new().keys(key_set(&jwks)), &good());
    known(&World::new().keys(key_set(&[key("rsa").jwk_with("")])), &good());
}

#[test]
fn whose_it_claims_to_be() {
    assert_eq!(issuer_of(good().as_bytes()), Ok(ISSUER.to_owned()));
    // Whatever its header asks for: it may be for another authenticator.
    let other = token(
        r#"{"alg":"ES512","crit":["x"]}"#,
        r#"{"iss":"b"}"#,
        "rsa",
        Algorithm::RS256,
    );
    assert_eq!(issuer_of(other.as_bytes()), Ok("b".to_owned()));
    assert_eq!(issuer_of(with_claims(r#""iss":1"#).as_bytes()), Err(TokenFault::Issuer));
    assert_eq!(issuer_of(b"opaque"), Err(TokenFault::NotCompact));
    assert_eq!(issuer_of(&[b'.'; 1 << 20]), Err(TokenFault::TooLarge));
}

/// What we take, another reader takes as well.
#[test]
fn a_second_opinion() {
    let rsa = key("rsa");
    let component = |name: &str| rsa.jwk[name].as_str().expect("text").to_owned();
    let decoding = jsonwebtoken::DecodingKey::from_rsa_components(&component("n"), &component("e")).expect("a key");
    for algorithm in [Algorithm::RS256, Algorithm::PS256] {
        let token = token(&format!(r#"{{"alg":"{algorithm:?}"}}"#), &claims(""), "rsa", algorithm);
        known(&World::new(), &token);
        let mut validation = jsonwebtoken::Validation::new(algorithm);
        validation.validate_exp = false;
        validation.set_audience(&["api"]);
        validation.set_issuer(&[ISSUER]);
        jsonwebtoken::decode::<serde_json::Value>(&token, &decoding, &validation).expect("a good token");
    }
}

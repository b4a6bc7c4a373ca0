use super::*;
use crate::authn::Claim;
use crate::authn::jwt::Algorithm;
use crate::authn::keys::KeySet;
use crate::policy::{AssertedAudience, Secret};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::jwk::JwkSet;
use serde_json::{Value, json};
use std::time::Duration;

macro_rules! pem {
    ($name:literal) => {
        include_str!(concat!("../../tests/assertion/", $name, ".pem"))
    };
}

/// 2026-12-01T00:00:00.250Z
const NOW: UnixTime = UnixTime::from_ns(1_796_083_200_250_000_000);
const SEED: Seed = Seed(1, 2);

fn after(ms: u64) -> UnixTime {
    UnixTime::from_ns(NOW.as_ns() + ms * 1_000_000)
}

fn policy(algorithm: Algorithm, variables: &[&str]) -> Assertion {
    Assertion {
        header: crate::header::HeaderName::parse("x-identity").expect("a name"),
        algorithm,
        keys: variables.iter().map(|env| Secret { env: (*env).into() }).collect(),
        issuer: "gateway".into(),
        audience: AssertedAudience::parse("mesh").expect("an audience"),
        ttl: Duration::from_secs(60),
        jwks_path: None,
    }
}

/// The value of a variable, or nothing.
fn environment(name: &str) -> Option<String> {
    let value = match name {
        "P256" => pem!("p256"),
        "NEXT" => pem!("next"),
        "RSA" => pem!("rsa"),
        "SEC1" => pem!("p256-sec1"),
        "PKCS1" => pem!("rsa-pkcs1"),
        _ => return None,
    };
    Some(value.into())
}

fn read(algorithm: Algorithm, variables: &[&str]) -> Vec<SigningKey> {
    keys(&policy(algorithm, variables), environment).expect("keys")
}

fn assertions(algorithm: Algorithm, variables: &[&str]) -> Assertions {
    Assertions::new(&policy(algorithm, variables), read(algorithm, variables))
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn principal() -> Principal {
    let member = ("plan".to_owned(), Claim::Scalar("gold".into()));
    Principal {
        authenticator: "account".into(),
        subject: "Jos\u{e9} \"the\" \u{1}".into(),
        groups: texts(&["ops", "a,b"]),
        scopes: texts(&["orders.read", "orders.write"]),
        claims: vec![
            ("tenant".into(), Claim::Scalar("acme".into())),
            ("roles".into(), Claim::List(texts(&["x", "y"]))),
            ("more".into(), Claim::Object([member].into())),
        ],
        variants: vec![],
    }
}

fn about(assertions: &mut Assertions, principal: &Principal, now: UnixTime) -> Arc<str> {
    assertions
        .about(principal, &[], "mesh", SEED, now)
        .expect("an assertion")
}

/// Header and claims, where another library finds the signature to be of the set's key of that name.
fn verified(token: &str, jwks: &str) -> Option<(Value, Value)> {
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).expect("base64url");
    let (message, signature) = token.rsplit_once('.').expect("a signature");
    let parts: Vec<Value> = message
        .split('.')
        .map(|part| serde_json::from_slice(&decode(part)).expect("JSON"))
        .collect();
    let [header, claims] = <[Value; 2]>::try_from(parts).expect("two parts");
    let set: JwkSet = serde_json::from_str(jwks).expect("a key set");
    let jwk = set.find(header["kid"].as_str().expect("a kid"))?;
    let algorithm = header["alg"]
        .as_str()
        .and_then(|alg| alg.parse().ok())
        .expect("an algorithm");
    let key = DecodingKey::from_jwk(jwk).expect("a key");
    let verifier = (DEFAULT_PROVIDER.verifier_factory)(&algorithm, &key).expect("a verifier");
    verifier.verify(message.as_bytes(), &decode(signature)).ok()?;
    Some((header, claims))
}

#[test]
fn the_thumbprint_of_rfc_7638() {
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let public = public::Public::Rsa {
        n: n.into(),
        e: "AQAB".into(),
    };
    assert_eq!(public.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

#[test]
fn what_it_says() {
    for (algorithm, variable, alg) in [(Algorithm::ES256, "P256", "ES256"), (Algorithm::RS256, "RSA", "RS256")] {
        let mut assertions = assertions(algorithm, &[variable]);
        let kid = read(algorithm, &[variable])[0].kid().to_owned();
        let token = about(&mut assertions, &principal(), NOW);
        let expected = (
            json!({"alg": alg, "kid": kid, "typ": "meshgate+jwt"}),
            json!({
                "iss": "gateway", "aud": "mesh", "sub": "Jos\u{e9} \"the\" \u{1}", "iat": 1_796_083_200, "exp": 1_796_083_260,
                "auth": "account", "groups": ["ops", "a,b"], "scope": "orders.read orders.write",
                "claims": {"tenant": "acme", "roles": ["x", "y"], "more": {"plan": "gold"}},
            }),
        );
        assert_eq!(verified(&token, &assertions.jwks()), Some(expected));
        let nobody = Principal {
            subject: "42".into(),
            ..Principal::nobody()
        };
        let token = about(&mut assertions, &nobody, NOW);
        let (_, claims) = verified(&token, &assertions.jwks()).expect("a signature");
        assert_eq!(
            (&claims["groups"], &claims["scope"], &claims["claims"]),
            (&json!([]), &json!(""), &json!({}))
        );
    }
}

/// Two scopes to whoever splits at spaces.
#[test]
fn a_scope_with_a_space_stays_one() {
    let mut assertions = assertions(Algorithm::ES256, &["P256"]);
    let principal = Principal {
        scopes: texts(&["orders admin", "read"]),
        ..principal()
    };
    let token = about(&mut assertions, &principal, NOW);
    let (_, claims) = verified(&token, &assertions.jwks()).expect("a signature");
    assert_eq!(claims["scope"], json!(["orders admin", "read"]));
}

/// The key set is one that our own reader takes whole, and finds the signature to hold.
#[test]
fn the_key_set_is_read() {
    let both = assertions(Algorithm::RS256, &["RSA", "P256"]).jwks();
    let (keys, warnings) = KeySet::parse(both.as_bytes()).expect("a key set");
    assert_eq!((keys.keys().len(), warnings), (2, vec![]));
    for secret in ["\"d\"", "\"p\"", "\"q\""] {
        assert!(!both.contains(secret), "{both}");
    }
}

#[test]
fn reused_until_half_of_its_life_is_over() {
    let mut assertions = assertions(Algorithm::ES256, &["P256"]);
    let first = about(&mut assertions, &principal(), NOW);
    // `iat` is a quarter of a second before.
    assert!(Arc::ptr_eq(
        &first,
        &about(&mut assertions, &principal(), after(29_749))
    ));
    let second = about(&mut assertions, &principal(), after(29_750));
    assert!(!Arc::ptr_eq(&first, &second) && first != second);
    assert!(Arc::ptr_eq(
        &second,
        &about(&mut assertions, &principal(), after(30_000))
    ));
    // The clock was set back: the next gate would find that one to be of the future.
    let back = about(&mut assertions, &principal(), NOW);
    assert_eq!(back, first);
    assert_eq!(assertions.made(), 1);
}

#[test]
fn whoever_differs_in_anything_shares_none() {
    let with = |change: &dyn Fn(&mut Principal)| {
        let mut principal = principal();
        change(&mut principal);
        principal
    };
    let all = [
        with(&|_| {}),
        with(&|p| p.subject.push('x')),
        with(&|p| p.authenticator = "other".into()),
        with(&|p| p.groups = texts(&["ops"])),
        with(&|p| p.groups = texts(&["opsa,b"])),
        with(&|p| p.groups = texts(&["ops", "a,b", "orders.read"])),
        with(&|p| (p.groups.push("orders.read".into()), p.scopes.remove(0)).0),
        with(&|p| p.scopes = texts(&["orders.read"])),
        with(&|p| p.scopes = texts(&["orders.read orders.write"])),
        with(&|p| p.claims.truncate(2)),
        with(&|p| p.claims[0].0 = "other".into()),
        with(&|p| p.claims[0].1 = Claim::Scalar("other".into())),
        with(&|p| p.claims[0].1 = Claim::List(texts(&["acme"]))),
        with(&|p| p.claims[1].1 = Claim::List(texts(&["x"]))),
        with(&|p| p.claims[1].1 = Claim::Scalar("x".into())),
        with(&|p| p.claims[2].1 = Claim::Object([("plan".to_owned(), Claim::Scalar("tin".into()))].into())),
        with(&|p| p.claims[2].1 = Claim::Object([("other".to_owned(), Claim::Scalar("gold".into()))].into())),
        with(&|p| p.claims[2].1 = Claim::Object(Default::default())),
    ];
    let mut assertions = assertions(Algorithm::ES256, &["P256"]);
    let mut tokens = std::collections::HashSet::new();
    for principal in &all {
        tokens.insert(about(&mut assertions, principal, NOW));
    }
    tokens.insert(
        assertions
            .about(&all[0], &[], "elsewhere", SEED, NOW)
            .expect("an assertion"),
    );
    assert_eq!((tokens.len(), assertions.made()), (all.len() + 1, all.len() + 1));
    let keys: std::collections::HashSet<_> = all
        .iter()
        .map(|principal| made::key(principal, &[], "mesh", SEED))
        .collect();
    assert_eq!(keys.len(), all.len());
    let blue = made::key(&all[0], &[("checkout", "blue")], "mesh", SEED);
    assert!(!keys.contains(&blue), "of another variant");
    assert_ne!(
        made::key(&all[0], &[], "mesh", SEED),
        made::key(&all[0], &[], "mesh", Seed(1, 3))
    );
}

#[test]
fn keys_overlap() {
    let mut before = assertions(Algorithm::ES256, &["P256", "NEXT"]);
    let mut after = assertions(Algorithm::ES256, &["NEXT", "P256"]);
    let (one, other) = (
        about(&mut before, &principal(), NOW),
        about(&mut after, &principal(), NOW),
    );
    assert_ne!(one, other);
    for jwks in [before.jwks(), after.jwks()] {
        assert!(verified(&one, &jwks).is_some() && verified(&other, &jwks).is_some());
    }
    let alone = assertions(Algorithm::ES256, &["P256"]).jwks();
    assert!(verified(&one, &alone).is_some() && verified(&other, &alone).is_none());
    // An exchange of algorithms.
    let both = assertions(Algorithm::RS256, &["RSA", "P256"]).jwks();
    assert!(verified(&one, &both).is_some());
}

#[test]
fn as_openssl_writes_them() {
    let kid = |variable: &str, algorithm| read(algorithm, &[variable])[0].kid().to_owned();
    assert_eq!(kid("P256", Algorithm::ES256), kid("SEC1", Algorithm::ES256));
    assert_eq!(kid("RSA", Algorithm::RS256), kid("PKCS1", Algorithm::RS256));
    let one_line = [
        pem!("p256").replace('\n', "\\n"),
        pem!("p256").replace('\n', " "),
        pem!("p256").replace('\n', "\r\n"),
    ];
    for text in one_line {
        let key = key::read(Some(text), None).expect("a key");
        assert_eq!(key.kid(), kid("P256", Algorithm::ES256));
    }
}

#[test]
fn written_as_openssl_does() {
    let Ok(pem::Private::P256 { secret }) = pem::read(pem!("p256")) else {
        panic!("a key");
    };
    let secret: [u8; 32] = secret.try_into().expect("32 bytes");
    assert_eq!(p256_pem(&secret).as_deref(), Some(pem!("p256")));
    assert_eq!(p256_pem(&[0; 32]), None);
    assert_eq!(p256_pem(&[0xff; 32]), None);
}

#[test]
fn keys_that_cannot_be_used() {
    let body = |pem: &str| pem.lines().nth(1).expect("a line").to_owned();
    let cut = pem!("p256").replace(&body(pem!("p256")), &body(pem!("p256"))[4..]);
    let no_base64 = pem!("p256").replace('M', "*");
    // In p, q, dp, dq and qinv.
    for at in [800, 1000, 1150, 1350, 1550] {
        let part = &pem!("rsa-pkcs1")[at..at + 3];
        assert!(!part.contains('\n'));
        let swapped = format!("{}AAA{}", &pem!("rsa-pkcs1")[..at], &pem!("rsa-pkcs1")[at + 3..]);
        let unfit = Some("holds an RSA key whose parts do not fit together");
        assert_eq!(key::read(Some(swapped), None).err(), unfit, "{at}");
    }
    for (text, why) in [
        ("", "holds no private key in PEM"),
        (
            "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----",
            "holds no private key in PEM",
        ),
        ("-----BEGIN PRIVATE KEY-----", "holds a private key that cannot be read"),
        (
            "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----",
            "holds a private key that cannot be read",
        ),
        (
            "-----BEGIN DSA PRIVATE KEY-----\nAA==\n-----END DSA PRIVATE KEY-----",
            "holds a private key that is neither RSA nor P-256",
        ),
        (&cut, "holds a private key that cannot be read"),
        (&no_base64, "holds a private key that cannot be read"),
        (
            pem!("encrypted"),
            "holds a private key that is encrypted: take its password off",
        ),
        (
            pem!("encrypted-sec1"),
            "holds a private key that is encrypted: take its password off",
        ),
        (pem!("p384"), "holds a private key that is neither RSA nor P-256"),
        (pem!("rsa-1024"), "holds an RSA key that has not 2048 to 3072 bits"),
        (
            &[pem!("p256"), pem!("next")].concat(),
            "holds several private keys: each has a variable of its own",
        ),
        (&" ".repeat(17_000), "holds more than a private key"),
    ] {
        assert_eq!(key::read(Some(text.into()), None).err(), Some(why), "{text}");
    }
}

#[test]
fn every_fault_names_its_variable_and_shows_nothing() {
    let faults = keys(&policy(Algorithm::ES256, &["RSA", "NONE", "P256", "SEC1"]), environment).expect_err("faults");
    let told: Vec<_> = faults
        .iter()
        .map(|fault| (fault.index, &*fault.env, fault.why))
        .collect();
    assert_eq!(
        told,
        [
            (
                0,
                "RSA",
                "holds a key of another kind than identity.assertion.algorithm"
            ),
            (
                1,
                "NONE",
                "is not set in vm_config.environment_variables, or is no text"
            ),
            (3, "SEC1", "holds the same key as another one"),
        ]
    );
    for (algorithm, variable) in [(Algorithm::ES256, "P256"), (Algorithm::RS256, "RSA")] {
        let mut assertions = assertions(algorithm, &[variable]);
        about(&mut assertions, &principal(), NOW);
        let kid = read(algorithm, &[variable])[0].kid().to_owned();
        assert_eq!(
            format!("{assertions:?}"),
            format!(
                "Assertions {{ issuer: \"gateway\", ttl_s: 60, keys: [SigningKey({kid} \u{2026})], made: Made {{ entries: 1 }} }}"
            )
        );
    }
}

#[test]
fn what_no_gate_would_read_is_refused() {
    let mut assertions = assertions(Algorithm::ES256, &["P256"]);
    let many = Principal {
        groups: vec!["g".repeat(1000); 13],
        ..principal()
    };
    assert_eq!(assertions.about(&many, &[], "mesh", SEED, NOW), Err(Unsigned::TooLong));
    let fewer = Principal {
        groups: vec!["g".repeat(1000); 11],
        ..principal()
    };
    assert!(assertions.about(&fewer, &[], "mesh", SEED, NOW).is_ok());
    let none = Assertions::new(&policy(Algorithm::ES256, &[]), vec![]).about(&fewer, &[], "mesh", SEED, NOW);
    assert_eq!(none, Err(Unsigned::Failed));
}

#[test]
fn what_is_kept_is_bounded() {
    for (length, most) in [(600, 10_000), (8_000, 1_100)] {
        let mut made = Made::new();
        let token: Arc<str> = "t".repeat(length).into();
        for n in 0..30_000 {
            let principal = Principal {
                subject: n.to_string(),
                ..Principal::nobody()
            };
            made.keep(made::key(&principal, &[], "mesh", SEED), token.clone(), NOW, 60);
        }
        assert!(made.len() <= most && made.len() * 2 > most, "{}", made.len());
    }
}

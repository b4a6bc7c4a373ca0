//! Of any bytes.

use crate::mint::{encode, signed};
use crate::signatures::kinds;
use crate::world::{RS256, World};
use jsonwebtoken::Algorithm;
use meshgate::authn::jwt::InRust;
use meshgate::authn::keys::KeySet;
use proptest::prelude::*;
use std::sync::LazyLock;

static KINDS: LazyLock<Vec<(&str, String, World)>> = LazyLock::new(kinds);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_token_is_known(bytes in proptest::collection::vec(any::<u8>(), 0..200), dots in "[A-Za-z0-9_.-]{0,80}") {
        prop_assert!(World::new().verify(&bytes, &InRust).is_err());
        prop_assert!(World::new().verify(dots.as_bytes(), &InRust).is_err());
    }

    /// Whatever letter of a good token is another one: no other spelling of it is good.
    #[test]
    fn no_other_spelling(kind in 0usize..5, at in any::<prop::sample::Index>(), byte in any::<u8>(), insert: bool) {
        let (_, token, world) = &KINDS[kind];
        let mut other = token.clone().into_bytes();
        let at = at.index(other.len());
        prop_assume!(insert || other[at] != byte);
        match insert {
            true => other.insert(at, byte),
            false => other[at] = byte,
        }
        prop_assert!(world.verify(&other, &InRust).is_err());
    }

    /// Signed by the issuer and still anything: it is refused or read, and ends nothing.
    #[test]
    fn any_claims_are_read_or_refused(name in "iss|sub|aud|exp|nbf|iat|scope|realm_access|tenant|object", value in json()) {
        let claims: serde_json::Value = serde_json::from_str(&crate::world::claims("")).expect("JSON");
        let mut claims = claims.as_object().expect("an object").clone();
        claims.insert(name, serde_json::from_str(&value).expect("JSON"));
        let message = format!("{}.{}", encode(RS256), encode(serde_json::Value::from(claims).to_string()));
        let token = signed(&message, "rsa", Algorithm::RS256);
        if let Ok(verified) = World::new().verify(token.as_bytes(), &InRust) {
            prop_assert!(!verified.principal.subject.is_empty());
            prop_assert!(verified.window.contains(World::new().now));
        }
    }

    #[test]
    fn no_key_set_ends_anything(bytes in proptest::collection::vec(any::<u8>(), 0..100), value in json()) {
        prop_assert!(KeySet::parse(&bytes).is_err());
        let members = ["kty", "n", "e", "x", "crv", "kid", "use", "alg", "key_ops"];
        for name in members {
            let jwk = crate::mint::key("rsa").jwk_with(&format!("\"{name}\":{value}"));
            let _ = KeySet::parse(format!("{{\"keys\":[{jwk}]}}").as_bytes());
        }
    }
}

/// JSON texts of all types.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<u64>().prop_map(|value| value.to_string()),
        prop::num::f64::NORMAL.prop_map(|value| format!("{value:e}")),
        "[ -~]{0,12}".prop_map(|text| serde_json::Value::from(text).to_string()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            ("[a-c]", inner).prop_map(|(name, value)| format!("{{\"{name}\":{value}}}")),
        ]
    })
}

//! Which key is tried: few, of the right type, and none that a token brings or guesses.

use crate::mint::{key, token};
use crate::world::{Case, RS256, World, claims, key_set};
use jsonwebtoken::Algorithm;

pub fn cases() -> Vec<Case> {
    let named = |kid: &str| {
        token(
            &format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#),
            &claims(""),
            "rsa",
            Algorithm::RS256,
        )
    };
    let unnamed = token(r#"{"alg":"RS256"}"#, &claims(""), "rsa", Algorithm::RS256);
    let es256 = token(r#"{"alg":"ES256"}"#, &claims(""), "p256", Algorithm::ES256);
    let others = |count: usize, kid: &str| World::new().keys(key_set(&vec![key("rsa-other").jwk_with(kid); count]));
    // Ours is the fifth: that it would hold does not make it one of few.
    let with_ours = |kid: &str| {
        let mut jwks = vec![key("rsa-other").jwk_with(kid); 4];
        jwks.push(key("rsa").jwk_with(kid));
        World::new().keys(key_set(&jwks))
    };
    vec![
        Case::new("an unknown kid", named("other"), "unknown_key"),
        Case::new("a kid of 8 KiB", named(&"k".repeat(8192)), "unknown_key"),
        Case::new("an unknown kid, one key without", named("other"), "signature").within(others(1, "")),
        Case::new("a known kid, and the right key without", named("a"), "signature").within(World::new().keys(
            key_set(&[key("rsa-other").jwk_with(r#""kid":"a""#), key("rsa").jwk_with("")]),
        )),
        Case::new("no kid, four keys fit", unnamed.clone(), "signature").within(others(4, "")),
        Case::new("no kid, five keys fit", unnamed.clone(), "ambiguous_key").within(with_ours("")),
        Case::new("no kid, a hundred keys fit", unnamed.clone(), "ambiguous_key").within(others(100, "")),
        Case::new("four keys of one kid", named("a"), "signature").within(others(4, r#""kid":"a""#)),
        Case::new("five keys of one kid", named("a"), "ambiguous_key").within(with_ours(r#""kid":"a""#)),
        Case::new("no kid, no key fits", es256, "key_mismatch").within(others(3, r#""kid":"a""#)),
        Case::new("no kid, all keys are named", unnamed, "signature").within(others(2, r#""kid":"a""#)),
        Case::new(
            "another issuer's keys",
            token(RS256, &claims(""), "rsa", Algorithm::RS256),
            "signature",
        )
        .within(others(1, r#""kid":"rsa""#)),
    ]
}

//! Signatures that are none. Of each kind, a good one is spoilt.

use crate::mint::{decode, encode, hs, key, message, parts, token};
use crate::world::{Case, ES256, ISSUER, World, claims, good, with_claims};
use jsonwebtoken::Algorithm;
use meshgate::authn::keys::KeySet;

pub fn cases() -> Vec<Case> {
    [spoilt(), lengths(), ecdsa_halves(), unchecked()].concat()
}

fn resigned(token: &str, signature: &[u8]) -> String {
    let [header, payload, _] = parts(token);
    format!("{header}.{payload}.{}", encode(signature))
}

fn signature(token: &str) -> Vec<u8> {
    decode(&parts(token)[2])
}

/// A good token of each kind.
pub fn kinds() -> Vec<(&'static str, String, World)> {
    let of = |header: &str, name: &str, algorithm| token(header, &claims(""), name, algorithm);
    let secret = World::new()
        .algorithms(&[Algorithm::HS256])
        .keys(KeySet::secret(&[7; 32]).expect("long enough"));
    vec![
        ("RS256", good(), World::new()),
        (
            "PS256",
            of(r#"{"alg":"PS256","kid":"rsa"}"#, "rsa", Algorithm::PS256),
            World::new(),
        ),
        ("ES256", of(ES256, "p256", Algorithm::ES256), World::new()),
        (
            "EdDSA",
            of(r#"{"alg":"EdDSA","kid":"ed25519"}"#, "ed25519", Algorithm::EdDSA),
            World::new(),
        ),
        (
            "HS256",
            hs(r#"{"alg":"HS256"}"#, &claims(""), &[7; 32], Algorithm::HS256),
            secret,
        ),
    ]
}

fn spoilt() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, token, world) in kinds() {
        let mut add = |what: &str, token: String| {
            cases.push(Case::new(format!("{kind}: {what}"), token, "signature").within(world.clone()));
        };
        let good = signature(&token);
        let [header, _, signature] = parts(&token);
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            add(&format!("bit of byte {at}"), resigned(&token, &bad));
        }
        add("zeros", resigned(&token, &vec![0; good.len()]));
        add("ones", resigned(&token, &vec![0xff; good.len()]));
        add("empty", resigned(&token, &[]));
        add("without its first byte", resigned(&token, &good[1..]));
        add("without its last byte", resigned(&token, &good[..good.len() - 1]));
        add("half of it", resigned(&token, &good[..good.len() / 2]));
        add("its first byte", resigned(&token, &good[..1]));
        add("a byte more", resigned(&token, &[&good[..], &[0]].concat()));
        add("a zero before", resigned(&token, &[&[0], &good[..]].concat()));
        add("doubled", resigned(&token, &[&good[..], &good[..]].concat()));
        add(
            "reversed",
            resigned(&token, &good.iter().rev().copied().collect::<Vec<_>>()),
        );
        let other = claims(r#""sub":"root""#);
        add("of other claims", format!("{header}.{}.{signature}", encode(other)));
        // The same JSON in other words.
        add(
            "of claims with a space",
            format!("{header}.{}.{signature}", encode(format!("{} ", claims("")))),
        );
        let head = decode(&header);
        add(
            "of a header with a space",
            resigned(
                &format!("{}.{}.x", encode([&head[..], b" "].concat()), encode(claims(""))),
                &good,
            ),
        );
    }
    cases
}

fn lengths() -> Vec<Case> {
    let token = good();
    let is = |name: &str, length: usize| Case::new(name, resigned(&token, &vec![1; length]), "signature");
    vec![
        is("RS256: 255 bytes", 255),
        is("RS256: 257 bytes", 257),
        is("RS256: 512 bytes", 512),
        is("RS256: one byte", 1),
        is("RS256: 8 KiB", 8192),
        Case::new(
            "RS256 by another key",
            crate::mint::token(crate::world::RS256, &claims(""), "rsa-other", Algorithm::RS256),
            "signature",
        ),
        Case::new(
            "ES256 by another key",
            crate::mint::token(ES256, &claims(""), "p256-other", Algorithm::ES256),
            "signature",
        ),
        Case::new(
            "RS256 over the payload alone",
            {
                let [_, payload, _] = parts(&token);
                resigned(&token, &key("rsa").sign(Algorithm::RS256, payload.as_bytes()))
            },
            "signature",
        ),
        Case::new(
            "RS256 over decoded parts",
            {
                let text = format!("{}.{}", crate::world::RS256, claims(""));
                resigned(&token, &key("rsa").sign(Algorithm::RS256, text.as_bytes()))
            },
            "signature",
        ),
        Case::new(
            "RS256 of an earlier token of the same caller",
            {
                let earlier = with_claims(&format!(r#""iss":"{ISSUER}","jti":"1""#));
                resigned(&token, &signature(&earlier))
            },
            "signature",
        ),
    ]
}

/// CVE-2022-21449 and its like.
fn ecdsa_halves() -> Vec<Case> {
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order: Vec<u8> = (0..64)
        .step_by(2)
        .map(|at| u8::from_str_radix(&ORDER[at..at + 2], 16).expect("hex"))
        .collect();
    let token = token(ES256, &claims(""), "p256", Algorithm::ES256);
    let good = signature(&token);
    let (r, s) = good.split_at(32);
    let zero = [0; 32];
    let with = |name: &str, r: &[u8], s: &[u8]| {
        Case::new(
            format!("ES256: {name}"),
            resigned(&token, &[r, s].concat()),
            "signature",
        )
    };
    let der = p256_der(&good);
    let raw = Case::new("ES256: in DER", resigned(&token, &der), "signature");
    let es384 = message(r#"{"alg":"ES384","kid":"p384"}"#, &claims(""));
    let zeros384 = Case::new(
        "ES384: r and s zero",
        format!("{es384}.{}", encode([0; 96])),
        "signature",
    );
    let short384 = Case::new("ES384: 64 bytes", format!("{es384}.{}", encode([1; 64])), "signature");
    vec![
        with("r zero", &zero, s),
        with("s zero", r, &zero),
        with("r the order", &order, s),
        with("s the order", r, &order),
        with("r and s the order", &order, &order),
        with("r and s swapped", s, r),
        raw,
        zeros384,
        short384,
    ]
}

fn p256_der(raw: &[u8]) -> Vec<u8> {
    p256::ecdsa::Signature::from_slice(raw)
        .expect("a signature")
        .to_der()
        .as_bytes()
        .to_vec()
}

/// The proxy of these tests has no function for P-384 either.
fn unchecked() -> Vec<Case> {
    let good = token(r#"{"alg":"ES384","kid":"p384"}"#, &claims(""), "p384", Algorithm::ES384);
    vec![Case::new("ES384 without a proxy", good, "no_verifier")]
}

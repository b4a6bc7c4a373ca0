//! Algorithm confusion (RFC 8725 sections 2.1 and 3.1): the policy lists algorithms, the key has a type, and the
//! token only says which of both it means.

use crate::mint::{decode, encode, hs, key, message, signed, token};
use crate::world::{Case, World, claims, good, key_set};
use jsonwebtoken::Algorithm;
use meshgate::authn::keys::KeySet;

pub fn cases() -> Vec<Case> {
    [unsigned(), not_listed(), public_key_as_secret(), wrong_key()].concat()
}

fn unsigned() -> Vec<Case> {
    let mut cases = Vec::new();
    for alg in ["none", "None", "NONE", "nOnE"] {
        let message = message(&format!(r#"{{"alg":"{alg}"}}"#), &claims(""));
        cases.push(Case::new(
            format!("alg {alg}, no signature"),
            format!("{message}."),
            "unsigned",
        ));
        let signature = good().rsplit('.').next().map(str::to_owned).expect("a signature");
        cases.push(Case::new(
            format!("alg {alg}, a signature"),
            format!("{message}.{signature}"),
            "unsigned",
        ));
    }
    let with_kid = message(r#"{"alg":"none","kid":"rsa"}"#, &claims(""));
    cases.push(Case::new("alg none, our kid", format!("{with_kid}."), "unsigned"));
    for alg in ["", " ", "none ", "no\\u0000ne", "null"] {
        let message = message(&format!(r#"{{"alg":"{alg}"}}"#), &claims(""));
        cases.push(Case::new(
            format!("alg {alg:?}, no signature"),
            format!("{message}."),
            "algorithm",
        ));
    }
    cases
}

fn not_listed() -> Vec<Case> {
    let header = |alg: &str| format!(r#"{{"alg":"{alg}","kid":"rsa"}}"#);
    let mut cases = Vec::new();
    for alg in [
        "RS384",
        "RS512",
        "PS384",
        "PS512",
        "HS256",
        "HS384",
        "HS512",
        "ES512",
        "ES256K",
        "RS1",
        "rs256",
        "Rs256",
        "RS256 ",
        " RS256",
        "RS256\\u0000",
        "SHA256withRSA",
        "RSA-OAEP",
        "A256GCM",
        "dir",
        "Ed448",
        "Ed25519",
        "EDDSA",
        "eddsa",
    ] {
        let token = token(&header(alg), &claims(""), "rsa", Algorithm::RS256);
        cases.push(Case::new(format!("alg {alg:?} is not listed"), token, "algorithm"));
    }
    let rsa = good();
    let only_es = World::new().algorithms(&[Algorithm::ES256]);
    cases.push(Case::new("RS256 where ES256 is listed", rsa.clone(), "algorithm").within(only_es));
    cases.push(Case::new("no algorithm is listed", rsa, "algorithm").within(World::new().algorithms(&[])));
    cases
}

/// HS256 under a text that everybody knows: the issuer's public key.
fn public_key_as_secret() -> Vec<Case> {
    let rsa = key("rsa");
    let modulus = decode(rsa.jwk["n"].as_str().expect("n"));
    // RSAPublicKey is what stands in the BIT STRING behind 24 bytes of SubjectPublicKeyInfo.
    let pkcs1 = &rsa.spki[24..];
    assert_eq!(pkcs1[..2], [0x30, 0x82]);
    let secrets: [(&str, Vec<u8>); 9] = [
        ("PEM", rsa.pem.clone().into()),
        ("PEM without newline", rsa.pem.trim_end().into()),
        ("PEM with CR LF", rsa.pem.replace('\n', "\r\n").into()),
        ("SPKI", rsa.spki.clone()),
        ("PKCS#1", pkcs1.to_vec()),
        ("SPKI in base64", encode(&rsa.spki).into()),
        ("JWK", rsa.jwk_with("").into()),
        ("modulus", modulus),
        ("modulus in base64", rsa.jwk["n"].as_str().expect("n").into()),
    ];
    let header = r#"{"alg":"HS256","kid":"rsa"}"#;
    let mut cases = Vec::new();
    for (name, secret) in &secrets {
        let token = hs(header, &claims(""), secret, Algorithm::HS256);
        cases.push(Case::new(
            format!("HS256 under the key's {name}"),
            token.clone(),
            "algorithm",
        ));
        // A policy that lists both, which the types still hold apart.
        let both = World::new().algorithms(&[Algorithm::RS256, Algorithm::HS256]);
        cases.push(
            Case::new(
                format!("HS256 is listed, under the key's {name}"),
                token,
                "key_mismatch",
            )
            .within(both),
        );
    }
    for (name, secret) in [
        ("empty secret", &b""[..]),
        ("kid as secret", b"rsa"),
        ("P-256 key's SPKI", &key("p256").spki),
    ] {
        let both = World::new().algorithms(&[Algorithm::ES256, Algorithm::HS256]);
        let token = hs(r#"{"alg":"HS256"}"#, &claims(""), secret, Algorithm::HS256);
        cases.push(Case::new(format!("HS256 is listed, {name}"), token, "key_mismatch").within(both));
    }
    cases
}

fn wrong_key() -> Vec<Case> {
    let with = |alg: &str, kid: &str, signer: &str, algorithm| {
        token(
            &format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#),
            &claims(""),
            signer,
            algorithm,
        )
    };
    let all = || {
        World::new().algorithms(&[
            Algorithm::RS256,
            Algorithm::PS256,
            Algorithm::ES256,
            Algorithm::ES384,
            Algorithm::EdDSA,
            Algorithm::HS256,
            Algorithm::HS512,
        ])
    };
    let only_rs256 = World::new().keys(key_set(&[key("rsa").jwk_with(r#""kid":"rsa","alg":"RS256""#)]));
    let only_rs384 = World::new().keys(key_set(&[key("rsa").jwk_with(r#""kid":"rsa","alg":"RS384""#)]));
    let secret = KeySet::secret(&[7; 32]).expect("long enough");
    let rs = message(r#"{"alg":"RS256"}"#, &claims(""));
    vec![
        Case::new(
            "RS256 with the P-256 key",
            with("RS256", "p256", "rsa", Algorithm::RS256),
            "key_mismatch",
        ),
        Case::new(
            "RS256 with the Ed25519 key",
            with("RS256", "ed25519", "rsa", Algorithm::RS256),
            "key_mismatch",
        ),
        Case::new(
            "ES256 with the RSA key",
            with("ES256", "rsa", "p256", Algorithm::ES256),
            "key_mismatch",
        ),
        Case::new(
            "ES256 with the P-384 key",
            with("ES256", "p384", "p384", Algorithm::ES384),
            "key_mismatch",
        ),
        Case::new(
            "ES384 with the P-256 key",
            with("ES384", "p256", "p256", Algorithm::ES256),
            "key_mismatch",
        ),
        Case::new(
            "ES384 with the RSA key",
            with("ES384", "rsa", "p384", Algorithm::ES384),
            "key_mismatch",
        ),
        Case::new(
            "EdDSA with the P-256 key",
            with("EdDSA", "p256", "ed25519", Algorithm::EdDSA),
            "key_mismatch",
        ),
        Case::new(
            "ES256 with the Ed25519 key",
            with("ES256", "ed25519", "p256", Algorithm::ES256),
            "key_mismatch",
        ),
        Case::new(
            "PS256 with the Ed25519 key",
            with("PS256", "ed25519", "rsa", Algorithm::PS256),
            "key_mismatch",
        ),
        Case::new(
            "PS256 with a key whose alg is RS256",
            with("PS256", "rsa", "rsa", Algorithm::PS256),
            "key_mismatch",
        )
        .within(only_rs256),
        Case::new(
            "RS256 with a key whose alg is RS384",
            with("RS256", "rsa", "rsa", Algorithm::RS256),
            "key_mismatch",
        )
        .within(only_rs384),
        Case::new(
            "RS256 that is PS256",
            with("RS256", "rsa", "rsa", Algorithm::PS256),
            "signature",
        ),
        Case::new(
            "PS256 that is RS256",
            with("PS256", "rsa", "rsa", Algorithm::RS256),
            "signature",
        ),
        Case::new(
            "PS256 that is PS384",
            with("PS256", "rsa", "rsa", Algorithm::PS384),
            "signature",
        ),
        Case::new(
            "RS256 that is RS512",
            with("RS256", "rsa", "rsa", Algorithm::RS512),
            "signature",
        ),
        Case::new(
            "RS256 that is ES256",
            signed(&rs, "p256", Algorithm::ES256),
            "signature",
        ),
        Case::new(
            "RS256 with a secret",
            signed(&rs, "rsa", Algorithm::RS256),
            "key_mismatch",
        )
        .within(all().keys(secret.clone())),
        Case::new(
            "HS512 with a secret of 32 bytes",
            hs(r#"{"alg":"HS512"}"#, &claims(""), &[7; 32], Algorithm::HS512),
            "key_mismatch",
        )
        .within(all().keys(secret.clone())),
        Case::new(
            "HS256 with another secret",
            hs(r#"{"alg":"HS256"}"#, &claims(""), &[8; 32], Algorithm::HS256),
            "signature",
        )
        .within(all().keys(secret.clone())),
        Case::new(
            "HS256 that is HS512",
            hs(r#"{"alg":"HS256"}"#, &claims(""), &[7; 32], Algorithm::HS512),
            "signature",
        )
        .within(all().keys(secret)),
    ]
}

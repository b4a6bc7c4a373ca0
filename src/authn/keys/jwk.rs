//! One JSON Web Key (RFC 7517 section 4, RFC 7518 section 6), or why it is not used.

use super::der;
use super::ecdsa::Curve;
use super::key::{Key, MAX_RSA_BITS, MIN_RSA_BITS, Material, P256, P384, Rsa};
use super::p384;
use crate::authn::json::{Json, Object};
use crate::authn::jwt::{Algorithm, base64url};
use rsa::{BigUint, RsaPublicKey};

/// Members of private and secret keys (RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

const OFF_CURVE: &str = "point is not on the curve";

pub fn read(jwk: Json) -> Result<Key, &'static str> {
    let Json::Object(jwk) = jwk else {
        return Err("not a JSON object");
    };
    // Whoever publishes it has lost it, and tokens signed with it say nothing.
    if PRIVATE.iter().any(|name| jwk.get(name).is_some()) {
        return Err("holds a private key: it is public now, replace it");
    }
    let kid = text(jwk, "kid", "kid is not a text")?.map(str::to_owned);
    is_for_signatures(jwk)?;
    let algorithm = text(jwk, "alg", "alg is not a text")?.map(algorithm).transpose()?;
    let kty = text(jwk, "kty", "kty is not a text")?.ok_or("without kty")?;
    let curve = || text(jwk, "crv", "crv is not a text")?.ok_or("without crv");
    let material = match kty {
        "RSA" => rsa(jwk)?,
        "EC" => match curve()? {
            "P-256" => p256(jwk)?,
            "P-384" => p384(jwk)?,
            _ => return Err("crv is neither P-256 nor P-384"),
        },
        "OKP" => match curve()? {
            "Ed25519" => ed25519(jwk)?,
            _ => return Err("crv is not Ed25519"),
        },
        _ => return Err("kty is none of RSA, EC and OKP"),
    };
    let key = Key {
        kid,
        algorithm,
        material,
    };
    match algorithm.is_none_or(|algorithm| key.fits(algorithm)) {
        true => Ok(key),
        false => Err("alg is not for a key of this type"),
    }
}

fn is_for_signatures(jwk: Object) -> Result<(), &'static str> {
    if text(jwk, "use", "use is not a text")?.is_some_and(|purpose| purpose != "sig") {
        return Err("use is not sig");
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Json::List(operations)) if operations.iter().any(|operation| operation.text() == Some("verify")) => Ok(()),
        Some(_) => Err("key_ops does not list verify"),
    }
}

fn algorithm(name: &str) -> Result<Algorithm, &'static str> {
    match name {
        // RFC 9864 section 2.2 names the curve instead.
        "Ed25519" => Ok(Algorithm::EdDSA),
        _ => name.parse().map_err(|_| "alg is not known here"),
    }
}

fn rsa(jwk: Object) -> Result<Material, &'static str> {
    // Leading zeros are against RFC 7518 section 6.3.1, common, and harmless.
    let n = bytes(jwk, "n", "n is not base64url")?;
    let n = der::strip_zeros(&n);
    let e = bytes(jwk, "e", "e is not base64url")?;
    let e = der::strip_zeros(&e);
    let bits = n.len() * 8 - n.first().map_or(0, |top| top.leading_zeros() as usize);
    if bits < MIN_RSA_BITS {
        return Err("RSA key of less than 2048 bits");
    }
    if bits > MAX_RSA_BITS {
        return Err("RSA key of more than 8192 bits");
    }
    if !is_odd(n) {
        return Err("RSA modulus is even");
    }
    // With e = 1 a signature is its own message; NIST SP 800-56B wants it odd; long ones only cost time.
    if !is_odd(e) || e == [1] || e.len() > 4 {
        return Err("RSA exponent is not odd, from 3 to 2^32");
    }
    let (modulus, exponent) = (BigUint::from_bytes_be(n), BigUint::from_bytes_be(e));
    Ok(Material::Rsa(Rsa {
        modulus_bytes: n.len(),
        spki: der::rsa_spki(n, e),
        key: RsaPublicKey::new_with_max_size(modulus, exponent, MAX_RSA_BITS).map_err(|_| "not an RSA key")?,
    }))
}

fn p256(jwk: Object) -> Result<Material, &'static str> {
    let (x, y) = coordinates(jwk, Curve::P256)?;
    let point = [&[4], &x[..], &y[..]].concat();
    Ok(Material::P256(P256 {
        spki: Curve::P256.spki(&point),
        key: p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).map_err(|_| OFF_CURVE)?,
    }))
}

fn p384(jwk: Object) -> Result<Material, &'static str> {
    let (x, y) = coordinates(jwk, Curve::P384)?;
    if !p384::is_on_curve(&x, &y) {
        return Err(OFF_CURVE);
    }
    let point = [&[4], &x[..], &y[..]].concat();
    Ok(Material::P384(P384 {
        spki: Curve::P384.spki(&point),
    }))
}

/// As long as the curve's field (RFC 7518 section 6.2.1.2).
fn coordinates(jwk: Object, curve: Curve) -> Result<(Vec<u8>, Vec<u8>), &'static str> {
    let x = bytes(jwk, "x", "x is not base64url")?;
    let y = bytes(jwk, "y", "y is not base64url")?;
    match x.len() == curve.bytes() && y.len() == curve.bytes() {
        true => Ok((x, y)),
        false => Err("coordinate of another length than the curve's"),
    }
}

fn ed25519(jwk: Object) -> Result<Material, &'static str> {
    let x = bytes(jwk, "x", "x is not base64url")?;
    let point: &[u8; 32] = x.as_slice().try_into().map_err(|_| "x is not 32 bytes")?;
    let key = ed25519_dalek::VerifyingKey::from_bytes(point).map_err(|_| OFF_CURVE)?;
    // One signature would hold for nearly every message.
    if key.is_weak() {
        return Err("point of small order");
    }
    Ok(Material::Ed25519(key))
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|last| last & 1 == 1)
}

fn bytes(jwk: Object, name: &str, why: &'static str) -> Result<Vec<u8>, &'static str> {
    let text = text(jwk, name, why)?.ok_or(why)?;
    base64url(text.as_bytes()).ok_or(why)
}

fn text<'j>(jwk: Object<'j>, name: &str, why: &'static str) -> Result<Option<&'j str>, &'static str> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Json::Text(text)) => Ok(Some(text)),
        Some(_) => Err(why),
    }
}

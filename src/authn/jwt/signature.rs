//! Signatures: the proxy checks those it can, pure Rust the rest.

use super::Algorithm;
use super::fault::TokenFault;
use super::token::Unverified;
use crate::authn::json::Object;
use crate::authn::keys::{Curve, Key, Material, ecdsa_der};
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use p256::ecdsa::signature::Verifier;
use rsa::{Pkcs1v15Sign, Pss, RsaPublicKey};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The port to what the proxy itself can check: RSA PKCS#1 v1.5 and ECDSA on P-256 and P-384.
pub trait Signatures {
    /// `key`: SubjectPublicKeyInfo in DER (RFC 5280 section 4.1.2.7). `signature`: for RSA as long as the modulus,
    /// for ECDSA a DER `Ecdsa-Sig-Value` (RFC 3279 section 2.2.3). None: the proxy has no such function, and pure
    /// Rust is asked instead.
    fn verify(&self, hash: Hash, key: &[u8], message: &[u8], signature: &[u8]) -> Option<bool>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// As Envoy's `verify_signature` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
}

/// No proxy to ask: all is checked in pure Rust, and ES384 cannot be.
#[derive(Clone, Copy, Debug)]
pub struct InRust;

impl Signatures for InRust {
    fn verify(&self, _: Hash, _: &[u8], _: &[u8], _: &[u8]) -> Option<bool> {
        None
    }
}

/// Claims that a key of the issuer has signed. Made here and nowhere else.
pub struct Signed<'t>(Object<'t>);

impl<'t> Signed<'t> {
    pub fn claims(&self) -> Object<'t> {
        self.0
    }
}

/// A key that holds decides; where none does, one that nobody could check with is what is told.
pub fn check<'t>(
    token: &'t Unverified,
    algorithm: Algorithm,
    candidates: &[&Key],
    signatures: &dyn Signatures,
) -> Result<Signed<'t>, TokenFault> {
    let mut fault = TokenFault::Signature;
    for key in candidates {
        match holds(key.material(), algorithm, token.message(), &token.signature, signatures) {
            Some(true) => return Ok(Signed(token.claims())),
            Some(false) => {}
            None => fault = TokenFault::NoVerifier,
        }
    }
    Err(fault)
}

/// Lengths and ranges are ours to check: what the host's library takes for a signature is not written down. The
/// key's type decides first, so no algorithm meets a key of another. None: nobody here can tell.
fn holds(
    key: &Material,
    algorithm: Algorithm,
    message: &[u8],
    signature: &[u8],
    signatures: &dyn Signatures,
) -> Option<bool> {
    match key {
        Material::Rsa(rsa) if signature.len() != rsa.modulus_bytes => Some(false),
        Material::Rsa(rsa) => {
            let by_proxy = || signatures.verify(pkcs1_hash(algorithm)?, &rsa.spki, message, signature);
            by_proxy().or_else(|| rsa_in_rust(algorithm, &rsa.key, message, signature))
        }
        Material::P256(p256) => {
            let Some(der) = ecdsa_der(Curve::P256, signature) else {
                return Some(false);
            };
            let by_proxy = signatures.verify(Hash::Sha256, &p256.spki, message, &der);
            by_proxy.or_else(|| {
                let signature = p256::ecdsa::Signature::from_slice(signature);
                Some(signature.is_ok_and(|signature| p256.key.verify(message, &signature).is_ok()))
            })
        }
        Material::P384(p384) => match ecdsa_der(Curve::P384, signature) {
            Some(der) => signatures.verify(Hash::Sha384, &p384.spki, message, &der),
            None => Some(false),
        },
        // Strict: one reading of RFC 8032 for all, where libraries differ on points of small order.
        Material::Ed25519(key) => Some(match ed25519_dalek::Signature::from_slice(signature) {
            Ok(signature) => key.verify_strict(message, &signature).is_ok(),
            Err(_) => false,
        }),
        Material::Secret(secret) => match algorithm {
            Algorithm::HS256 => mac::<Hmac<Sha256>>(&secret.0, message, signature),
            Algorithm::HS384 => mac::<Hmac<Sha384>>(&secret.0, message, signature),
            Algorithm::HS512 => mac::<Hmac<Sha512>>(&secret.0, message, signature),
            _ => None,
        },
    }
}

/// None for RSASSA-PSS, which the proxy does not have.
fn pkcs1_hash(algorithm: Algorithm) -> Option<Hash> {
    match algorithm {
        Algorithm::RS256 => Some(Hash::Sha256),
        Algorithm::RS384 => Some(Hash::Sha384),
        Algorithm::RS512 => Some(Hash::Sha512),
        _ => None,
    }
}

/// PSS salts are as long as the hash (RFC 7518 section 3.5).
fn rsa_in_rust(algorithm: Algorithm, key: &RsaPublicKey, message: &[u8], signature: &[u8]) -> Option<bool> {
    let held = match algorithm {
        Algorithm::RS256 => key.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message), signature),
        Algorithm::RS384 => key.verify(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(message), signature),
        Algorithm::RS512 => key.verify(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(message), signature),
        Algorithm::PS256 => key.verify(Pss::new::<Sha256>(), &Sha256::digest(message), signature),
        Algorithm::PS384 => key.verify(Pss::new::<Sha384>(), &Sha384::digest(message), signature),
        Algorithm::PS512 => key.verify(Pss::new::<Sha512>(), &Sha512::digest(message), signature),
        _ => return None,
    };
    Some(held.is_ok())
}

/// In constant time.
fn mac<M: Mac + KeyInit>(secret: &[u8], message: &[u8], signature: &[u8]) -> Option<bool> {
    let mac = <M as Mac>::new_from_slice(secret).ok()?;
    Some(mac.chain_update(message).verify_slice(signature).is_ok())
}

//! What the next gate is told of the caller: a short-lived token of our own, signed here.

mod claims;
mod key;
mod made;
mod pem;
mod public;
mod rsa;

pub use key::{KeyFault, SigningKey};
pub use pem::p256_pem;

use crate::authn::Principal;
use crate::authn::jwt::MAX_TOKEN_BYTES;
use crate::cache::Seed;
use crate::policy::Assertion;
use crate::time::UnixTime;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use made::Made;
use std::sync::Arc;

/// `typ`: no reader takes an assertion for another kind of token (RFC 8725 section 3.11).
pub const TYPE: &str = "meshgate+jwt";

/// How long others may keep the key set: a key is published this long before it signs.
pub const JWKS_MAX_AGE_S: u32 = 300;

/// An experiment and the variant that this request gets.
pub type Chosen<'a> = (&'a str, &'a str);

/// Why a caller who is known cannot be told to the next gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// No gate would read it.
    TooLong,
    /// There is no key, or it did not sign.
    Failed,
}

/// The keys of one policy and the assertions they have signed.
#[derive(Debug)]
pub struct Assertions {
    issuer: String,
    ttl_s: u64,
    /// Not empty; the first signs.
    keys: Vec<SigningKey>,
    made: Made,
}

/// The keys that a policy names, the signing one first. `environment`: the value of a variable.
pub fn keys(
    policy: &Assertion,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Vec<SigningKey>, Vec<KeyFault>> {
    let mut keys: Vec<SigningKey> = Vec::new();
    let mut faults = Vec::new();
    for (index, secret) in policy.keys.iter().enumerate() {
        let wanted = (index == 0).then_some(policy.algorithm);
        let read = key::read(environment(&secret.env), wanted).and_then(|key| {
            match keys.iter().any(|other| other.kid() == key.kid()) {
                true => Err("holds the same key as another one"),
                false => Ok(key),
            }
        });
        match read {
            Ok(key) => keys.push(key),
            Err(why) => faults.push(KeyFault {
                index,
                env: secret.env.clone(),
                why,
            }),
        }
    }
    if faults.is_empty() { Ok(keys) } else { Err(faults) }
}

/// What others check assertions with (RFC 7517): every key, so that one can take the place of another.
pub fn jwks(keys: &[SigningKey]) -> String {
    let keys: Vec<String> = keys.iter().map(SigningKey::jwk).collect();
    format!("{{\"keys\":[{}]}}", keys.join(","))
}

impl Assertions {
    pub fn new(policy: &Assertion, keys: Vec<SigningKey>) -> Self {
        Self {
            issuer: policy.issuer.clone(),
            ttl_s: policy.ttl.as_secs(),
            keys,
            made: Made::new(),
        }
    }

    pub fn jwks(&self) -> String {
        jwks(&self.keys)
    }

    /// `variants`: with those of an earlier gate, in place of the principal's own.
    ///
    /// One that was made before serves until half of its life is over, so that whoever reads it has the other half.
    pub fn about(
        &mut self,
        principal: &Principal,
        variants: &[Chosen],
        audience: &str,
        seed: Seed,
        now: UnixTime,
    ) -> Result<Arc<str>, Unsigned> {
        let key = made::key(principal, variants, audience, seed);
        if let Some(token) = self.made.find(&key, now) {
            return Ok(token);
        }
        let token: Arc<str> = self.sign(principal, variants, audience, now)?.into();
        self.made.keep(key, token.clone(), now, self.ttl_s);
        Ok(token)
    }

    pub fn made(&self) -> usize {
        self.made.len()
    }

    fn sign(
        &self,
        principal: &Principal,
        variants: &[Chosen],
        audience: &str,
        now: UnixTime,
    ) -> Result<String, Unsigned> {
        let key = self.keys.first().ok_or(Unsigned::Failed)?;
        let claims = claims::write(&self.issuer, audience, (principal, variants), now.as_secs(), self.ttl_s);
        let mut token = URL_SAFE_NO_PAD.encode(key.header());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = key.sign(token.as_bytes()).ok_or(Unsigned::Failed)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        match token.len() {
            0..=MAX_TOKEN_BYTES => Ok(token),
            _ => Err(Unsigned::TooLong),
        }
    }
}

#[cfg(test)]
mod tests;

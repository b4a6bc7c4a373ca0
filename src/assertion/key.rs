//! A private key, and what it signs.

use super::TYPE;
use super::pem::{self, Private};
use super::public::Public;
use super::rsa::{Parts, Rsa};
use crate::authn::jwt::Algorithm;
use p256::ecdsa::signature::Signer;
use std::fmt;

pub struct SigningKey {
    kid: String,
    public: Public,
    private: Material,
}

enum Material {
    P256(p256::ecdsa::SigningKey),
    Rsa(Box<Rsa>),
}

/// A key of a policy that cannot be used. Names the variable and shows nothing of what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFault {
    /// Position in `identity.assertion.keys`.
    pub index: usize,
    pub env: String,
    pub why: &'static str,
}

/// `wanted`: what it has to sign with; another kind of key may stand beside, so that algorithms can be exchanged.
pub fn read(text: Option<String>, wanted: Option<Algorithm>) -> Result<SigningKey, &'static str> {
    let text = text.ok_or("is not set in vm_config.environment_variables, or is no text")?;
    let key = match pem::read(&text)? {
        Private::P256 { secret } => SigningKey::p256(&secret)?,
        Private::Rsa(der) => SigningKey::rsa(&pem::rsa_parts(&der)?)?,
    };
    match wanted.is_none_or(|algorithm| algorithm == key.algorithm()) {
        true => Ok(key),
        false => Err("holds a key of another kind than identity.assertion.algorithm"),
    }
}

impl SigningKey {
    fn p256(secret: &[u8]) -> Result<Self, &'static str> {
        let key = p256::ecdsa::SigningKey::from_slice(secret).map_err(|_| "holds no key of P-256")?;
        let point = key.verifying_key().to_encoded_point(false);
        let (Some(x), Some(y)) = (point.x(), point.y()) else {
            return Err("holds no key of P-256");
        };
        let public = Public::p256(x, y);
        Ok(Self::of(public, Material::P256(key)))
    }

    fn rsa(parts: &Parts) -> Result<Self, &'static str> {
        let key = Rsa::read(parts)?;
        let public = Public::rsa(&key.n.to_bytes_be(), &key.e.to_bytes_be());
        Ok(Self::of(public, Material::Rsa(Box::new(key))))
    }

    fn of(public: Public, private: Material) -> Self {
        Self {
            kid: public.thumbprint(),
            public,
            private,
        }
    }

    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub fn algorithm(&self) -> Algorithm {
        match self.private {
            Material::P256(_) => Algorithm::ES256,
            Material::Rsa(_) => Algorithm::RS256,
        }
    }

    /// As tokens and key sets name it.
    fn alg(&self) -> &'static str {
        match self.private {
            Material::P256(_) => "ES256",
            Material::Rsa(_) => "RS256",
        }
    }

    /// Of a token that it signs.
    pub fn header(&self) -> String {
        let (alg, kid) = (self.alg(), &self.kid);
        format!("{{\"alg\":\"{alg}\",\"kid\":\"{kid}\",\"typ\":\"{TYPE}\"}}")
    }

    /// RFC 7517, the public half.
    pub fn jwk(&self) -> String {
        let (members, alg, kid) = (self.public.members(), self.alg(), &self.kid);
        format!("{{{members},\"kid\":\"{kid}\",\"use\":\"sig\",\"alg\":\"{alg}\"}}")
    }

    /// As RFC 7518 sections 3.3 and 3.4 write it.
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match &self.private {
            Material::P256(key) => {
                let signature: p256::ecdsa::Signature = key.try_sign(message).ok()?;
                Some(signature.to_bytes().to_vec())
            }
            Material::Rsa(key) => key.sign(message),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({} …)", self.kid)
    }
}

//! A key, and which algorithms it is for. Its type decides that, never the token.

use crate::authn::jwt::Algorithm;
use rsa::RsaPublicKey;

/// RFC 7518 section 3.3.
pub const MIN_RSA_BITS: usize = 2048;
/// A signature of 8192 bits costs sixteen times one of 2048, 10 ms in pure Rust; longer keys are not in use.
pub const MAX_RSA_BITS: usize = 8192;

#[derive(Clone, Debug)]
pub struct Key {
    pub(super) kid: Option<String>,
    /// `alg` of the JWK: it is for no other, then.
    pub(super) algorithm: Option<Algorithm>,
    pub(super) material: Material,
}

/// What there is to check a signature with. Each kind has its own algorithms, so a public key is never taken for
/// a secret (RFC 8725 section 2.1).
#[derive(Clone, Debug)]
pub enum Material {
    Rsa(Rsa),
    P256(P256),
    P384(P384),
    Ed25519(ed25519_dalek::VerifyingKey),
    Secret(Secret),
}

/// `spki` is for the proxy; it is made once, since that takes longer than looking the key up.
#[derive(Clone, Debug)]
pub struct Rsa {
    pub modulus_bytes: usize,
    pub spki: Vec<u8>,
    pub key: RsaPublicKey,
}

#[derive(Clone, Debug)]
pub struct P256 {
    pub spki: Vec<u8>,
    pub key: p256::ecdsa::VerifyingKey,
}

/// The proxy alone can check with it.
#[derive(Clone, Debug)]
pub struct P384 {
    pub spki: Vec<u8>,
}

#[derive(Clone)]
pub struct Secret(pub Box<[u8]>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Key {
    /// None where it is shorter than the shortest hash.
    pub(super) fn secret(bytes: &[u8]) -> Option<Self> {
        let key = Self {
            kid: None,
            algorithm: None,
            material: Material::Secret(Secret(bytes.into())),
        };
        key.fits(Algorithm::HS256).then_some(key)
    }

    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether a token with this algorithm may be checked with this key.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithm.is_none_or(|own| own == algorithm) && self.material.fits(algorithm)
    }

    pub(in crate::authn) fn material(&self) -> &Material {
        &self.material
    }
}

impl Material {
    fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::*;
        match self {
            Self::Rsa(_) => matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512),
            Self::P256(_) => algorithm == ES256,
            Self::P384(_) => algorithm == ES384,
            Self::Ed25519(_) => algorithm == EdDSA,
            // RFC 7518 section 3.2: as long as the hash, or longer.
            Self::Secret(secret) => match algorithm {
                HS256 => secret.0.len() >= 32,
                HS384 => secret.0.len() >= 48,
                HS512 => secret.0.len() >= 64,
                _ => false,
            },
        }
    }
}

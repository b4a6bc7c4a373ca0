//! The public half of a signing key, as others read it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// Members of a JWK (RFC 7518 sections 6.2.1 and 6.3.1), in base64url.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Public {
    P256 { x: String, y: String },
    Rsa { n: String, e: String },
}

impl Public {
    pub fn p256(x: &[u8], y: &[u8]) -> Self {
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        Self::P256 { x, y }
    }

    /// Both big-endian without leading zeros.
    pub fn rsa(n: &[u8], e: &[u8]) -> Self {
        let (n, e) = (URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e));
        Self::Rsa { n, e }
    }

    /// What the key is, its members in the order of RFC 7638 section 3.
    pub fn members(&self) -> String {
        match self {
            Self::P256 { x, y } => format!("\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"{x}\",\"y\":\"{y}\""),
            Self::Rsa { n, e } => format!("\"e\":\"{e}\",\"kty\":\"RSA\",\"n\":\"{n}\""),
        }
    }

    /// The name of the key that anybody can work out (RFC 7638).
    pub fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{{{}}}", self.members())))
    }
}

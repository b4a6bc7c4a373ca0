//! An issuer's keys: a JWK set (RFC 7517), or one secret.

mod der;
mod ecdsa;
mod jwk;
mod key;
mod p384;

pub(super) use ecdsa::{Curve, to_der as ecdsa_der};
pub(super) use key::Material;
pub use key::{Key, MAX_RSA_BITS, MIN_RSA_BITS};

use super::json::{self, Json, JsonFault};
use super::jwt::{Algorithm, TokenFault};
use std::fmt;

/// A hundred keys with certificate chains have about 200 KiB; Envoy would buffer 3 MB and more.
pub const MAX_SET_BYTES: usize = 256 * 1024;

/// Large providers publish up to a dozen; each is looked at for a token that names a key.
pub const MAX_KEYS: usize = 100;

/// Signatures that one token can cost: old and new key of a rotation, twice over. In pure Rust each takes up to
/// a millisecond in the module.
pub const MAX_CANDIDATES: usize = 4;

/// A key set nests three levels deep; extensions get as many again.
const MAX_DEPTH: usize = 6;

/// At least one key.
#[derive(Clone, Debug)]
pub struct KeySet(Vec<Key>);

/// A key of a set that is not used, and why. Names nothing secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Position in `keys`.
    pub index: usize,
    pub kid: Option<String>,
    pub why: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySetFault {
    TooLarge,
    NotJson,
    DuplicateMember,
    TooDeep,
    /// No object with a list `keys`.
    NotASet,
    TooManyKeys,
    NoUsableKey(Vec<Warning>),
    /// A secret shorter than the shortest hash (RFC 7518 section 3.2).
    ShortSecret,
}

impl KeySet {
    /// Keys that cannot be used are left out, each with a warning: an issuer may well publish encryption keys,
    /// or keys for algorithms that we do not know.
    pub fn parse(bytes: &[u8]) -> Result<(Self, Vec<Warning>), KeySetFault> {
        if bytes.len() > MAX_SET_BYTES {
            return Err(KeySetFault::TooLarge);
        }
        let set = json::read(bytes.to_vec(), MAX_DEPTH)?;
        let Some(Json::List(jwks)) = set.members().get("keys") else {
            return Err(KeySetFault::NotASet);
        };
        if jwks.iter().count() > MAX_KEYS {
            return Err(KeySetFault::TooManyKeys);
        }
        let mut keys = Vec::new();
        let mut warnings = Vec::new();
        for (index, jwk) in jwks.iter().enumerate() {
            match jwk::read(jwk) {
                Ok(key) => keys.push(key),
                Err(why) => warnings.push(Warning {
                    index,
                    kid: kid(jwk),
                    why,
                }),
            }
        }
        match keys.is_empty() {
            true => Err(KeySetFault::NoUsableKey(warnings)),
            false => Ok((Self(keys), warnings)),
        }
    }

    /// For HS256, HS384 and HS512, each where the secret is as long as its hash.
    pub fn secret(bytes: &[u8]) -> Result<Self, KeySetFault> {
        let key = Key::secret(bytes).ok_or(KeySetFault::ShortSecret)?;
        Ok(Self(vec![key]))
    }

    pub fn keys(&self) -> &[Key] {
        &self.0
    }

    /// The keys that may have signed a token: those its `kid` names. Without `kid`, or where none has that name,
    /// the ones that have no name fit as well, so that a set written by hand need not name its only key.
    pub(super) fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Vec<&Key>, TokenFault> {
        let mut named: Vec<&Key> = match kid {
            None => self.0.iter().collect(),
            Some(kid) => self.0.iter().filter(|key| key.kid() == Some(kid)).collect(),
        };
        if named.is_empty() {
            named = self.0.iter().filter(|key| key.kid().is_none()).collect();
        }
        if named.is_empty() {
            return Err(TokenFault::UnknownKey);
        }
        named.retain(|key| key.fits(algorithm));
        match named.len() {
            0 => Err(TokenFault::KeyMismatch),
            1..=MAX_CANDIDATES => Ok(named),
            // Trying the first few would refuse some of the issuer's tokens and not others.
            _ => Err(TokenFault::AmbiguousKey),
        }
    }
}

impl From<JsonFault> for KeySetFault {
    fn from(fault: JsonFault) -> Self {
        match fault {
            JsonFault::Syntax => Self::NotJson,
            JsonFault::Duplicate => Self::DuplicateMember,
            JsonFault::TooDeep => Self::TooDeep,
        }
    }
}

/// For a warning: as much of it as a log line bears.
fn kid(jwk: Json) -> Option<String> {
    let Json::Object(members) = jwk else {
        return None;
    };
    members.get("kid")?.text().map(|kid| kid.chars().take(64).collect())
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keys[{}]", self.index)?;
        if let Some(kid) = &self.kid {
            write!(f, " (kid {kid:?})")?;
        }
        write!(f, ": {}", self.why)
    }
}

impl fmt::Display for KeySetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "key set of more than {} KiB", MAX_SET_BYTES / 1024),
            Self::NotJson => f.write_str("key set is not JSON"),
            Self::DuplicateMember => f.write_str("key set names a member twice"),
            Self::TooDeep => f.write_str("key set is nested too deeply"),
            Self::NotASet => f.write_str("no key set: a JSON object with a list `keys`"),
            Self::TooManyKeys => write!(f, "key set of more than {MAX_KEYS} keys"),
            Self::NoUsableKey(warnings) => {
                f.write_str("no usable key in the set")?;
                warnings.iter().try_for_each(|warning| write!(f, "; {warning}"))
            }
            Self::ShortSecret => f.write_str("secret of less than 32 bytes"),
        }
    }
}

#[cfg(test)]
mod tests;

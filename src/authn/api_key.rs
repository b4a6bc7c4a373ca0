//! Keys that the gate itself knows, by their digests.

use super::token::{self, Ambiguous};
use super::{Claim, CredentialFault, Finding, Principal};
use crate::policy::{ApiKey, ApiKeySource};
use crate::request::Request;
use crate::rule::PolicyMap;
use crate::time::UnixTime;
use sha2::{Digest as _, Sha256};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A caller may send as much as Envoy takes, and hashing it all would be its way to spend our time: 16
/// blocks of SHA-256 are about what reading a request costs. Keys in use have 20 to 100 bytes.
pub const MAX_KEY_BYTES: usize = 1024;

/// What the policy says of the holder of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// The key's own name, for logs: a caller may have several.
    pub id: Arc<str>,
    /// Not empty.
    pub subject: String,
    /// From here on it is refused. None: never.
    pub expires: Option<UnixTime>,
    pub groups: Vec<String>,
    pub scopes: Vec<String>,
    /// Each name once.
    pub claims: Vec<(String, Claim)>,
}

/// Keys by digest: one is found among 100,000 as fast as among ten.
#[derive(Debug, Default)]
pub struct ApiKeys {
    by_digest: PolicyMap<Digest, KnownKey>,
}

impl ApiKeys {
    pub fn with_capacity(keys: usize) -> Self {
        Self {
            by_digest: PolicyMap::with_capacity_and_hasher(keys, Default::default()),
        }
    }

    /// False where this digest is known already; the first stays.
    pub fn insert(&mut self, digest: Digest, key: KnownKey) -> bool {
        match self.by_digest.entry(digest) {
            std::collections::hash_map::Entry::Occupied(_) => false,
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(key);
                true
            }
        }
    }

    pub fn len(&self) -> usize {
        self.by_digest.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_digest.is_empty()
    }

    /// In no order.
    pub fn known(&self) -> impl Iterator<Item = &KnownKey> {
        self.by_digest.values()
    }

    /// The names of the claims of all.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        let claims = self.known().flat_map(|key| &key.claims);
        claims.map(|(name, _)| name.as_str())
    }

    pub fn find(&self, presented: &[u8]) -> Option<&KnownKey> {
        match presented.len() {
            0 => None,
            length if length > MAX_KEY_BYTES => None,
            _ => self.by_digest.get(&Digest::of(presented)),
        }
    }
}

/// SHA-256 of a key. It needs no salt and no slow hash, since a key is random: nobody guesses 128 bits.
#[derive(Clone, Copy, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// 64 hexadecimal digits of either case.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut digits = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()));
        let mut bytes = [0; 32];
        for byte in &mut bytes {
            *byte = digits.next()?? << 4 | digits.next()??;
        }
        digits.next().is_none().then_some(Self(bytes))
    }
}

/// In constant time: how long it takes says nothing of where two digests begin to differ. Which bucket is
/// looked at does depend on the first bytes, and tells nothing of a key, since nobody can choose a key
/// by its digest.
impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        let differing = self.0.iter().zip(&other.0).fold(0, |all, (a, b)| all | (a ^ b));
        // Else the compiler may leave the loop at the first difference.
        std::hint::black_box(differing) == 0
    }
}

/// A digest's first bytes are as evenly spread as any hash of it.
impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let Some(first) = self.0.first_chunk() {
            state.write_u64(u64::from_ne_bytes(*first));
        }
    }
}

/// Not the digest: whoever reads a log could look for it elsewhere.
impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest(…)")
    }
}

/// `name`: the authenticator's. `fetched`: the list that came from where the policy says, if it came.
pub fn find(
    name: &Arc<str>,
    api_key: &ApiKey,
    fetched: Option<&ApiKeys>,
    request: &Request,
    now: UnixTime,
) -> Result<Finding<'static>, Ambiguous> {
    let Some(presented) = token::presented(&api_key.from, request)? else {
        return Ok(Finding::NotMine);
    };
    if presented.is_empty() {
        return Ok(Finding::refused(CredentialFault::Empty));
    }
    let keys = match &api_key.keys {
        ApiKeySource::Inline(keys) => Some(keys),
        ApiKeySource::Remote(_) => fetched,
    };
    let Some(keys) = keys else {
        return Ok(Finding::KeysUnavailable);
    };
    let Some(key) = keys.find(&presented) else {
        return Ok(Finding::refused(CredentialFault::UnknownKey));
    };
    let credential_id = Some(key.id.clone());
    if key.expires.is_some_and(|expires| expires <= now) {
        return Ok(Finding::Refused {
            fault: CredentialFault::ExpiredKey,
            credential_id,
        });
    }
    Ok(Finding::Known {
        principal: Arc::new(Principal {
            authenticator: name.clone(),
            subject: key.subject.clone(),
            groups: key.groups.clone(),
            scopes: key.scopes.clone(),
            claims: key.claims.clone(),
            variants: vec![],
        }),
        credential_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(id: &str) -> KnownKey {
        KnownKey {
            id: id.into(),
            subject: "acme".into(),
            expires: None,
            groups: vec![],
            scopes: vec![],
            claims: vec![],
        }
    }

    #[test]
    fn a_digest_is_that_of_the_key() {
        // FIPS 180-4, the example of one block.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(Digest::from_hex(abc) == Some(Digest::of(b"abc")));
        assert!(Digest::from_hex(&abc.to_uppercase()) == Some(Digest::of(b"abc")));
        for no_digest in ["", "ba78", &abc[1..], &format!("{abc}0"), &abc.replace('b', "g")] {
            assert!(Digest::from_hex(no_digest).is_none(), "{no_digest}");
        }
    }

    #[test]
    fn digests_that_begin_alike_are_two() {
        let mut bytes = Digest::of(b"abc").0;
        bytes[31] ^= 1;
        let mut keys = ApiKeys::default();
        assert!(keys.insert(Digest(bytes), known("other")));
        assert!(keys.find(b"abc").is_none());
        assert!(keys.insert(Digest::of(b"abc"), known("abc")));
        assert_eq!(keys.find(b"abc").map(|key| &*key.id), Some("abc"));
    }

    #[test]
    fn one_key_is_one_entry() {
        let mut keys = ApiKeys::default();
        assert!(keys.insert(Digest::of(b"a"), known("first")));
        assert!(!keys.insert(Digest::of(b"a"), known("second")));
        assert_eq!(keys.find(b"a").map(|key| &*key.id), Some("first"));
    }

    #[test]
    fn what_is_no_key_is_not_hashed() {
        let mut keys = ApiKeys::default();
        let long = vec![b'a'; MAX_KEY_BYTES + 1];
        for key in [&b""[..], &long, &long[1..]] {
            keys.insert(Digest::of(key), known("a"));
        }
        assert!(keys.find(b"").is_none() && keys.find(&long).is_none());
        assert!(keys.find(&long[1..]).is_some());
    }

    /// No chain of entries grows with the number of keys: what is compared in one look-up is about one
    /// digest, whether it is found or not.
    #[test]
    fn a_hundred_thousand_keys_are_found_like_ten() {
        const KEYS: usize = 100_000;
        let mut keys = ApiKeys::with_capacity(KEYS);
        let names: Vec<String> = (0..2 * KEYS).map(|number| format!("key-{number}")).collect();
        let (known_names, unknown_names) = names.split_at(KEYS);
        let spread: std::collections::HashSet<u64> = known_names
            .iter()
            .map(|name| std::hash::BuildHasher::hash_one(keys.by_digest.hasher(), Digest::of(name.as_bytes())))
            .collect();
        assert_eq!(spread.len(), KEYS);
        assert!(
            known_names
                .iter()
                .all(|name| keys.insert(Digest::of(name.as_bytes()), known(name)))
        );
        assert_eq!(keys.len(), KEYS);
        let is_known = |name: &String| keys.find(name.as_bytes()).is_some_and(|key| *key.id == **name);
        assert!(known_names.iter().all(is_known));
        assert!(!unknown_names.iter().any(is_known));
    }
}

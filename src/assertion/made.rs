//! Assertions that were made before: a signature costs as much as fifty requests, or a thousand.

use super::Chosen;
use crate::authn::{Claim, Principal};
use crate::cache::{Key, KeyHasher, Seed};
use crate::time::UnixTime;
use quick_cache::unsync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, Weighter};
use std::sync::Arc;

/// Callers whom one worker meets within half the life of an assertion. Past it the rarest are signed for again.
const MAX_ENTRIES: usize = 10_000;
/// Ten thousand assertions of a caller with a dozen groups.
const MAX_BYTES: u64 = 8 << 20;
const ENTRY_BYTES: u64 = 150;

pub struct Made(Cache<Key, Entry, Weight, DefaultHashBuilder, DefaultLifecycle<Key, Entry>>);

#[derive(Clone)]
struct Entry {
    token: Arc<str>,
    /// Milliseconds since the Unix epoch. It is used from `iat` on: a clock that was set back would send what the
    /// next gate takes for one of the future.
    from_ms: u64,
    until_ms: u64,
}

impl Made {
    pub fn new() -> Self {
        let (hash, life) = (DefaultHashBuilder::default(), DefaultLifecycle::default());
        Self(Cache::with(MAX_ENTRIES, MAX_BYTES, Weight, hash, life))
    }

    pub fn find(&self, key: &Key, now: UnixTime) -> Option<Arc<str>> {
        let entry = self.0.get(key)?;
        (entry.from_ms..entry.until_ms)
            .contains(&now.as_ms())
            .then(|| entry.token.clone())
    }

    /// `iat` is the second that `now` is in, and half of the life counts from there.
    pub fn keep(&mut self, key: Key, token: Arc<str>, now: UnixTime, ttl_s: u64) {
        let from_ms = now.as_secs() * 1000;
        let entry = Entry {
            token,
            from_ms,
            until_ms: from_ms.saturating_add(ttl_s.saturating_mul(500)),
        };
        self.0.insert(key, entry);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl std::fmt::Debug for Made {
    /// No token: whoever holds one is the caller.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Made {{ entries: {} }}", self.len())
    }
}

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<Key, Entry> for Weight {
    fn weight(&self, _: &Key, entry: &Entry) -> u64 {
        const LEAST: u64 = MAX_BYTES.div_ceil(MAX_ENTRIES as u64);
        (entry.token.len() as u64 + ENTRY_BYTES).max(LEAST)
    }
}

/// Of all that an assertion says but its times: two callers who differ in anything share none.
pub fn key(principal: &Principal, told: &[Chosen], audience: &str, seed: Seed) -> Key {
    // Taken apart, so that a new part of a principal cannot be forgotten here.
    let Principal {
        authenticator,
        subject,
        groups,
        scopes,
        claims,
        // What is told of them stands in `told`.
        variants: _,
    } = principal;
    let mut hasher = KeyHasher::new(seed);
    hasher.part(audience.as_bytes());
    hasher.part(authenticator.as_bytes());
    hasher.part(subject.as_bytes());
    texts(&mut hasher, groups);
    texts(&mut hasher, scopes);
    count(&mut hasher, claims.len());
    for (name, claim) in claims {
        hasher.part(name.as_bytes());
        self::claim(&mut hasher, claim);
    }
    count(&mut hasher, told.len());
    for (experiment, variant) in told {
        hasher.part(experiment.as_bytes());
        hasher.part(variant.as_bytes());
    }
    hasher.finish()
}

fn claim(hasher: &mut KeyHasher, claim: &Claim) {
    match claim {
        Claim::Scalar(text) => {
            hasher.part(b"scalar");
            hasher.part(text.as_bytes());
        }
        Claim::List(elements) => {
            hasher.part(b"list");
            texts(hasher, elements);
        }
        Claim::Object(members) => {
            hasher.part(b"object");
            count(hasher, members.len());
            for (name, member) in members {
                hasher.part(name.as_bytes());
                self::claim(hasher, member);
            }
        }
    }
}

fn texts(hasher: &mut KeyHasher, texts: &[String]) {
    count(hasher, texts.len());
    texts.iter().for_each(|text| hasher.part(text.as_bytes()));
}

/// Else the end of one list could be the start of the next.
fn count(hasher: &mut KeyHasher, count: usize) {
    hasher.part(&(count as u64).to_le_bytes());
}

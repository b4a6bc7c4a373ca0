//! Remembered answers of one service: bounded by entries and by bytes, and not emptied by a flood of
//! requests that come once.

pub mod freshness;
mod key;
mod shared;

pub use key::{Key, KeyHasher, Seed, Spread};
pub use shared::{
    Asked, Digest, DigestHasher, Generation, MAX_ENTRY_BYTES, NoStore, Refused, Seal, SealKey, Shared, SharedEntry,
    SharedStore, Version,
};

use crate::authn::callout::Accepted;
use crate::authn::{Claim, Principal};
use crate::denial::ServiceDenial;
use crate::header::HeaderName;
use quick_cache::Weighter;
use quick_cache::unsync::{Cache, DefaultLifecycle};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// The whole outcome of one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    Known(Arc<Principal>, Accepted),
    Denied(ServiceDenial),
}

/// `cache` of a callout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachePolicy {
    pub ttl: Duration,
    /// None: denials are not remembered.
    pub denied_ttl: Option<Duration>,
    /// Counted from the end of an answer's life.
    pub stale_if_error: Duration,
    pub stale_while_revalidate: Duration,
    /// What the verdict does not depend on.
    pub ignored: Ignored,
    pub max_entries: usize,
    pub max_bytes: usize,
    /// How many requests may wait for answers that others asked for.
    pub max_waiting: usize,
    /// Past `max_waiting`: refuse, instead of asking for each.
    pub refuse_when_full: bool,
    /// Across the workers of one Envoy.
    pub shared: Option<SharedKey>,
}

/// The variable of the VM's environment that holds the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedKey(pub String);

/// Parts of what the service is sent that its verdict does not depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    pub method: bool,
    pub path: bool,
    pub query: bool,
    pub host: bool,
    pub headers: Vec<HeaderName>,
}

impl Ignored {
    pub const fn nothing() -> Self {
        Self {
            method: false,
            path: false,
            query: false,
            host: false,
            headers: Vec::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::nothing()
    }

    pub fn header(&self, name: &[u8]) -> bool {
        self.headers.iter().any(|other| other.as_str().as_bytes() == name)
    }
}

/// What is remembered for a question.
#[derive(Clone, Debug)]
pub enum Found {
    Fresh(Arc<Remembered>),
    /// Use it; the first who finds it so asks anew beside.
    Revalidate {
        answer: Arc<Remembered>,
        first: bool,
    },
    /// Only while the service cannot be asked.
    IfError(Arc<Remembered>),
    Nothing,
}

/// When an answer may be used, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    pub fresh_until_ms: u64,
    pub revalidate_until_ms: u64,
    pub if_error_until_ms: u64,
}

impl Life {
    /// `ttl`: the policy's, shortened by the reply. `end_ms`: the credential's own end, which
    /// nothing outlives. A denial and an answer that must be revalidated are never used stale.
    pub fn new(policy: &CachePolicy, ttl: Duration, may_be_stale: bool, end_ms: Option<u64>, now_ms: u64) -> Self {
        let end_ms = end_ms.unwrap_or(u64::MAX);
        let after = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let fresh_until_ms = now_ms.saturating_add(after(ttl)).min(end_ms);
        let stale = |more: Duration| match may_be_stale {
            true => fresh_until_ms.saturating_add(after(more)).min(end_ms),
            false => fresh_until_ms,
        };
        Self {
            fresh_until_ms,
            revalidate_until_ms: stale(policy.stale_while_revalidate),
            if_error_until_ms: stale(policy.stale_if_error),
        }
    }

    /// From here on it is of no use.
    pub fn end_ms(&self) -> u64 {
        self.fresh_until_ms
            .max(self.revalidate_until_ms)
            .max(self.if_error_until_ms)
    }

    fn find(&self, answer: &Arc<Remembered>, now_ms: u64) -> Found {
        match now_ms {
            now if now < self.fresh_until_ms => Found::Fresh(answer.clone()),
            now if now < self.revalidate_until_ms => Found::Revalidate {
                answer: answer.clone(),
                first: false,
            },
            now if now < self.if_error_until_ms => Found::IfError(answer.clone()),
            _ => Found::Nothing,
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store {{ entries: {}, bytes: {} }}", self.len(), self.bytes())
    }
}

#[derive(Clone, Debug)]
struct Entry {
    answer: Arc<Remembered>,
    life: Life,
    credential: CredentialTag,
    /// Somebody asks anew; milliseconds since the Unix epoch.
    refreshing_until_ms: u64,
}

/// A question that got lost is asked again after this.
const REFRESH_AGAIN_MS: u64 = 2_000;

/// Tells credentials apart, the same in every VM: eight bytes of their SHA-256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CredentialTag(pub u64);

/// Known callers and denials apart, so that whoever brings a million bad credentials displaces nothing
/// but other denials.
pub struct Store {
    known: Entries,
    denied: Entries,
    evictions: u64,
    /// Key, when it was asked, and until when that matters (milliseconds since the Unix epoch).
    denials: VecDeque<(Key, u64, u64)>,
}

/// The longest callout takes 60 s.
const DENIAL_IN_MIND_MS: u64 = 120_000;
/// Looked through for each yes that comes. A stranger's denials push out others', and then a yes that was asked for
/// before one of these may serve for its `ttl`, as it would without a denial.
const DENIALS_IN_MIND: usize = 1024;

type Entries = Cache<Key, Entry, Weight, Spread, DefaultLifecycle<Key, Entry>>;

/// The part of both bounds that denials may take: they live for seconds.
const DENIED_SHARE: usize = 8;

impl Store {
    pub fn new(policy: &CachePolicy) -> Self {
        let entries = |max_entries: usize, max_bytes: usize| {
            let (max_entries, max_bytes) = (max_entries.max(1), max_bytes as u64);
            let least = (max_bytes / max_entries as u64).max(1);
            Cache::with(
                max_entries,
                max_bytes,
                Weight { least },
                Default::default(),
                Default::default(),
            )
        };
        let denied = (policy.max_entries / DENIED_SHARE, policy.max_bytes / DENIED_SHARE);
        Self {
            known: entries(policy.max_entries - denied.0, policy.max_bytes - denied.1),
            denied: entries(denied.0, denied.1),
            denials: VecDeque::new(),
            evictions: 0,
        }
    }

    pub fn find(&mut self, key: &Key, now_ms: u64) -> Found {
        let known = self.known.get(key).map(|entry| entry.life.find(&entry.answer, now_ms));
        match known {
            Some(Found::Revalidate { answer, .. }) => Found::Revalidate {
                first: self.first_to_refresh(key, now_ms),
                answer,
            },
            Some(found @ (Found::Fresh(_) | Found::IfError(_))) => found,
            Some(Found::Nothing) | None => match self.denied.get(key) {
                Some(entry) => entry.life.find(&entry.answer, now_ms),
                None => Found::Nothing,
            },
        }
    }

    fn first_to_refresh(&mut self, key: &Key, now_ms: u64) -> bool {
        let Some(mut entry) = self.known.get_mut(key) else {
            return false;
        };
        let first = entry.refreshing_until_ms <= now_ms;
        if first {
            entry.refreshing_until_ms = now_ms.saturating_add(REFRESH_AGAIN_MS);
        }
        first
    }

    /// What was remembered for the key goes first: a denial ends what a yes began, stale or not.
    pub fn remember(&mut self, key: Key, answer: Arc<Remembered>, life: Life, credential: CredentialTag) {
        self.forget(&key);
        let entries = match *answer {
            Remembered::Known(..) => &mut self.known,
            Remembered::Denied(_) => &mut self.denied,
        };
        let entry = Entry {
            answer,
            life,
            credential,
            refreshing_until_ms: 0,
        };
        let before = entries.len();
        entries.insert(key, entry);
        // One more than before, unless others went.
        self.evictions += (before + 1).saturating_sub(entries.len()) as u64;
    }

    /// Forgets, and keeps in mind for as long as an earlier question may be on its way.
    pub fn deny(&mut self, key: &Key, asked_ms: u64, now_ms: u64) {
        self.forget(key);
        while let Some((_, _, until_ms)) = self.denials.front()
            && (*until_ms <= now_ms || self.denials.len() >= DENIALS_IN_MIND)
        {
            self.denials.pop_front();
        }
        self.denials
            .push_back((*key, asked_ms, now_ms.saturating_add(DENIAL_IN_MIND_MS)));
    }

    pub fn was_denied(&self, key: &Key, asked_ms: u64) -> bool {
        let later = |(denied, at_ms, _): &(Key, u64, u64)| denied == key && *at_ms > asked_ms;
        self.denials.iter().any(later)
    }

    pub fn forget(&mut self, key: &Key) {
        self.known.remove(key);
        self.denied.remove(key);
    }

    pub fn forget_all(&mut self) {
        self.known.clear();
        self.denied.clear();
    }

    /// Drops what `gone` says.
    pub fn forget_if(&mut self, gone: impl Fn(&Remembered, CredentialTag) -> bool) {
        self.known.retain(|_, entry| !gone(&entry.answer, entry.credential));
        self.denied.retain(|_, entry| !gone(&entry.answer, entry.credential));
    }

    pub fn len(&self) -> usize {
        self.known.len() + self.denied.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many went, or were not kept, because there was no room.
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    pub fn bytes(&self) -> u64 {
        self.known.weight() + self.denied.weight()
    }
}

/// An entry weighs its bytes, and at least its share of `max_bytes`, so that one weight bounds both.
#[derive(Clone, Debug)]
struct Weight {
    least: u64,
}

impl Weighter<Key, Entry> for Weight {
    fn weight(&self, _: &Key, entry: &Entry) -> u64 {
        (entry.answer.bytes() as u64).max(self.least)
    }
}

/// What an entry costs beside the bytes of its texts: key, entry, table and the allocator's share.
const ENTRY_BYTES: usize = 200;
const TEXT_BYTES: usize = 24;

impl Remembered {
    /// About what it takes of memory.
    pub fn bytes(&self) -> usize {
        let text = |text: &str| text.len() + TEXT_BYTES;
        let pairs = |pairs: &[(Vec<u8>, Vec<u8>)]| -> usize {
            pairs
                .iter()
                .map(|(name, value)| name.len() + value.len() + 2 * TEXT_BYTES)
                .sum()
        };
        ENTRY_BYTES
            + match self {
                Self::Known(principal, accepted) => {
                    let lists = principal
                        .groups
                        .iter()
                        .chain(&principal.scopes)
                        .map(|element| text(element));
                    let claims = principal
                        .claims
                        .iter()
                        .map(|(name, claim)| text(name) + claim_bytes(claim));
                    text(&principal.subject)
                        + lists.sum::<usize>()
                        + claims.sum::<usize>()
                        + pairs(&accepted.set)
                        + pairs(&accepted.append)
                        + pairs(&accepted.to_client)
                        + pairs(accepted.identity.as_deref().unwrap_or_default())
                        + accepted
                            .remove
                            .iter()
                            .map(|name| name.len() + TEXT_BYTES)
                            .sum::<usize>()
                }
                Self::Denied(denial) => pairs(&denial.headers) + denial.body.as_ref().map_or(0, Vec::len),
            }
    }
}

fn claim_bytes(claim: &Claim) -> usize {
    match claim {
        Claim::Scalar(text) => text.len() + TEXT_BYTES,
        Claim::List(elements) => elements.iter().map(|element| element.len() + TEXT_BYTES).sum(),
        Claim::Object(members) => members
            .iter()
            .map(|(name, claim)| name.len() + TEXT_BYTES + claim_bytes(claim))
            .sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: CredentialTag = CredentialTag(0);
    const NOW: u64 = 1_800_000_000_000;

    fn policy(max_entries: usize, max_bytes: usize) -> CachePolicy {
        CachePolicy {
            ttl: Duration::from_secs(30),
            denied_ttl: Some(Duration::from_secs(2)),
            stale_if_error: Duration::from_secs(300),
            stale_while_revalidate: Duration::from_secs(10),
            ignored: Ignored::nothing(),
            max_entries,
            max_bytes,
            max_waiting: 0,
            refuse_when_full: false,
            shared: None,
        }
    }

    fn answer(subject: &str) -> Arc<Remembered> {
        let principal = Principal {
            subject: subject.to_owned(),
            ..Principal::nobody()
        };
        Arc::new(Remembered::Known(Arc::new(principal), Accepted::default()))
    }

    fn key(text: &str) -> Key {
        let mut hasher = KeyHasher::new(Seed(1, 2));
        hasher.part(text.as_bytes());
        hasher.finish()
    }

    #[test]
    fn an_answer_ages() {
        let policy = policy(10, 1 << 20);
        let mut store = Store::new(&policy);
        store.remember(
            key("a"),
            answer("a"),
            Life::new(&policy, policy.ttl, true, None, NOW),
            TAG,
        );
        let mut found = |after_s: u64| match store.find(&key("a"), NOW + after_s * 1000) {
            Found::Fresh(_) => "fresh",
            Found::Revalidate { .. } => "revalidate",
            Found::IfError(_) => "if error",
            Found::Nothing => "nothing",
        };
        assert_eq!(
            [29, 30, 39, 40, 329, 330].map(&mut found),
            ["fresh", "revalidate", "revalidate", "if error", "if error", "nothing",]
        );
    }

    #[test]
    fn nothing_outlives_the_credential() {
        let life = Life::new(
            &policy(10, 1 << 20),
            Duration::from_secs(30),
            true,
            Some(NOW + 5_000),
            NOW,
        );
        assert_eq!(
            (life.fresh_until_ms, life.if_error_until_ms),
            (NOW + 5_000, NOW + 5_000)
        );
        let life = Life::new(&policy(10, 1 << 20), Duration::from_secs(30), false, None, NOW);
        assert_eq!(life.if_error_until_ms, NOW + 30_000);
    }

    #[test]
    fn bounded_by_entries_and_by_bytes() {
        for (policy, most) in [(policy(100, 1 << 20), 88), (policy(10_000, 40_000), 160)] {
            let mut store = Store::new(&policy);
            for n in 0..5_000 {
                store.remember(
                    key(&n.to_string()),
                    answer("somebody"),
                    Life::new(&policy, policy.ttl, true, None, NOW),
                    TAG,
                );
            }
            assert!(store.len() <= most && store.len() * 2 > most, "{store:?}");
            assert_eq!(store.evictions(), 5_000 - store.len() as u64);
            assert!(store.bytes() <= policy.max_bytes as u64);
        }
    }

    /// A million requests that come once, between those of a thousand callers who come again: the
    /// share of the latter that is remembered, in percent.
    fn hit_rate_in_a_flood(once: impl Fn() -> Arc<Remembered>) -> u64 {
        let policy = policy(10_000, 64 << 20);
        let mut store = Store::new(&policy);
        let life = Life::new(&policy, policy.ttl, true, None, NOW);
        let (mut asked, mut hit) = (0, 0);
        for n in 0..1_000_000_u32 {
            if n % 10 == 0 {
                let good = key(&format!("good {}", (n / 10) % 1000));
                asked += 1;
                match store.find(&good, NOW) {
                    Found::Fresh(_) => hit += 1,
                    _ => store.remember(good, answer("good"), life, TAG),
                }
            }
            store.remember(key(&format!("once {n}")), once(), life, TAG);
        }
        hit * 100 / asked
    }

    #[test]
    fn a_flood_does_not_empty_it() {
        let denial = || {
            Arc::new(Remembered::Denied(ServiceDenial {
                status: 401,
                headers: vec![],
                body: None,
            }))
        };
        assert_eq!(hit_rate_in_a_flood(denial), 99, "all but the first of each");
        let known = hit_rate_in_a_flood(|| answer("one of many paths"));
        assert!(known >= 70, "{known} %");
    }

    #[test]
    fn forgotten() {
        let policy = policy(10, 1 << 20);
        let mut store = Store::new(&policy);
        for name in ["a", "b", "c"] {
            store.remember(
                key(name),
                answer(name),
                Life::new(&policy, policy.ttl, true, None, NOW),
                TAG,
            );
        }
        store.forget(&key("a"));
        store.forget_if(|answer, _| matches!(answer, Remembered::Known(principal, _) if principal.subject == "b"));
        assert!(matches!(store.find(&key("a"), NOW), Found::Nothing));
        assert!(matches!(store.find(&key("b"), NOW), Found::Nothing));
        assert!(matches!(store.find(&key("c"), NOW), Found::Fresh(_)));
        store.forget_all();
        assert!(store.is_empty());
    }

    #[test]
    fn boundaries_of_parts_count() {
        let of = |parts: &[&str]| {
            let mut hasher = KeyHasher::new(Seed(1, 2));
            parts.iter().for_each(|part| hasher.part(part.as_bytes()));
            hasher.finish()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a"]), of(&["a", ""]));
    }
}

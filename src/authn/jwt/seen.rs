//! Tokens that came before, so that their signatures are checked once.

use super::{TokenFault, Verified};
use crate::cache::{Seed, Spread};
use quick_cache::UnitWeighter;
use quick_cache::unsync::Cache;
use quick_cache::unsync::DefaultLifecycle;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// How long a refusal is remembered: it stops a client that repeats one bad token, and outlives what caused it by
/// no more than an operator notices.
pub const NEGATIVE_TTL: Duration = Duration::from_secs(5);

/// Refusals remembered at once; strangers make them, so there are few and they are small.
const NEGATIVE_ENTRIES: usize = 1024;

/// The verdicts of one authenticator. Refusals have a room of their own: a stranger's tokens push out none that
/// hold.
pub struct Seen {
    good: Verdicts,
    bad: Verdicts,
}

/// Both rooms are of one type: a cache is 10 KB of code for each.
type Verdicts = Cache<TokenId, Result<Arc<Verified>, Refused>, UnitWeighter, Spread>;

#[derive(Clone, Copy)]
struct Refused {
    fault: TokenFault,
    at: Duration,
}

/// Stands for a whole token. Under a key that no caller knows, two tokens of one id are as likely as guessing 128
/// bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenId {
    hash: u128,
    length: usize,
}

impl TokenId {
    pub fn of(token: &[u8], seed: Seed) -> Self {
        let mut hasher = SipHasher13::new_with_keys(seed.0, seed.1);
        hasher.write(token);
        Self {
            hash: hasher.finish128().as_u128(),
            length: token.len(),
        }
    }
}

impl Seen {
    /// `max_entries`: tokens that hold; each keeps the caller's claims, up to
    /// 16 KiB.
    pub fn new(max_entries: usize) -> Self {
        Self {
            good: room(max_entries.max(1)),
            bad: room(NEGATIVE_ENTRIES),
        }
    }

    /// What was found, as far as it is still so: a token that holds is asked for its times again, with the same
    /// clock skew as when it was checked.
    pub fn get(&self, id: &TokenId, now: Duration) -> Option<Result<Arc<Verified>, TokenFault>> {
        match self.good.get(id).or_else(|| self.bad.get(id))? {
            Ok(verified) => verified.window.contains(now).then(|| Ok(verified.clone())),
            Err(refused) => {
                // A clock that was set back must not prolong it.
                let age = now.checked_sub(refused.at)?;
                (age < NEGATIVE_TTL).then_some(Err(refused.fault))
            }
        }
    }

    /// What may change by itself is not remembered.
    pub fn remember(&mut self, id: TokenId, verdict: &Result<Arc<Verified>, TokenFault>, now: Duration) {
        match verdict {
            Ok(verified) => {
                self.bad.remove(&id);
                self.good.insert(id, Ok(verified.clone()));
            }
            Err(fault) => {
                self.good.remove(&id);
                if fault.is_lasting() {
                    self.bad.insert(id, Err(Refused { fault: *fault, at: now }));
                }
            }
        }
    }

    /// The keys, or what is asked of tokens, have changed.
    pub fn clear(&mut self) {
        self.good.clear();
        self.bad.clear();
    }

    pub fn len(&self) -> usize {
        self.good.len() + self.bad.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seen {{ good: {}, bad: {} }}", self.good.len(), self.bad.len())
    }
}

fn room(entries: usize) -> Verdicts {
    Cache::with(
        entries,
        entries as u64,
        UnitWeighter,
        Spread,
        DefaultLifecycle::default(),
    )
}

impl Hash for TokenId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash as u64);
    }
}

#[cfg(test)]
mod tests;

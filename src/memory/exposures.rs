//! Exposures that were told of late: one of a caller is told once in its window, by one worker.

use crate::cache::{Key, Refused, SharedStore};
use crate::rate_limit::TRIES;
use crate::time::UnixTime;
use std::time::Duration;

/// Of one worker, 1 MiB from the first exposure on: what no longer has a place is looked up where all workers share.
const SETS: usize = 16_384;
const WAYS: usize = 4;

/// 131,072 exposures and at most 1.6 MB a proxy. Past that the one that would end first is told again.
const SHARED_SLOTS: u64 = 4_096;
const SHARED_ENTRIES: usize = 32;
const ENTRY_BYTES: usize = 12;

#[derive(Debug, Default)]
pub struct Exposures {
    /// `SETS` times `WAYS`, or nothing yet.
    told: Vec<Told>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Told {
    tag: u64,
    /// Seconds of Unix time; 0: nothing.
    until_s: u32,
}

impl Told {
    /// A clock that was set back must not silence it for longer than a window.
    fn stands(self, tag: u64, now_s: u32, window_s: u32) -> bool {
        self.tag == tag && self.until_s > now_s && self.until_s <= now_s.saturating_add(window_s)
    }
}

impl Exposures {
    /// Whether it is the first of its window. It is told from now on, so ask for what is really told. `near`: what this
    /// worker knows it by; `key`: what all do, made where this one does not know it.
    pub fn first(
        &mut self,
        near: (u64, u64),
        key: &dyn Fn() -> Key,
        window: Duration,
        store: &dyn SharedStore,
        now: UnixTime,
    ) -> bool {
        let short = |seconds: u64| u32::try_from(seconds).unwrap_or(u32::MAX);
        let (now_s, window_s) = (short(now.as_secs()), short(window.as_secs()));
        let (place, tag) = near;
        if self.told.is_empty() {
            self.told.resize(SETS * WAYS, Told::default());
        }
        let from = (place % SETS as u64) as usize * WAYS;
        let Some(set) = self.told.get_mut(from..from + WAYS) else {
            return true;
        };
        if set.iter().any(|told| told.stands(tag, now_s, window_s)) {
            return false;
        }
        let until_s = now_s.saturating_add(window_s);
        let (place, shared_tag) = key().halves();
        let mine = Told {
            tag: shared_tag,
            until_s,
        };
        let others = shared(place, mine, now_s, window_s, store);
        if let Some(oldest) = set.iter_mut().min_by_key(|told| told.until_s) {
            *oldest = Told {
                tag,
                until_s: others.map_or(until_s, |others| others.until_s),
            };
        }
        others.is_none()
    }
}

/// What another worker told already. In doubt nothing: twice is better than never.
fn shared(place: u64, mine: Told, now_s: u32, window_s: u32, store: &dyn SharedStore) -> Option<Told> {
    let mut slot = String::from("meshgate.exposed.");
    slot.push_str(&(place % SHARED_SLOTS).to_string());
    for _ in 0..TRIES {
        let Ok((bytes, version)) = store.versioned(&slot) else {
            return None;
        };
        let mut told: Vec<Told> = bytes
            .chunks_exact(ENTRY_BYTES)
            .take(SHARED_ENTRIES)
            .filter_map(read)
            .collect();
        if let Some(other) = told.iter().find(|other| other.stands(mine.tag, now_s, window_s)) {
            return Some(*other);
        }
        told.retain(|other| other.until_s > now_s);
        let full = told.len() >= SHARED_ENTRIES;
        match told.iter_mut().min_by_key(|other| other.until_s).filter(|_| full) {
            Some(oldest) => *oldest = mine,
            None => told.push(mine),
        }
        let bytes: Vec<u8> = told.into_iter().flat_map(written).collect();
        match store.replace(&slot, &bytes, version) {
            Ok(false) => {}
            Ok(true) | Err(Refused) => return None,
        }
    }
    None
}

fn read(bytes: &[u8]) -> Option<Told> {
    let (tag, until_s) = bytes.split_first_chunk()?;
    Some(Told {
        tag: u64::from_le_bytes(*tag),
        until_s: u32::from_le_bytes(*until_s.first_chunk()?),
    })
}

fn written(told: Told) -> impl Iterator<Item = u8> {
    told.tag.to_le_bytes().into_iter().chain(told.until_s.to_le_bytes())
}

//! The buckets of all limits: slots of the store that the workers of a proxy share. That store neither lists nor
//! reliably deletes, so each limit has a fixed number of slots, and whoever finds no place in its own shares one bucket
//! with all others who find none.

use super::slot::Slot;
use super::{Plan, RateLimit, Short};
use crate::cache::{Key, NoStore, Refused, Seed, SharedStore, Version};
use std::sync::Arc;

/// 32,768 callers at once whose buckets are not full, and at worst, every slot full, 1.3 MiB a limit and proxy.
pub const SLOTS: u64 = 4_096;

/// Each time one is lost, another worker took from the same slot. Between reading and writing lies a microsecond, so
/// with sixteen workers that do nothing else one in five is lost, and all of these one in 10^11.
pub const TRIES: usize = 16;

const SEED_SLOT: &str = "meshgate.rate.seed";

/// A bucket that is to be taken from.
pub struct Draw<'a> {
    pub limit: &'a RateLimit,
    /// None: what the limit goes by is not there, and all such callers share one bucket.
    pub key: Option<Key>,
    pub plan: Plan,
}

/// What is told of requests that had room everywhere: the limits whose overflow bucket was taken from.
pub type Taken = Vec<Arc<str>>;

/// There was no room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    pub limit: Arc<str>,
    /// What the bucket holds when it is full.
    pub burst: u64,
    pub retry_after_ns: u64,
    pub full_ns: u64,
    /// The limits whose overflow bucket was looked at.
    pub overflowed: Taken,
}

/// How one VM gets at the buckets.
#[derive(Debug, Default)]
pub struct Buckets {
    seed: Seed,
    /// In place of slots that the proxy refuses: the limit then holds for this worker. Sorted; as bounded as the others.
    own: Vec<(String, Vec<u8>)>,
}

/// What a slot will hold.
struct Drawn {
    slot: String,
    bytes: Vec<u8>,
    /// None: the proxy refuses, and it is one of our own.
    version: Option<Version>,
}

/// Where and when buckets are taken from.
#[derive(Clone, Copy)]
pub struct At<'a> {
    pub store: &'a dyn SharedStore,
    pub now_ns: u64,
    /// Of rules that only say what they would do: buckets of their own.
    pub shadow: bool,
}

impl Buckets {
    /// All workers address buckets by one seed, the first one's. A stranger does not know it, and so cannot aim at the
    /// slot of another.
    pub fn shared(store: &dyn SharedStore, own: Seed) -> Self {
        let seed = (0..TRIES).find_map(|_| match store.versioned(SEED_SLOT) {
            Err(Refused) => Some(own),
            Ok((bytes, version)) => read_seed(&bytes).or_else(|| {
                let bytes = [own.0.to_le_bytes(), own.1.to_le_bytes()].concat();
                match store.replace(SEED_SLOT, &bytes, version) {
                    Ok(true) | Err(Refused) => Some(own),
                    Ok(false) => None,
                }
            }),
        });
        Self {
            seed: seed.unwrap_or(own),
            own: Vec::new(),
        }
    }

    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// Takes one from each, or nothing: all are looked at before the first is taken from. Only a worker that was
    /// quicker in between can make it some.
    pub fn take(&mut self, draws: &[Draw], at: At) -> Result<Taken, Limited> {
        let mut taken = Taken::new();
        let mut ready = Vec::with_capacity(draws.len());
        for draw in draws {
            ready.push(self.draw(draw, at, &mut taken)?);
        }
        for (draw, drawn) in draws.iter().zip(ready) {
            self.put_or_draw_again(draw, drawn, at, &mut taken)?;
        }
        Ok(taken)
    }

    fn put_or_draw_again(
        &mut self,
        draw: &Draw,
        mut drawn: Drawn,
        mut at: At,
        taken: &mut Taken,
    ) -> Result<(), Limited> {
        for _ in 0..TRIES {
            match self.put(drawn, at.store) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                // What it does not take it must not be asked about.
                Err(Refused) => at.store = &NoStore,
            }
            drawn = self.draw(draw, at, &mut Taken::new())?;
        }
        // So many take from it at once that it is as good as empty.
        Err(limited(draw, draw.plan.emptied(), taken))
    }

    fn draw(&mut self, draw: &Draw, at: At, taken: &mut Taken) -> Result<Drawn, Limited> {
        let (home, tag) = match draw.key.map(|key| key.halves()) {
            Some((slot, tag)) => (&*(slot % SLOTS).to_string(), tag),
            None => ("none", 0),
        };
        let drawn = match self.draw_from(home, tag, draw, at) {
            Some(drawn) => drawn,
            None => {
                taken.push(draw.limit.name.clone());
                let rest = self.draw_from("rest", 0, draw, at);
                rest.unwrap_or(Err(draw.plan.emptied()))
            }
        };
        drawn.map_err(|short| limited(draw, short, taken))
    }

    /// None: no place in this slot.
    fn draw_from(&mut self, slot: &str, tag: u64, draw: &Draw, at: At) -> Option<Result<Drawn, Short>> {
        let slot = slot_name(draw.limit, slot, at.shadow);
        let (bytes, version) = match at.store.versioned(&slot) {
            Ok((bytes, version)) => (bytes, Some(version)),
            Err(Refused) => (self.own(&slot), None),
        };
        let mut buckets = Slot::read(bytes, at.now_ns, draw.limit.longest_ns());
        let place = buckets.find(tag, at.now_ns);
        let taken = place.map(|place| draw.plan.take(place.full_at_ns, at.now_ns));
        if let (Some(place), Some(Ok(full_at_ns))) = (place, taken) {
            buckets.set(place, full_at_ns);
        }
        let mended = buckets.mended;
        let drawn = Drawn {
            slot,
            bytes: buckets.bytes,
            version,
        };
        match taken {
            Some(Ok(_)) => Some(Ok(drawn)),
            short => {
                if mended {
                    // Whoever was quicker has put it right as well.
                    let _ = self.put(drawn, at.store);
                }
                short.and_then(Result::err).map(Err)
            }
        }
    }

    /// False: another was quicker.
    fn put(&mut self, drawn: Drawn, store: &dyn SharedStore) -> Result<bool, Refused> {
        if let Some(version) = drawn.version {
            return store.replace(&drawn.slot, &drawn.bytes, version);
        }
        match self.own.binary_search_by(|(slot, _)| slot.cmp(&drawn.slot)) {
            Ok(at) => {
                if let Some((_, bytes)) = self.own.get_mut(at) {
                    *bytes = drawn.bytes;
                }
            }
            Err(at) => self.own.insert(at, (drawn.slot, drawn.bytes)),
        }
        Ok(true)
    }

    fn own(&self, slot: &str) -> Vec<u8> {
        let at = self.own.binary_search_by(|(other, _)| (**other).cmp(slot));
        let there = at.ok().and_then(|at| self.own.get(at));
        there.map_or_else(Vec::new, |(_, bytes)| bytes.clone())
    }
}

fn limited(draw: &Draw, short: Short, overflowed: &mut Taken) -> Limited {
    Limited {
        limit: draw.limit.name.clone(),
        burst: draw.plan.burst(),
        retry_after_ns: short.wait_ns,
        full_ns: short.full_ns,
        overflowed: std::mem::take(overflowed),
    }
}

/// Names of limits hold no dot.
fn slot_name(limit: &RateLimit, slot: &str, shadow: bool) -> String {
    let mut name = String::with_capacity(64);
    name.push_str(if shadow {
        "meshgate.shadow-rate."
    } else {
        "meshgate.rate."
    });
    name.push_str(&limit.name);
    name.push('.');
    name.push_str(slot);
    name
}

fn read_seed(bytes: &[u8]) -> Option<Seed> {
    let (one, other) = bytes.split_first_chunk()?;
    let (other, []) = other.split_first_chunk()? else {
        return None;
    };
    Some(Seed(u64::from_le_bytes(*one), u64::from_le_bytes(*other)))
}

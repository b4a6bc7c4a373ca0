//! What an answer is remembered by: a keyed hash of everything the service was sent.

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::{BuildHasher, Hash, Hasher};

/// 128 bits of SipHash under a key that only this VM knows, and the length of what was hashed: a
/// caller can neither aim at another's entry nor learn a credential from ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    hash: (u64, u64),
    len: u64,
}

impl Key {
    /// Of the hash, each as random as the other.
    pub fn halves(&self) -> (u64, u64) {
        self.hash
    }
}

/// Random, made once in each VM.
#[derive(Clone, Copy, Default)]
pub struct Seed(pub u64, pub u64);

/// Not shown: who knows it can aim.
impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed")
    }
}

/// Hashes parts so that their boundaries count: `ab`,`c` is not `a`,`bc`.
pub struct KeyHasher {
    hasher: SipHasher13,
    len: u64,
}

impl KeyHasher {
    pub fn new(seed: Seed) -> Self {
        Self {
            hasher: SipHasher13::new_with_keys(seed.0, seed.1),
            len: 0,
        }
    }

    pub fn part(&mut self, bytes: &[u8]) {
        self.hasher.write_u64(bytes.len() as u64);
        self.hasher.write(bytes);
        self.len = self.len.wrapping_add(bytes.len() as u64 + 8);
    }

    pub fn finish(&self) -> Key {
        Key {
            hash: self.hasher.finish128().as_u64(),
            len: self.len,
        }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash.0);
    }
}

/// For tables of what is a keyed hash already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spread;

pub struct Through(u64);

impl BuildHasher for Spread {
    type Hasher = Through;

    fn build_hasher(&self) -> Through {
        Through(0)
    }
}

impl Hasher for Through {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

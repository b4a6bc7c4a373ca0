//! A hash for keys of the policy. Requests only look such keys up, so a caller who makes two texts hash
//! alike gains nothing, and the standard library's keyed hash costs more than all the rest of a look-up.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

pub type PolicyMap<K, V> = HashMap<K, V, BuildHasherDefault<WordHasher>>;

/// As FNV-1a, eight bytes at a step. A product's low bits know nothing of its factor's high ones, and a table
/// reads the low: so the high are folded down, and once more at the end, where a text's last byte stands high.
#[derive(Clone, Debug)]
pub struct WordHasher(u64);

impl WordHasher {
    fn step(&mut self, word: u64) {
        self.0 = folded(self.0 ^ word);
    }
}

fn folded(factor: u64) -> u64 {
    let product = factor.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ (product >> 32)
}

impl Default for WordHasher {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.step(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            self.step(rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        }
    }

    /// What ends a `str`.
    fn write_u8(&mut self, byte: u8) {
        self.step(u64::from(byte));
    }

    /// The length of a list, before its items.
    fn write_usize(&mut self, number: usize) {
        self.step(number as u64);
    }

    fn finish(&self) -> u64 {
        folded(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::hash::BuildHasher;

    /// Names as a policy counts them up: a table of twice as many places has to spread them.
    #[test]
    fn like_texts_are_spread() {
        let all = BuildHasherDefault::<WordHasher>::default();
        let names: [fn(u64) -> String; 4] = [
            |n| format!("service-{n}"),
            |n| format!("team-{n}.example.com"),
            |n| format!("{n:08}"),
            |n| format!("{n:x}"),
        ];
        for name in names {
            let hashes = (0..4096).map(|n| all.hash_one(name(n).as_bytes()));
            // At random it would be 8192 * (1 - exp(-1/2)) = 3223. In a module bits 25 to 31 are looked at as well.
            for shift in [0, 19] {
                let places: BTreeSet<u64> = hashes.clone().map(|hash| hash >> shift & 0x1fff).collect();
                assert!(places.len() > 3000, "{} >> {shift}: {}", name(0), places.len());
            }
        }
    }
}

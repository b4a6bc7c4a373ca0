//! Where a unit stands, by the hashes of experiment SDKs.

/// From a unit to a number from 0.0 (inclusive) to 1.0 (exclusive).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hash {
    /// GrowthBook's `hashVersion: 1`: 1,000 places.
    GrowthBookV1,
    /// GrowthBook's `hashVersion: 2`: 10,000 places.
    #[default]
    GrowthBookV2,
    /// Unleash's, for both its rollout and its variants.
    Murmur3,
}

/// Unleash's own numbers.
pub mod unleash {
    pub const ROLLOUT_SEED: u32 = 0;
    pub const ROLLOUT_PLACES: u32 = 100;
    pub const VARIANT_SEED: u32 = 86_028_157;
    /// Weights of an Unleash toggle add up to this.
    pub const VARIANT_PLACES: u32 = 1000;

    /// 1 to `places`, as Unleash counts.
    pub fn place(group: &str, unit: &[u8], seed: u32, places: u32) -> u32 {
        let mut text = Vec::with_capacity(group.len() + 1 + unit.len());
        for piece in [group.as_bytes(), b":", unit] {
            // The low half of each code unit, as murmurhash3js has it.
            super::units(piece, (), |(), unit| text.push(unit as u8));
        }
        super::murmur3(&text, seed) % places.max(1) + 1
    }
}

/// GrowthBook's `hash(seed, value, 1)`, in thousandths.
pub fn growthbook_v1(seed: &str, unit: &[u8]) -> u32 {
    fnv1a([unit, seed.as_bytes()]) % 1000
}

/// GrowthBook's `hash(seed, value, 2)`, in ten-thousandths.
pub fn growthbook_v2(seed: &str, unit: &[u8]) -> u32 {
    let mut digits = [0_u8; 10];
    fnv1a([decimal(fnv1a([seed.as_bytes(), unit]), &mut digits), b""]) % 10_000
}

/// FNV-1a of 32 bits over the code units of all pieces.
fn fnv1a(pieces: [&[u8]; 2]) -> u32 {
    let step = |hash: u32, unit: u16| (hash ^ u32::from(unit)).wrapping_mul(0x0100_0193);
    pieces
        .into_iter()
        .fold(0x811c_9dc5, |hash, piece| units(piece, hash, step))
}

/// Over what JavaScript's `charCodeAt` tells of a text: code units of UTF-16. Bytes that are no UTF-8 are told as they
/// are, which is how node reads headers (ISO-8859-1).
fn units<T>(text: &[u8], start: T, mut step: impl FnMut(T, u16) -> T) -> T {
    // Most units and seeds, and each byte of them is a code unit.
    if text.is_ascii() {
        return text.iter().fold(start, |state, byte| step(state, u16::from(*byte)));
    }
    match std::str::from_utf8(text) {
        Ok(text) => text.encode_utf16().fold(start, step),
        Err(_) => text.iter().fold(start, |state, byte| step(state, u16::from(*byte))),
    }
}

fn decimal(mut number: u32, digits: &mut [u8; 10]) -> &[u8] {
    let mut length = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        length += 1;
        if number == 0 {
            break;
        }
    }
    digits.get(digits.len() - length..).unwrap_or_default()
}

/// MurmurHash3, the variant for x86 with 32 bits.
pub fn murmur3(bytes: &[u8], seed: u32) -> u32 {
    const C1: u32 = 0xcc9e_2d51;
    const C2: u32 = 0x1b87_3593;
    let mixed = |word: u32| word.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2);
    let words = bytes.chunks_exact(4);
    let tail = words.remainder();
    let word = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
    };
    let mut hash = words.fold(seed, |hash, bytes| {
        (hash ^ mixed(word(bytes)))
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xe654_6b64)
    });
    if !tail.is_empty() {
        hash ^= mixed(word(tail));
    }
    hash ^= bytes.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published test vectors of MurmurHash3_x86_32.
    #[test]
    fn murmur3_as_published() {
        for (text, seed, hash) in [
            ("", 0, 0),
            ("", 1, 0x514e_28b7),
            ("test", 0, 0xba6b_d213),
            ("Hello, world!", 0, 0xc036_3e43),
            ("The quick brown fox jumps over the lazy dog", 0, 0x2e4f_f723),
        ] {
            assert_eq!(murmur3(text.as_bytes(), seed), hash, "{text:?} {seed}");
        }
    }

    #[test]
    fn numbers_are_written_as_they_are_said() {
        for number in [0, 7, 10, 4_294_967_295] {
            assert_eq!(decimal(number, &mut [0; 10]), number.to_string().as_bytes());
        }
    }
}

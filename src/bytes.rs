//! Looking through bytes that callers send.

/// Where `byte` stands first, eight bytes at a look.
pub fn find(byte: u8, bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let differs = u64::from_le_bytes(*word) ^ (ONES * u64::from(byte));
        // The high bit of the lowest byte that is zero, and of none below it.
        let equal = differs.wrapping_sub(ONES) & !differs & (ONES << 7);
        if equal != 0 {
            return Some(at * 8 + equal.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|other| *other == byte)?;
    Some(words.len() * 8 + at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_byte_is_found_where_it_stands_first(bytes: Vec<u8>, byte: u8, near in 0..3u8) {
            let bytes: Vec<u8> = match near {
                0 => bytes,
                // Few other bytes, and those that differ from it in the lowest or highest bit alone.
                _ => bytes.iter().map(|b| byte ^ [1, 0x80, 0xff, 2, 3, 1, 0x80, 0][usize::from(b % 8)]).collect(),
            };
            prop_assert_eq!(find(byte, &bytes), bytes.iter().position(|other| *other == byte));
        }
    }
}

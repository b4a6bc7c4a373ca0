//! Whether a point is on P-384 (FIPS 186-4 appendix D.1.2.4): all of the curve that is computed here.

use rsa::BigUint;

/// 2^384 - 2^128 - 2^96 + 2^32 - 1
const PRIME: [u8; 48] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff,
];
const B: [u8; 48] = [
    0xb3, 0x31, 0x2f, 0xa7, 0xe2, 0x3e, 0xe7, 0xe4, 0x98, 0x8e, 0x05, 0x6b, 0xe3, 0xf8, 0x2d, 0x19, 0x18, 0x1d, 0x9c,
    0x6e, 0xfe, 0x81, 0x41, 0x12, 0x03, 0x14, 0x08, 0x8f, 0x50, 0x13, 0x87, 0x5a, 0xc6, 0x56, 0x39, 0x8d, 0x8a, 0x2e,
    0xd1, 0x9d, 0x2a, 0x85, 0xc8, 0xed, 0xd3, 0xec, 0x2a, 0xef,
];

/// y² = x³ - 3x + b modulo the prime, both coordinates below it.
pub fn is_on_curve(x: &[u8], y: &[u8]) -> bool {
    let number = BigUint::from_bytes_be;
    let (prime, b, x, y) = (number(&PRIME), number(&B), number(x), number(y));
    // 3x moves to the other side, since these numbers have no sign.
    x < prime && y < prime && (&y * &y + &x * 3u32) % &prime == (&x * &x * &x + b) % &prime
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agrees(x: &[u8], y: &[u8]) -> bool {
        let point = [&[4], x, y].concat();
        let on_curve = is_on_curve(x, y);
        assert_eq!(on_curve, p384::PublicKey::from_sec1_bytes(&point).is_ok());
        on_curve
    }

    #[test]
    fn edges() {
        assert!(!agrees(&[0; 48], &[0; 48]));
        assert!(!agrees(&PRIME, &PRIME));
        assert!(!agrees(&[0xff; 48], &[0xff; 48]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn as_another_says(secret in proptest::collection::vec(1u8.., 48), bit in 0usize..768) {
            let secret = p384::SecretKey::from_slice(&[&[1], &secret[1..]].concat()).expect("below the order");
            let point = p384::EncodedPoint::from(secret.public_key());
            let mut bytes = [&point.x().expect("x")[..], &point.y().expect("y")[..]].concat();
            prop_assert!(agrees(&bytes[..48], &bytes[48..]));
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!agrees(&bytes[..48], &bytes[48..]));
        }
    }
}

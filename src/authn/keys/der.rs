//! As much DER (X.690) as public keys and ECDSA signatures need, written only.

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// `AlgorithmIdentifier` of rsaEncryption with its NULL (RFC 3279 section 2.3.1).
const RSA: [u8; 15] = [
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// SubjectPublicKeyInfo of an RSA key; both numbers big-endian.
pub fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let key = integers(modulus, exponent);
    element(SEQUENCE, &[&RSA, &element(BIT_STRING, &[&[0], &key])])
}

/// SubjectPublicKeyInfo of an EC key: `algorithm` is its whole `AlgorithmIdentifier`, `point` uncompressed.
pub fn ec_spki(algorithm: &[u8], point: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[algorithm, &element(BIT_STRING, &[&[0], point])])
}

/// A SEQUENCE of two: RSAPublicKey, Ecdsa-Sig-Value.
pub fn integers(first: &[u8], second: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[&integer(first), &integer(second)])
}

/// Unsigned, big-endian: a set top bit would be a sign.
fn integer(number: &[u8]) -> Vec<u8> {
    let number = strip_zeros(number);
    match number.first() {
        Some(0..=0x7f) => element(INTEGER, &[number]),
        _ => element(INTEGER, &[&[0], number]),
    }
}

pub fn strip_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let bytes = length.to_be_bytes();
    let significant = strip_zeros(&bytes);
    let mut out = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            out.push(0x80 | significant.len() as u8);
            out.extend_from_slice(significant);
        }
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(integer(&[0, 0, 1]), [2, 1, 1]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0x7f, 0xff]), [2, 2, 0x7f, 0xff]);
        assert_eq!(integer(&[]), [2, 1, 0]);
    }

    #[test]
    fn lengths() {
        assert_eq!(element(4, &[&[7; 127]]).get(..2), Some(&[4, 127][..]));
        assert_eq!(element(4, &[&[7; 128]]).get(..3), Some(&[4, 0x81, 128][..]));
        assert_eq!(element(4, &[&[7; 256]]).get(..4), Some(&[4, 0x82, 1, 0][..]));
    }
}

//! ECDSA signatures as tokens write them (RFC 7518 section 3.4) and as the proxy reads them.

use super::der;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    P256,
    P384,
}

/// The order of the base point (FIPS 186-4 appendix D.1.2).
const N256: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
const N384: [u8; 48] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0,
    0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
];

/// `AlgorithmIdentifier` of id-ecPublicKey with the curve's name (RFC 5480 section 2.1.1).
const P256_ID: [u8; 21] = [
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03,
    0x01, 0x07,
];
const P384_ID: [u8; 18] = [
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22,
];

impl Curve {
    /// Bytes of a coordinate, and of each half of a signature.
    pub fn bytes(self) -> usize {
        self.order().len()
    }

    pub fn spki(self, point: &[u8]) -> Vec<u8> {
        let id: &[u8] = match self {
            Self::P256 => &P256_ID,
            Self::P384 => &P384_ID,
        };
        der::ec_spki(id, point)
    }

    fn order(self) -> &'static [u8] {
        match self {
            Self::P256 => &N256,
            Self::P384 => &N384,
        }
    }
}

/// `signature`: r and s side by side. None where it is no signature at all: another length, or a half that is zero
/// or not below the order. A library that took r = s = 0 would take it for any message (CVE-2022-21449).
pub fn to_der(curve: Curve, signature: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = signature.split_at_checked(curve.bytes())?;
    let holds = |half: &[u8]| {
        // Equal lengths: comparing bytes compares numbers.
        half.len() == curve.bytes() && half < curve.order() && half.iter().any(|byte| *byte != 0)
    };
    (holds(r) && holds(s)).then(|| der::integers(r, s))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(curve: Curve, r: &[u8], s: &[u8]) -> Option<Vec<u8>> {
        assert_eq!(r.len(), curve.bytes());
        to_der(curve, &[r, s].concat())
    }

    #[test]
    fn halves_are_between_zero_and_the_order() {
        for curve in [Curve::P256, Curve::P384] {
            let zero = vec![0; curve.bytes()];
            let order = curve.order();
            let mut one = zero.clone();
            *one.last_mut().expect("bytes") = 1;
            let mut most = order.to_vec();
            *most.last_mut().expect("bytes") -= 1;
            assert!(with(curve, &one, &one).is_some());
            assert!(with(curve, &most, &most).is_some());
            for bad in [&zero[..], order, &vec![0xff; curve.bytes()]] {
                assert_eq!(with(curve, bad, &one), None);
                assert_eq!(with(curve, &one, bad), None);
            }
            assert_eq!(to_der(curve, &[&one[..], &one[1..]].concat()), None);
            assert_eq!(to_der(curve, &[&one[..], &zero[..1], &one[..]].concat()), None);
            assert_eq!(to_der(curve, &[]), None);
        }
    }

    proptest! {
        #[test]
        fn read_back_by_a_strict_reader(raw in proptest::collection::vec(any::<u8>(), 64)) {
            let parsed = p256::ecdsa::Signature::from_slice(&raw).ok();
            let expected = parsed.map(|signature| signature.to_der().as_bytes().to_vec());
            prop_assert_eq!(to_der(Curve::P256, &raw), expected);
        }

        #[test]
        fn and_for_p384(raw in proptest::collection::vec(any::<u8>(), 96)) {
            let parsed = p384::ecdsa::Signature::from_slice(&raw).ok();
            let expected = parsed.map(|signature| signature.to_der().as_bytes().to_vec());
            prop_assert_eq!(to_der(Curve::P384, &raw), expected);
        }
    }
}

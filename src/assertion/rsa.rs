//! RSA signatures (RFC 8017 section 8.2.1) by the two primes, blinded. The crate's own private key would take 40 KB more
//! of the module, for what is multiplied here.

use crate::authn::keys::MIN_RSA_BITS;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use rsa::{BigUint, RsaPublicKey};
use sha2::{Digest, Sha256};

/// A signature of 2048 bits takes 11 ms in the module, and grows with the cube of the length: 3072 some 36, and 4096
/// would hold up a worker for 85.
const MAX_BITS: usize = 3072;

/// DigestInfo of SHA-256, but for the hash (RFC 8017 section 9.2).
const SHA256: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20,
];

const UNFIT: &str = "holds an RSA key whose parts do not fit together";

/// As PKCS#1 names them, big-endian.
pub struct Parts<'a> {
    pub n: &'a [u8],
    pub e: &'a [u8],
    pub p: &'a [u8],
    pub q: &'a [u8],
    pub dp: &'a [u8],
    pub dq: &'a [u8],
    pub qinv: &'a [u8],
}

/// A private key that has signed once, so its parts fit together.
pub struct Rsa {
    pub n: BigUint,
    pub e: BigUint,
    p: BigUint,
    q: BigUint,
    dp: BigUint,
    dq: BigUint,
    qinv: BigUint,
    blinding: Blinding,
}

/// What is signed is multiplied by before it meets the private exponents, whose arithmetic does not take the same time
/// for every number (RUSTSEC-2023-0071): a power of a number that nobody else knows, another for each message. Drawn
/// from the key and the message, as RFC 6979 draws its nonces, it needs no randomness of the proxy that could fail.
#[derive(Default)]
struct Blinding {
    secret: [u8; 32],
    base: BigUint,
    inverse: BigUint,
}

impl Rsa {
    pub fn read(parts: &Parts) -> Result<Self, &'static str> {
        let number = BigUint::from_bytes_be;
        let mut key = Self {
            n: number(parts.n),
            e: number(parts.e),
            p: number(parts.p),
            q: number(parts.q),
            dp: number(parts.dp),
            dq: number(parts.dq),
            qinv: number(parts.qinv),
            blinding: Blinding::default(),
        };
        if !(MIN_RSA_BITS..=MAX_BITS).contains(&key.n.bits()) {
            return Err("holds an RSA key that has not 2048 to 3072 bits");
        }
        // What readers take; and a product that is not zero has no factor that is.
        RsaPublicKey::new(key.n.clone(), key.e.clone()).map_err(|_| UNFIT)?;
        if &key.p * &key.q != key.n || key.p.bits() != key.q.bits() {
            return Err(UNFIT);
        }
        key.blinding = key.blinding().ok_or(UNFIT)?;
        key.sign(b"").map(|_| key).ok_or(UNFIT)
    }

    fn blinding(&self) -> Option<Blinding> {
        let secret = Sha256::new_with_prefix(b"meshgate blinding").chain_update(self.p.to_bytes_be());
        let secret: [u8; 32] = secret.finalize().into();
        let blocks = 0..self.bytes().div_ceil(32);
        let bytes: Vec<u8> = blocks
            .map(|block| Some(mac(&secret, &block.to_be_bytes())?.to_vec()))
            .collect::<Option<Vec<_>>>()?
            .concat();
        let base = BigUint::from_bytes_be(&bytes) % &self.n;
        // By Fermat's little theorem in each half.
        let two = BigUint::from(2u32);
        let half = |prime: &BigUint| (prime > &two).then(|| base.modpow(&(prime - &two), prime));
        let inverse = self.combine(half(&self.p)?, half(&self.q)?);
        Some(Blinding { secret, base, inverse })
    }

    fn bytes(&self) -> usize {
        self.n.bits().div_ceil(8)
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256. None where it does not hold: half a wrong one would tell the primes.
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let digest = Sha256::digest(message);
        let fill = self.bytes().checked_sub(3 + SHA256.len() + digest.len())?;
        let encoded = [&[0, 1][..], &vec![0xff; fill], &[0], &SHA256, &digest].concat();
        let encoded = BigUint::from_bytes_be(&encoded);
        let Blinding { secret, base, inverse } = &self.blinding;
        let power = BigUint::from_bytes_be(mac(secret, &digest)?.get(..16)?);
        let (factor, inverse) = (base.modpow(&power, &self.n), inverse.modpow(&power, &self.n));
        let blinded = &encoded * factor.modpow(&self.e, &self.n) % &self.n;
        let halves = (blinded.modpow(&self.dp, &self.p), blinded.modpow(&self.dq, &self.q));
        let signature = self.combine(halves.0, halves.1) * inverse % &self.n;
        if signature.modpow(&self.e, &self.n) != encoded {
            return None;
        }
        let signature = signature.to_bytes_be();
        let zeros = self.bytes().checked_sub(signature.len())?;
        Some([vec![0; zeros], signature].concat())
    }

    /// The number that is `by_p` modulo the one prime and `by_q` modulo the other.
    fn combine(&self, by_p: BigUint, by_q: BigUint) -> BigUint {
        let apart = by_p + &self.p - &by_q % &self.p;
        by_q + apart * &self.qinv % &self.p * &self.q
    }
}

fn mac(secret: &[u8; 32], message: &[u8]) -> Option<[u8; 32]> {
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret).ok()?;
    Some(mac.chain_update(message).finalize().into_bytes().into())
}

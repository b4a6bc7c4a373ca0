//! Sealing what others can read, change, and put back where or when it does not belong.

use crate::wire::{Reader, Writer};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305};
use sha2::{Digest, Sha256};

/// 32 random bytes of the operator's.
#[derive(Clone, PartialEq, Eq)]
pub struct SealKey([u8; 32]);

/// Not shown.
impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey")
    }
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl SealKey {
    /// Base64 or hex; a secret's file often ends a line.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let bytes = match text.len() {
            64 => hex(text),
            _ => BASE64.decode(text).ok(),
        };
        bytes?.try_into().ok().map(Self)
    }

    /// None where the system has no randomness to give.
    pub fn random() -> Option<Self> {
        random().map(Self)
    }

    /// As [`SealKey::parse`] reads it.
    pub fn reveal(&self) -> String {
        BASE64.encode(self.0)
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = text.as_bytes().as_chunks() else {
        return None;
    };
    pairs.iter().map(|[a, b]| Some(digit(*a)? << 4 | digit(*b)?)).collect()
}

fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok().map(|()| bytes)
}

/// One policy as one release of the filter reads it. What was written under another is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation([u8; 32]);

impl Generation {
    pub fn of(policy_document: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(concat!("meshgate ", env!("CARGO_PKG_VERSION"), "\n"));
        hash.update(policy_document);
        Self(hash.finalize().into())
    }

    /// For a metric, whose values are exact up to 2^53: other policies have other numbers, as good as always.
    pub fn number(&self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }

    /// Short enough for a name.
    pub fn hex(&self) -> String {
        self.0.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Seals values for one purpose under one policy.
pub struct Seal {
    cipher: XChaCha20Poly1305,
    slot_secret: [u8; 32],
    context: Vec<u8>,
}

/// Not shown.
impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    pub fn new(key: &SealKey, generation: &Generation, purpose: &str) -> Self {
        let derived = |label: &str| -> [u8; 32] {
            let mut hash = Sha256::new();
            hash.update(label);
            hash.update(key.0);
            hash.finalize().into()
        };
        let mut context = generation.0.to_vec();
        context.extend_from_slice(purpose.as_bytes());
        context.push(0);
        Self {
            cipher: XChaCha20Poly1305::new(&derived("meshgate shared: seal\n").into()),
            slot_secret: derived("meshgate shared: slot\n"),
            context,
        }
    }

    /// Begun with a secret.
    pub fn hasher(&self) -> Sha256 {
        Sha256::new_with_prefix(self.slot_secret)
    }

    /// `plain` for this place, until then. None where the system gives no nonce.
    pub fn close(&self, place: &str, mut plain: Vec<u8>, until_ms: u64) -> Option<Vec<u8>> {
        let nonce: [u8; 24] = random()?;
        let tag = self
            .cipher
            .encrypt_in_place_detached(&nonce.into(), &self.beside(place, until_ms), &mut plain)
            .ok()?;
        let mut sealed = Writer(Vec::with_capacity(plain.len() + 48));
        sealed.number(until_ms);
        sealed.0.extend_from_slice(&nonce);
        sealed.0.extend_from_slice(&tag);
        sealed.0.append(&mut plain);
        Some(sealed.0)
    }

    pub fn open(&self, place: &str, sealed: &[u8], now_ms: u64) -> Option<Vec<u8>> {
        let mut sealed = Reader(sealed);
        let until_ms = sealed.number()?;
        if until_ms <= now_ms {
            return None;
        }
        let (nonce, tag) = (sealed.array::<24>()?, sealed.array::<16>()?);
        let mut plain = sealed.0.to_vec();
        self.cipher
            .decrypt_in_place_detached(
                &nonce.into(),
                &self.beside(place, until_ms),
                &mut plain,
                &Tag::from(tag),
            )
            .ok()?;
        Some(plain)
    }

    fn beside(&self, place: &str, until_ms: u64) -> Vec<u8> {
        let mut beside = self.context.clone();
        beside.extend_from_slice(place.as_bytes());
        beside.extend(until_ms.to_le_bytes());
        beside
    }
}

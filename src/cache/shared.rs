//! Answers that one worker found and all may use: sealed entries in a fixed number of slots of a store that others
//! can read and write as well. What does not open, or is not for this very question, is not there.

mod outcome;
mod seal;

pub use seal::{Generation, Seal, SealKey};

use super::{CredentialTag, Life, Remembered};
use crate::memory::Stamp;
use crate::wire::{Reader, Writer};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// What the workers of one proxy share. One of the two ports by which a decision reaches outside.
pub trait SharedStore {
    fn get(&self, slot: &str) -> Option<Vec<u8>>;
    fn set(&self, slot: &str, bytes: &[u8]);

    /// With its version, for [`Self::replace`]; nothing, where nothing is.
    fn versioned(&self, _slot: &str) -> Result<(Vec<u8>, Version), Refused> {
        Err(Refused)
    }

    /// In place of that version alone. False: somebody else has written meanwhile.
    fn replace(&self, _slot: &str, _bytes: &[u8], _version: Version) -> Result<bool, Refused> {
        Err(Refused)
    }
}

/// Which of the values that a slot has held; the store's own counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(pub u32);

/// The store does not do that, or not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// Nobody shares anything.
pub struct NoStore;

impl SharedStore for NoStore {
    fn get(&self, _: &str) -> Option<Vec<u8>> {
        None
    }

    fn set(&self, _: &str, _: &[u8]) {}
}

/// Shared data is never evicted, so the slots are few enough to be full for ever: 72 MiB at worst, and at the usual
/// 400 bytes 7 MiB. Three quarters of 10,000 callers find a slot of their own; whoever shares one asks again.
const KNOWN_SLOTS: u16 = 16_384;
/// Of their own, so that a flood of bad credentials displaces nothing but other denials.
const DENIED_SLOTS: u16 = 2_048;
/// Of a sealed entry. Many groups still fit; a denial's page may not.
pub const MAX_ENTRY_BYTES: usize = 4_096;

/// SHA-256 of everything the service is sent, begun with a secret: nobody can aim at another's slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest([u8; 32]);

/// Hashes parts so that their boundaries count.
pub struct DigestHasher(Sha256);

impl DigestHasher {
    pub fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// One service's answers in the shared store.
pub struct Shared {
    seal: Seal,
    authenticator: Arc<str>,
}

/// Not shown: it holds a key.
impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shared({})", self.authenticator)
    }
}

/// An answer as all workers know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedEntry {
    pub answer: Arc<Remembered>,
    pub life: Life,
    pub credential: CredentialTag,
    pub asked: Asked,
}

/// When the question left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    pub at_ms: u64,
    /// Which orders to forget were known by then.
    pub heard: Stamp,
}

/// What a slot holds.
struct Slot {
    /// None: a denial took it away.
    answer: Option<Remembered>,
    life: Life,
    credential: CredentialTag,
    asked: Asked,
}

impl Shared {
    pub fn new(key: &SealKey, generation: &Generation, slot: usize, authenticator: Arc<str>) -> Self {
        let seal = Seal::new(key, generation, &format!("answers of {slot}"));
        Self { seal, authenticator }
    }

    pub fn hasher(&self) -> DigestHasher {
        DigestHasher(self.seal.hasher())
    }

    /// What is there for this question, dead or alive: that is for the caller to see.
    pub fn find(&self, digest: &Digest, store: &dyn SharedStore, now_ms: u64) -> Option<SharedEntry> {
        let live = |name: &str| {
            let slot = self.open(name, digest, store, now_ms)?;
            Some(SharedEntry {
                answer: Arc::new(slot.answer?),
                life: slot.life,
                credential: slot.credential,
                asked: slot.asked,
            })
        };
        live(&known(digest)).or_else(|| live(&denied(digest)))
    }

    /// Unless there is the answer to a later question. What is too long takes away what was there.
    pub fn put(&self, digest: &Digest, entry: &SharedEntry, store: &dyn SharedStore, now_ms: u64) {
        let name = match *entry.answer {
            Remembered::Known(..) => known(digest),
            Remembered::Denied(_) => denied(digest),
        };
        let there = self.open(&name, digest, store, now_ms);
        if there
            .as_ref()
            .is_some_and(|there| there.asked.at_ms > entry.asked.at_ms)
        {
            return;
        }
        let SharedEntry {
            answer,
            life,
            credential,
            asked,
        } = entry;
        let sealed = self.sealed(&name, digest, Some(answer), life, *credential, *asked);
        match sealed {
            Some(sealed) => store.set(&name, &sealed),
            None if there.is_some() => store.set(&name, b""),
            None => {}
        }
    }

    /// A denial ends what a yes began. Where none is, none is written: a flood of denials displaces nobody.
    pub fn take_away(&self, digest: &Digest, asked: Asked, store: &dyn SharedStore, now_ms: u64) {
        let name = known(digest);
        if let Some(there) = self.open(&name, digest, store, now_ms) {
            // For as long as the answer to an earlier question may still come.
            let sealed = self.sealed(&name, digest, None, &there.life, there.credential, asked);
            store.set(&name, &sealed.unwrap_or_default());
        }
    }

    fn open(&self, name: &str, digest: &Digest, store: &dyn SharedStore, now_ms: u64) -> Option<Slot> {
        let plain = self.seal.open(name, &store.get(name)?, now_ms)?;
        let mut plain = Reader(&plain);
        if Digest(plain.array()?) != *digest {
            return None;
        }
        let slot = Slot {
            asked: Asked {
                at_ms: plain.number()?,
                heard: Stamp {
                    ring: plain.number()?,
                    order: plain.number()?,
                },
            },
            life: Life {
                fresh_until_ms: plain.number()?,
                revalidate_until_ms: plain.number()?,
                if_error_until_ms: plain.number()?,
            },
            credential: CredentialTag(plain.number()?),
            answer: outcome::read(&mut plain, &self.authenticator)?,
        };
        plain.end()?;
        Some(slot)
    }

    /// None where it is too long, or the system gives no nonce.
    fn sealed(
        &self,
        name: &str,
        digest: &Digest,
        answer: Option<&Remembered>,
        life: &Life,
        credential: CredentialTag,
        asked: Asked,
    ) -> Option<Vec<u8>> {
        let mut plain = Writer(Vec::with_capacity(512));
        plain.0.extend_from_slice(&digest.0);
        for number in [
            asked.at_ms,
            asked.heard.ring,
            asked.heard.order,
            life.fresh_until_ms,
            life.revalidate_until_ms,
            life.if_error_until_ms,
            credential.0,
        ] {
            plain.number(number);
        }
        outcome::write(&mut plain, answer)?;
        let sealed = self.seal.close(name, plain.0, life.end_ms())?;
        (sealed.len() <= MAX_ENTRY_BYTES).then_some(sealed)
    }
}

fn known(digest: &Digest) -> String {
    format!("meshgate.known.{}", number(digest) % KNOWN_SLOTS)
}

fn denied(digest: &Digest) -> String {
    format!("meshgate.denied.{}", number(digest) % DENIED_SLOTS)
}

fn number(Digest([a, b, ..]): &Digest) -> u16 {
    u16::from_le_bytes([*a, *b])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::callout::Accepted;
    use crate::authn::{Claim, Principal};
    use crate::denial::ServiceDenial;
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    const NOW: u64 = 1_800_000_000_000;
    const END: u64 = NOW + 30_000;

    #[derive(Default)]
    struct Map(RefCell<BTreeMap<String, Vec<u8>>>);

    impl SharedStore for Map {
        fn get(&self, slot: &str) -> Option<Vec<u8>> {
            self.0.borrow().get(slot).cloned()
        }

        fn set(&self, slot: &str, bytes: &[u8]) {
            self.0.borrow_mut().insert(slot.into(), bytes.into());
        }
    }

    impl Map {
        /// The only entry.
        fn only(&self) -> (String, Vec<u8>) {
            let map = self.0.borrow();
            assert_eq!(map.len(), 1, "{:?}", map.keys());
            map.first_key_value().map(|(k, v)| (k.clone(), v.clone())).unwrap()
        }
    }

    fn key(byte: u8) -> SealKey {
        SealKey::parse(&format!("{byte:02x}").repeat(32)).unwrap()
    }

    fn shared_of(key: &SealKey, document: &str, slot: usize) -> Shared {
        Shared::new(key, &Generation::of(document.as_bytes()), slot, "account".into())
    }

    fn shared() -> Shared {
        shared_of(&key(7), "policy", 0)
    }

    fn digest(question: &str) -> Digest {
        let mut hasher = shared().hasher();
        hasher.part(question.as_bytes());
        hasher.finish()
    }

    /// Two questions whose answers would stand in one slot.
    fn colliding() -> (Digest, Digest) {
        let first = digest("0");
        let other = (1..).map(|n| digest(&n.to_string()));
        let mut other = other.filter(|other| known(other) == known(&first));
        (first, other.next().unwrap())
    }

    fn known_caller() -> Remembered {
        let pair = |name: &str, value: &[u8]| (name.as_bytes().to_vec(), value.to_vec());
        let principal = Principal {
            authenticator: "account".into(),
            subject: "bööb".into(),
            groups: vec!["ops".into(), String::new()],
            scopes: vec!["read".into()],
            claims: vec![
                ("tenant".into(), Claim::Scalar("acme".into())),
                ("roles".into(), Claim::List(vec!["a".into(), "b".into()])),
            ],
            variants: vec![],
        };
        let accepted = Accepted {
            set: vec![pair("x-auth-plan", b"gold"), pair("x-auth-plan", b"\xff")],
            append: vec![pair("x-more", b"")],
            remove: vec![b"cookie".to_vec()],
            to_client: vec![pair("x-seen", b"1")],
            identity: None,
        };
        Remembered::Known(Arc::new(principal), accepted)
    }

    fn denial(body: Option<Vec<u8>>) -> Remembered {
        Remembered::Denied(ServiceDenial {
            status: 401,
            headers: vec![(b"www-authenticate".to_vec(), b"Bearer".to_vec())],
            body,
        })
    }

    fn entry(answer: Remembered, asked_ms: u64) -> SharedEntry {
        SharedEntry {
            answer: Arc::new(answer),
            life: Life {
                fresh_until_ms: NOW + 10_000,
                revalidate_until_ms: NOW + 20_000,
                if_error_until_ms: END,
            },
            credential: CredentialTag(9),
            asked: Asked {
                at_ms: asked_ms,
                heard: Stamp { ring: 3, order: 4 },
            },
        }
    }

    #[test]
    fn a_whole_outcome_comes_out_as_it_went_in() {
        for answer in [
            known_caller(),
            Remembered::Known(
                Arc::new(Principal {
                    authenticator: "account".into(),
                    ..Principal::nobody()
                }),
                Accepted::nothing(),
            ),
            denial(None),
            denial(Some(Vec::new())),
            denial(Some(b"<h1>\xff".to_vec())),
        ] {
            let (store, entry) = (Map::default(), entry(answer, NOW));
            shared().put(&digest("a"), &entry, &store, NOW);
            assert_eq!(shared().find(&digest("a"), &store, NOW), Some(entry));
            assert_eq!(shared().find(&digest("b"), &store, NOW), None);
        }
    }

    #[test]
    fn nothing_in_clear() {
        let store = Map::default();
        shared().put(&digest("a"), &entry(known_caller(), NOW), &store, NOW);
        let (_, sealed) = store.only();
        for secret in ["acme", "gold", "tenant", "ops"] {
            assert!(!sealed.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
        let again = Map::default();
        shared().put(&digest("a"), &entry(known_caller(), NOW), &again, NOW);
        assert_ne!(sealed, again.only().1, "another nonce");
    }

    /// What stands in the slot after `change`.
    fn found_after(change: impl FnOnce(&mut Vec<u8>)) -> Option<SharedEntry> {
        let store = Map::default();
        shared().put(&digest("a"), &entry(known_caller(), NOW), &store, NOW);
        let (slot, mut sealed) = store.only();
        change(&mut sealed);
        store.set(&slot, &sealed);
        shared().find(&digest("a"), &store, NOW)
    }

    #[test]
    fn torn() {
        let length = {
            let store = Map::default();
            shared().put(&digest("a"), &entry(known_caller(), NOW), &store, NOW);
            store.only().1.len()
        };
        assert!(found_after(|_| {}).is_some());
        for cut in 0..length {
            assert_eq!(found_after(|sealed| sealed.truncate(cut)), None, "{cut} of {length}");
        }
        assert_eq!(found_after(|sealed| sealed.push(0)), None);
    }

    #[test]
    fn changed_in_any_byte() {
        let length = {
            let store = Map::default();
            shared().put(&digest("a"), &entry(known_caller(), NOW), &store, NOW);
            store.only().1.len()
        };
        for at in 0..length {
            // Byte 7 makes the end later by half an age: it is bound to the rest as well.
            assert_eq!(found_after(|sealed| sealed[at] ^= 0x40), None, "{at}");
        }
    }

    #[test]
    fn foreign_or_forged() {
        for other in [
            shared_of(&key(8), "policy", 0),
            shared_of(&key(7), "another policy", 0),
            shared_of(&key(7), "policy", 1),
        ] {
            let store = Map::default();
            other.put(&digest("a"), &entry(known_caller(), NOW), &store, NOW);
            assert_eq!(shared().find(&digest("a"), &store, NOW), None);
        }
        for planted in [&b""[..], b"alice", &[0; 500], &[255; 500]] {
            let store = Map::default();
            store.set(&known(&digest("a")), planted);
            store.set(&denied(&digest("a")), planted);
            assert_eq!(shared().find(&digest("a"), &store, NOW), None);
        }
    }

    #[test]
    fn put_back_into_another_slot() {
        let store = Map::default();
        shared().put(&digest("a"), &entry(known_caller(), NOW), &store, NOW);
        let (_, sealed) = store.only();
        for slot in [denied(&digest("a")), known(&digest("b"))] {
            let store = Map::default();
            store.set(&slot, &sealed);
            assert_eq!(shared().find(&digest("a"), &store, NOW), None);
            assert_eq!(shared().find(&digest("b"), &store, NOW), None);
        }
    }

    #[test]
    fn for_another_question_of_the_same_slot() {
        let ((first, other), store) = (colliding(), Map::default());
        shared().put(&first, &entry(known_caller(), NOW), &store, NOW);
        assert_eq!(shared().find(&other, &store, NOW), None);
        shared().take_away(&other, entry(known_caller(), NOW).asked, &store, NOW);
        assert!(shared().find(&first, &store, NOW).is_some(), "another's denial");
        shared().put(&other, &entry(known_caller(), NOW - 1), &store, NOW);
        assert_eq!(shared().find(&first, &store, NOW), None, "displaced");
    }

    #[test]
    fn expired() {
        let store = Map::default();
        shared().put(&digest("a"), &entry(known_caller(), NOW), &store, NOW);
        assert!(shared().find(&digest("a"), &store, END - 1).is_some());
        assert_eq!(shared().find(&digest("a"), &store, END), None);
    }

    #[test]
    fn a_denial_ends_what_a_yes_began() {
        let (store, later) = (Map::default(), entry(denial(None), NOW + 5).asked);
        shared().take_away(&digest("a"), later, &store, NOW);
        assert!(store.0.borrow().is_empty(), "nothing to take away");

        shared().put(&digest("a"), &entry(known_caller(), NOW), &store, NOW);
        shared().take_away(&digest("a"), later, &store, NOW);
        assert_eq!(shared().find(&digest("a"), &store, NOW), None);
        shared().put(&digest("a"), &entry(known_caller(), NOW + 4), &store, NOW);
        assert_eq!(
            shared().find(&digest("a"), &store, NOW),
            None,
            "the yes to an earlier question comes late"
        );
        shared().put(&digest("a"), &entry(known_caller(), NOW + 6), &store, NOW);
        assert!(shared().find(&digest("a"), &store, NOW).is_some(), "asked since");
    }

    #[test]
    fn a_flood_of_denials_displaces_no_yes() {
        let store = Map::default();
        shared().put(&digest("a"), &entry(known_caller(), NOW), &store, NOW);
        for n in 0..500 {
            let digest = digest(&n.to_string());
            let denied = entry(denial(None), NOW);
            shared().take_away(&digest, denied.asked, &store, NOW);
            shared().put(&digest, &denied, &store, NOW);
        }
        assert!(shared().find(&digest("a"), &store, NOW).is_some());
        let slots = store.0.borrow();
        let known = slots.keys().filter(|slot| slot.starts_with("meshgate.known."));
        assert_eq!(known.count(), 1);
    }

    #[test]
    fn what_is_too_long_is_not_shared_and_leaves_nothing_older() {
        let page = |bytes: usize| entry(denial(Some(vec![b'x'; bytes])), NOW);
        let store = Map::default();
        shared().put(&digest("a"), &page(MAX_ENTRY_BYTES), &store, NOW);
        assert!(store.0.borrow().is_empty());
        shared().put(&digest("a"), &page(MAX_ENTRY_BYTES - 300), &store, NOW);
        assert!(store.only().1.len() <= MAX_ENTRY_BYTES);
        shared().put(&digest("a"), &page(MAX_ENTRY_BYTES), &store, NOW);
        assert_eq!(store.only().1, b"");
    }

    #[test]
    fn claims_within_claims_are_not_shared() {
        let Remembered::Known(principal, accepted) = known_caller() else {
            panic!("a known caller")
        };
        let mut principal = Principal::clone(&principal);
        let inner = [("x".to_owned(), Claim::Scalar("y".into()))];
        principal.claims.push(("realm".into(), Claim::Object(inner.into())));
        let (store, answer) = (Map::default(), Remembered::Known(principal.into(), accepted));
        shared().put(&digest("a"), &entry(answer, NOW), &store, NOW);
        assert!(store.0.borrow().is_empty());
    }

    #[test]
    fn keys() {
        let hex = "00ff".repeat(16);
        let base64 = "AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8=";
        assert_eq!(SealKey::parse(&hex), SealKey::parse(base64));
        assert!(SealKey::parse(&hex).is_some());
        for same in [
            &hex.to_uppercase(),
            base64.trim_end_matches('='),
            &format!("{base64}\n"),
        ] {
            assert_eq!(SealKey::parse(same), SealKey::parse(&hex), "{same}");
        }
        for bad in [
            "",
            "secret",
            &hex[2..],
            &hex.replace("ff", "fg"),
            &base64[4..],
            &base64.repeat(2),
        ] {
            assert_eq!(SealKey::parse(bad), None, "{bad}");
        }
        let random = SealKey::random().unwrap();
        assert_ne!(Some(&random), SealKey::random().as_ref());
        assert_eq!(SealKey::parse(&random.reveal()), Some(random));
    }
}

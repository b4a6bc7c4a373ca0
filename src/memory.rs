//! What one VM keeps from one request to the next: answers, failures, and what is to be forgotten.
//! It belongs to one policy: a new one starts with nothing.

mod exposures;
mod orders;
mod ring;
mod tokens;

pub use orders::{MAX_ORDERS_KEPT, News, Order, epoch_header};
pub use ring::{Ring, Stamp};
pub use tokens::Tokens;

use crate::assertion::{Assertions, Chosen, Unsigned};
use crate::authn::Principal;
use crate::authn::api_key::ApiKeys;
use crate::authn::jwt::TokenId;
use crate::authn::keys::KeySet;
use crate::breaker::{Breaker, Leave};
use crate::cache::{
    Asked, CredentialTag, Digest, DigestHasher, Found, Generation, Key, KeyHasher, Life, Remembered, Seal, Seed,
    Shared, SharedEntry, SharedStore, Store,
};
use crate::config::Secrets;
use crate::experiment::{Assigned, Exposure, Hashed};
use crate::policy::Policy;
use crate::rate_limit::Buckets;
use crate::time::UnixTime;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use exposures::Exposures;
use orders::Orders;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
pub struct Memory {
    seed: Seed,
    /// By slot; an authenticator that remembers nothing has an empty one.
    services: Vec<Service>,
    orders: Orders,
    /// As far as the other workers' orders are known; None before the first [`Memory::exchange`].
    heard: Option<Ring>,
    /// Written, and not known to have arrived.
    telling: Option<Ring>,
    /// Where answers are shared, orders are sealed as well: who could keep one back could keep a caller in.
    ring_seal: Option<Seal>,
    /// Answers to questions asked earlier are another policy's business.
    since_ms: u64,
    /// None under a policy that has none; else nobody can be told to the next gate.
    assertions: Option<Assertions>,
    buckets: Buckets,
    exposures: Exposures,
    /// Random units that were drawn.
    drawn: u64,
}

/// Where one question's answer stands for all workers, and what was known as it was asked.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    digest: Digest,
    heard: Stamp,
}

#[derive(Debug, Default)]
struct Service {
    store: Option<Store>,
    shared: Option<Shared>,
    breaker: Option<Breaker>,
    tokens: Option<Tokens>,
    /// API keys that were fetched.
    list: Option<ApiKeys>,
}

/// What [`Memory::remember`] is given.
#[derive(Debug)]
pub struct Entry {
    pub key: Key,
    pub answer: Arc<Remembered>,
    pub life: Life,
    pub credential: CredentialTag,
}

/// Sums over all services, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    pub entries: usize,
    pub bytes: u64,
    /// So far, of answers that others pushed out before their time.
    pub evictions: u64,
}

impl Memory {
    /// `seed`: random, and nobody else's.
    pub fn new(policy: &Policy, seed: Seed) -> Self {
        let services = policy.authenticators.iter().map(|known| {
            let callout = known.callout();
            Service {
                store: callout.and_then(|callout| callout.cache.as_ref().map(Store::new)),
                shared: None,
                breaker: callout.and_then(|callout| callout.breaker.map(Breaker::new)),
                tokens: Tokens::new(known),
                list: None,
            }
        });
        Self {
            seed,
            services: services.collect(),
            orders: Orders::default(),
            heard: None,
            telling: None,
            ring_seal: None,
            since_ms: 0,
            assertions: None,
            buckets: Buckets::default(),
            exposures: Exposures::default(),
            drawn: 0,
        }
    }

    /// One worker's answers are to serve all, as far as there are keys.
    pub fn share(&mut self, policy: &Policy, generation: &Generation, secrets: &Secrets, now_ms: u64) {
        self.since_ms = now_ms;
        for (authenticator, service) in policy.authenticators.iter().zip(&mut self.services) {
            let Some(key) = secrets.shared_key(authenticator.slot) else {
                continue;
            };
            let name = authenticator.name.clone();
            service.shared = Some(Shared::new(key, generation, authenticator.slot, name));
            self.ring_seal
                .get_or_insert_with(|| Seal::new(key, generation, "orders"));
        }
    }

    /// Whether anything is remembered at all, so that there is something to forget.
    pub fn remembers(&self) -> bool {
        self.services.iter().any(|service| service.store.is_some())
    }

    /// With the keys that the policy names.
    pub fn with_assertions(mut self, assertions: Option<Assertions>) -> Self {
        self.assertions = assertions;
        self
    }

    /// Those that the workers share. Without them, limits hold for this worker.
    pub fn with_buckets(mut self, buckets: Buckets) -> Self {
        self.buckets = buckets;
        self
    }

    pub fn buckets(&mut self) -> &mut Buckets {
        &mut self.buckets
    }

    /// What the next gate is told of the caller.
    pub fn assertion(
        &mut self,
        principal: &Principal,
        variants: &[Chosen],
        audience: &str,
        now: UnixTime,
    ) -> Result<Arc<str>, Unsigned> {
        let assertions = self.assertions.as_mut().ok_or(Unsigned::Failed)?;
        assertions.about(principal, variants, audience, self.seed, now)
    }

    pub fn jwks(&self) -> Option<String> {
        self.assertions.as_ref().map(Assertions::jwks)
    }

    /// Whether `exposure` is the first of its kind in the window, whichever worker tells it.
    pub fn first_exposure(
        &mut self,
        exposure: &Exposure,
        cluster: &str,
        store: &dyn SharedStore,
        now: UnixTime,
    ) -> bool {
        let key = exposure.key(cluster, self.buckets.seed());
        let window = exposure.window();
        self.exposures.first(key.halves(), &|| key, window, store, now)
    }

    /// The same of a variant, cheaper where this worker knows it: `unit` is hashed once for all experiments.
    pub fn first_assigned(&mut self, assigned: &Assigned, unit: Key, store: &dyn SharedStore, now: UnixTime) -> bool {
        let (a, b) = unit.halves();
        let which = assigned.number();
        let seed = self.buckets.seed();
        let key = || assigned.key(seed);
        let window = assigned.experiment.exposure_window;
        self.exposures
            .first((a ^ which, b.wrapping_add(which)), &key, window, store, now)
    }

    /// What one unit is known by here.
    pub fn unit_key(&self, unit: &Hashed) -> Key {
        let mut hasher = KeyHasher::new(self.seed);
        hasher.part(unit.from.as_bytes());
        hasher.part(&unit.value);
        hasher.finish()
    }

    /// A unit for somebody who has none. Nobody but this VM knows the key that they are drawn by.
    pub fn draw_unit(&mut self) -> String {
        self.drawn = self.drawn.wrapping_add(1);
        let mut hasher = KeyHasher::new(self.seed);
        hasher.part(b"unit");
        hasher.part(&self.drawn.to_le_bytes());
        let (a, b) = hasher.finish().halves();
        URL_SAFE_NO_PAD.encode([a.to_be_bytes(), b.to_be_bytes()].concat())
    }

    pub fn seed(&self) -> Seed {
        self.seed
    }

    pub fn find(&mut self, slot: usize, key: &Key, now_ms: u64) -> Found {
        match self.store(slot) {
            Some(store) => store.find(key, now_ms),
            None => Found::Nothing,
        }
    }

    pub fn remember(&mut self, slot: usize, entry: Entry) {
        if let Some(store) = self.store(slot) {
            store.remember(entry.key, entry.answer, entry.life, entry.credential);
        }
    }

    pub fn forget(&mut self, slot: usize, key: &Key) {
        if let Some(store) = self.store(slot) {
            store.forget(key);
        }
    }

    /// What a token is remembered by, whoever checks it.
    pub fn token_id(&self, token: &[u8]) -> TokenId {
        TokenId::of(token, self.seed)
    }

    pub fn tokens(&self, slot: usize) -> Option<&Tokens> {
        self.services.get(slot)?.tokens.as_ref()
    }

    pub fn tokens_mut(&mut self, slot: usize) -> Option<&mut Tokens> {
        self.services.get_mut(slot)?.tokens.as_mut()
    }

    pub fn set_keys(&mut self, slot: usize, keys: Arc<KeySet>) {
        if let Some(tokens) = self.tokens_mut(slot) {
            tokens.set_keys(keys);
        }
    }

    /// None: it did not come yet.
    pub fn list(&self, slot: usize) -> Option<&ApiKeys> {
        self.services.get(slot)?.list.as_ref()
    }

    pub fn set_list(&mut self, slot: usize, list: ApiKeys) {
        if let Some(service) = self.services.get_mut(slot) {
            service.list = Some(list);
        }
    }

    /// How long the service may not be asked, where that is so.
    pub fn refuses(&self, slot: usize, now_ms: u64) -> Option<Duration> {
        self.services.get(slot)?.breaker.as_ref()?.refuses(now_ms)
    }

    /// For a question that goes out now, if it may.
    pub fn leave(&mut self, slot: usize, now_ms: u64) -> Leave {
        self.breaker(slot).map_or(Leave::Ask, |breaker| breaker.leave(now_ms))
    }

    /// The service answered, whatever it said, what it was asked at `asked_ms`.
    pub fn answered(&mut self, slot: usize, asked_ms: u64, now_ms: u64) {
        if let Some(breaker) = self.breaker(slot) {
            breaker.answered(asked_ms, now_ms);
        }
    }

    /// The service could not be asked; `caller` is whose credential it was shown.
    pub fn failed(&mut self, slot: usize, caller: CredentialTag, asked_ms: u64, now_ms: u64) {
        if let Some(breaker) = self.breaker(slot) {
            breaker.failed(caller.0, asked_ms, now_ms);
        }
    }

    /// What a yes began ends here, and no yes of an earlier question begins it anew.
    pub fn deny(&mut self, slot: usize, key: &Key, asked_ms: u64, now_ms: u64) {
        if let Some(store) = self.store(slot) {
            store.deny(key, asked_ms, now_ms);
        }
    }

    /// Whether a later question was denied since.
    pub fn was_denied(&mut self, slot: usize, key: &Key, asked_ms: u64) -> bool {
        self.store(slot).is_some_and(|store| store.was_denied(key, asked_ms))
    }

    pub fn breaker_is_open(&self, slot: usize) -> Option<bool> {
        Some(self.services.get(slot)?.breaker.as_ref()?.is_open())
    }

    pub fn size(&self, slot: usize) -> Option<Size> {
        let store = self.services.get(slot)?.store.as_ref()?;
        Some(Size {
            entries: store.len(),
            bytes: store.bytes(),
            evictions: store.evictions(),
        })
    }

    /// An order given here: obeyed, and kept for the other workers to obey.
    pub fn give(&mut self, order: Order, now_ms: u64) -> News {
        let news = self.obey(&order, now_ms);
        if !matches!(news, News::Known | News::Outdated) {
            self.orders.tell(order);
        }
        news
    }

    /// An order given anywhere.
    pub fn obey(&mut self, order: &Order, now_ms: u64) -> News {
        let news = self.orders.take_down(order, now_ms);
        if matches!(news, News::Known | News::Outdated) {
            return news;
        }
        for (slot, service) in self.services.iter_mut().enumerate() {
            if let Some(store) = service.store.as_mut().filter(|_| order.concerns(slot)) {
                match order {
                    Order::Everything | Order::Epoch { subject: None, .. } => store.forget_all(),
                    _ => store.forget_if(|answer, credential| order.outdates(answer, credential)),
                }
            }
        }
        news
    }

    /// Orders that the other workers do not know yet.
    pub fn orders_to_tell(&self) -> &[Order] {
        self.orders.to_tell()
    }

    /// `ring`: the orders as all workers know them; None where there are none yet. Obeys what is new, and gives what is
    /// to be written there, if anything: once that is done, call [`Memory::told`].
    pub fn exchange(&mut self, ring: Option<&[u8]>, now_ms: u64) -> Option<Vec<u8>> {
        let read = match (ring, &self.heard) {
            (None, None) => None,
            (None, Some(_)) => Some(Ring::anew(now_ms)),
            (Some(bytes), heard) => {
                let ring = self.read(bytes, now_ms);
                let ring = ring.filter(|ring| heard.as_ref().is_none_or(|heard| !ring.is_behind(heard)));
                match ring {
                    Some(ring) if self.orders.to_tell().is_empty() => {
                        self.hear(ring, now_ms);
                        return None;
                    }
                    Some(ring) => Some(ring),
                    None => Some(Ring::anew(now_ms)),
                }
            }
        };
        let mut ring = read.unwrap_or_else(Ring::first);
        self.hear(ring.clone(), now_ms);
        self.orders.to_tell().iter().for_each(|order| ring.push(order));
        let bytes = self.write(&ring)?;
        self.telling = Some(ring);
        Some(bytes)
    }

    /// What [`Memory::exchange`] gave is written: its own orders are obeyed already.
    pub fn told(&mut self) {
        if let Some(ring) = self.telling.take() {
            self.heard = Some(ring);
            self.orders.told();
        }
    }

    fn hear(&mut self, ring: Ring, now_ms: u64) {
        match self.heard.take() {
            // Nothing is remembered yet, and nothing from before is taken from others.
            None => {}
            Some(heard) => match ring.since(heard.stamp()) {
                Some(new) => new.for_each(|order| {
                    self.obey(order, now_ms);
                }),
                None => {
                    self.obey(&Order::Everything, now_ms);
                }
            },
        }
        self.heard = Some(ring);
    }

    fn read(&self, bytes: &[u8], now_ms: u64) -> Option<Ring> {
        match &self.ring_seal {
            Some(seal) => Ring::read(&seal.open("ring", bytes, now_ms)?),
            None => Ring::read(bytes),
        }
    }

    fn write(&self, ring: &Ring) -> Option<Vec<u8>> {
        match &self.ring_seal {
            Some(seal) => seal.close("ring", ring.write(), u64::MAX),
            None => Some(ring.write()),
        }
    }

    /// Whether an order came since the question was asked that forbids to remember its answer.
    pub fn is_outdated(&self, slot: usize, answer: &Remembered, credential: CredentialTag, asked_ms: u64) -> bool {
        self.orders.outdate(slot, answer, credential, asked_ms)
    }

    /// None where answers are not shared. `hash`: says everything that the service is sent.
    pub fn ticket(&self, slot: usize, hash: impl FnOnce(DigestHasher) -> Option<Digest>) -> Option<Ticket> {
        let shared = self.services.get(slot)?.shared.as_ref()?;
        Some(Ticket {
            heard: self.heard.as_ref()?.stamp(),
            digest: hash(shared.hasher())?,
        })
    }

    /// Takes over what another worker found, and says whether it did.
    pub fn take_over(
        &mut self,
        slot: usize,
        (key, ticket): (Key, &Ticket),
        store: &dyn SharedStore,
        now_ms: u64,
    ) -> bool {
        let found = self
            .shared(slot)
            .and_then(|shared| shared.find(&ticket.digest, store, now_ms));
        let Some(entry) = found.filter(|entry| self.may_be_taken(slot, entry, now_ms)) else {
            return false;
        };
        let SharedEntry {
            answer,
            life,
            credential,
            ..
        } = entry;
        let entry = Entry {
            key,
            answer,
            life,
            credential,
        };
        self.remember(slot, entry);
        true
    }

    /// Nothing from before this policy was loaded here, from a time to come, or outdated by an order: known here, or
    /// given here and not yet told.
    fn may_be_taken(&self, slot: usize, entry: &SharedEntry, now_ms: u64) -> bool {
        let Asked { at_ms, heard } = entry.asked;
        let Some(mut since) = self.heard.as_ref().and_then(|ring| ring.since(heard)) else {
            return false;
        };
        let outdates = |order: &Order| order.concerns(slot) && order.outdates(&entry.answer, entry.credential);
        (self.since_ms..=now_ms).contains(&at_ms) && !since.any(outdates) && !self.orders.to_tell().iter().any(outdates)
    }

    /// What was just remembered here serves the other workers as well.
    pub fn share_answer(
        &self,
        slot: usize,
        ticket: &Ticket,
        (entry, asked_ms): (&Entry, u64),
        store: &dyn SharedStore,
        now_ms: u64,
    ) {
        if let Some(shared) = self.shared(slot) {
            let entry = SharedEntry {
                answer: entry.answer.clone(),
                life: entry.life,
                credential: entry.credential,
                asked: ticket.asked(asked_ms),
            };
            shared.put(&ticket.digest, &entry, store, now_ms);
        }
    }

    /// A denial was heard.
    pub fn take_away(&self, slot: usize, ticket: &Ticket, asked_ms: u64, store: &dyn SharedStore, now_ms: u64) {
        if let Some(shared) = self.shared(slot) {
            shared.take_away(&ticket.digest, ticket.asked(asked_ms), store, now_ms);
        }
    }

    fn shared(&self, slot: usize) -> Option<&Shared> {
        self.services.get(slot)?.shared.as_ref()
    }

    fn store(&mut self, slot: usize) -> Option<&mut Store> {
        self.services.get_mut(slot)?.store.as_mut()
    }

    fn breaker(&mut self, slot: usize) -> Option<&mut Breaker> {
        self.services.get_mut(slot)?.breaker.as_mut()
    }
}

impl Ticket {
    fn asked(&self, at_ms: u64) -> Asked {
        Asked {
            at_ms,
            heard: self.heard,
        }
    }
}

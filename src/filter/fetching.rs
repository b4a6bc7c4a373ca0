//! Key sets and lists that are fetched: what the VMs of an Envoy tell one another of them, and the calls.

use super::log::entry;
use super::metrics::{self, Counter};
use super::root::Plugin;
use super::{act, ffi, host};
use crate::authn::callout;
use crate::header::Headers;
use crate::keyring::{self, Came, Content, Deed, FetchFault, Page, Source, Status};
use crate::policy::Policy;
use log::Level;
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, Hasher, RandomState};

/// All documents of a policy.
pub struct Fetching {
    documents: Vec<Document>,
    quick_ticks: Cell<u32>,
}

/// How long another VM's fetch may take that this one waits for: the usual timeout of 2 s, in ticks of 5 ms. After that
/// the issuer is away, and nobody is helped by looking often.
const QUICK_TICKS: u32 = 400;

struct Document {
    source: Source,
    name: String,
    /// When that came which is held here.
    held_ms: Cell<u64>,
    /// What is held; one that comes again changes nothing.
    held: Cell<Option<u64>>,
    call: RefCell<Option<InFlight>>,
    told_fault: Cell<Option<&'static str>>,
    told_age_s: Cell<Option<u64>>,
    /// Hashes what is held, and is the dice.
    random: RandomState,
}

/// This VM fetches.
struct InFlight {
    token: u32,
    page: Page,
    /// As it was told to all; another status is another VM's, which gave this one up.
    status: Status,
}

impl Fetching {
    pub fn new(policy: &Policy) -> Self {
        let sources = policy.authenticators.iter().filter_map(|known| Source::of(known));
        let documents = sources.map(|source| Document {
            name: source.name(),
            source,
            held_ms: Cell::new(0),
            held: Cell::new(None),
            call: RefCell::default(),
            told_fault: Cell::new(None),
            told_age_s: Cell::new(None),
            random: RandomState::new(),
        });
        Self {
            documents: documents.collect(),
            quick_ticks: QUICK_TICKS.into(),
        }
    }

    /// Whether something was never here that another VM may have any moment: until it is, requests that need it are
    /// refused.
    pub fn is_awaited(&self) -> bool {
        self.quick_ticks.get() > 0 && self.documents.iter().any(|document| document.held.get().is_none())
    }
}

/// In the root's callback, where calls may be made.
pub fn tick(plugin: &Plugin, now_ms: u64) {
    let fetching = &plugin.fetching;
    fetching.quick_ticks.set(fetching.quick_ticks.get().saturating_sub(1));
    for document in &fetching.documents {
        document.tick(plugin, now_ms);
    }
}

/// What another VM fetched before this one began, so that a changed policy has its keys at once.
pub fn take_what_is_there(plugin: &Plugin, now_ms: u64) {
    for document in &plugin.fetching.documents {
        let (status, _) = document.status();
        if status.came_ms != 0 {
            document.take(plugin, &status, now_ms);
        }
    }
}

/// In the root's callback: whether the answer was to one of these calls.
pub fn answer_came(plugin: &Plugin, token: u32, body_size: usize) -> bool {
    let is_its = |document: &&Document| document.call.borrow().as_ref().is_some_and(|call| call.token == token);
    let Some(document) = plugin.fetching.documents.iter().find(is_its) else {
        return false;
    };
    // The answer may cause the next call.
    let call = document.call.take();
    if let Some(call) = call {
        document.on_answer(plugin, call, body_size);
    }
    true
}

impl Document {
    fn tick(&self, plugin: &Plugin, now_ms: u64) {
        let (status, version) = self.status();
        let stranger = plugin
            .memory
            .borrow()
            .tokens(self.source.slot)
            .and_then(|tokens| tokens.stranger());
        let stranger_ms = stranger.and_then(|at| u64::try_from(at.as_millis()).ok());
        let (refresh_ms, longest_ms) = (self.source.refresh_ms(), self.source.longest_ms());
        match keyring::next(&status, self.held_ms.get(), stranger_ms, now_ms, refresh_ms, longest_ms) {
            Deed::Nothing => {}
            Deed::Take => self.take(plugin, &status, now_ms),
            // Who comes second finds another version.
            Deed::Fetch(status) if ffi::set_shared_data(&self.name, &status.to_bytes(), version).is_ok() => {
                self.ask(plugin, self.source.first_page(), status, now_ms);
            }
            Deed::Fetch(_) => {}
        }
        self.tell_age(now_ms);
    }

    fn status(&self) -> (Status, u32) {
        // A key that is absent takes any version, and one that is there only its own: never 0, which always writes.
        const ABSENT: u32 = u32::MAX;
        match ffi::shared_data(&self.name) {
            Ok(Some((bytes, version))) => (Status::from_bytes(&bytes).unwrap_or_default(), version),
            Ok(None) | Err(_) => (Status::default(), ABSENT),
        }
    }

    fn content_name(&self) -> String {
        format!("{}.content", self.name)
    }

    fn take(&self, plugin: &Plugin, status: &Status, now_ms: u64) {
        // Whatever it is, it is looked at once.
        self.held_ms.set(status.came_ms);
        let Ok(Some((bytes, _))) = ffi::shared_data(&self.content_name()) else {
            return;
        };
        match self.is_held(&bytes) {
            true => {}
            false => match self.source.read(&bytes) {
                Ok(content) => {
                    self.hold(plugin, content, &bytes);
                    self.count("taken");
                }
                Err(fault) => self.tell_fault(&fault),
            },
        }
        self.tell_age(now_ms);
    }

    fn ask(&self, plugin: &Plugin, page: Page, status: Status, now_ms: u64) {
        match act::call(&self.source.question(&page), None) {
            Ok(token) => *self.call.borrow_mut() = Some(InFlight { token, page, status }),
            Err(failure) => self.failed(plugin, status, &FetchFault::Call(failure), now_ms),
        }
    }

    fn on_answer(&self, plugin: &Plugin, call: InFlight, body_size: usize) {
        let InFlight { page, status, .. } = call;
        let now_ms = ffi::now_ns() / 1_000_000;
        let came = self.read_answer(&page, body_size);
        match came.and_then(|body| Ok((self.source.on_page(&page, &body)?, body))) {
            Ok((Came::Ask(page), _)) => self.ask(plugin, page, status, now_ms),
            Ok((Came::Content(content), body)) => {
                if !self.is_held(&body) {
                    self.hold(plugin, content, &body);
                }
                self.held_ms.set(now_ms);
                self.told_fault.set(None);
                self.count("fetched");
                // The document first: who sees the new status finds it there.
                let stored = ffi::set_shared_data(&self.content_name(), &body, 0);
                if stored.is_ok() {
                    self.tell_all(status, status.came(now_ms, self.source.refresh_ms(), self.dice(now_ms)));
                }
                self.tell_age(now_ms);
            }
            Err(fault) => self.failed(plugin, status, &fault, now_ms),
        }
    }

    fn read_answer(&self, page: &Page, body_size: usize) -> Result<Vec<u8>, FetchFault> {
        /// Of a failure, whose text says which it is.
        const SHORT: usize = 1024;
        let headers: Headers =
            host::headers(host::Map::CalloutHeaders).map_err(|_| FetchFault::Call(callout::CalloutFailure::Garbled))?;
        let read = |max: usize| host::buffer(host::Buffer::CalloutBody, max).unwrap_or_default();
        match callout::answered(&headers, || read(SHORT)) {
            Ok(200) if body_size > self.source.max_bytes(page) => Err(FetchFault::TooLarge),
            Ok(200) => Ok(read(body_size)),
            Ok(status) => Err(FetchFault::Status(status)),
            Err(failure) => Err(FetchFault::Call(failure)),
        }
    }

    fn failed(&self, _plugin: &Plugin, status: Status, fault: &FetchFault, now_ms: u64) {
        self.count(fault.word());
        self.tell_fault(fault);
        self.tell_all(
            status,
            status.failed(now_ms, self.source.refresh_ms(), self.dice(now_ms)),
        );
    }

    /// Nobody's word counts who was given up.
    fn tell_all(&self, mine: Status, next: Status) {
        let (status, version) = self.status();
        if status == mine {
            // Whoever was quicker has told something newer.
            let _ = ffi::set_shared_data(&self.name, &next.to_bytes(), version);
        }
    }

    fn is_held(&self, bytes: &[u8]) -> bool {
        self.held.get() == Some(self.hash(bytes))
    }

    fn hold(&self, plugin: &Plugin, content: Content, bytes: &[u8]) {
        let slot = self.source.slot;
        let mut memory = plugin.memory.borrow_mut();
        match content {
            Content::Keys(keys, unused) => {
                memory.set_keys(slot, keys.into());
                for warning in &unused {
                    let mut line = entry!(Level::Warn, &format!("a key is not used: {warning}"));
                    line.string("authenticator", &self.source.authenticator);
                    line.write();
                }
            }
            Content::List(keys) => memory.set_list(slot, keys),
        }
        self.held.set(Some(self.hash(bytes)));
    }

    fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.random.build_hasher();
        hasher.write(bytes);
        hasher.finish()
    }

    fn dice(&self, now_ms: u64) -> u64 {
        self.random.hash_one(now_ms)
    }

    fn count(&self, result: &str) {
        let labels = [("authenticator", &*self.source.authenticator), ("result", result)];
        Counter::named("key_fetches_total", &labels).increment();
    }

    /// Once, until it is another or none.
    fn tell_fault(&self, fault: &FetchFault) {
        if self.told_fault.replace(Some(fault.word())) != Some(fault.word()) {
            let kept = if self.held.get().is_some() {
                ", the old ones are kept"
            } else {
                ""
            };
            let message = format!("keys cannot be fetched{kept}: {}", fault.detail());
            let mut line = entry!(Level::Error, &message);
            line.string("authenticator", &self.source.authenticator);
            line.string("cause", fault.word());
            line.string("cluster", &self.source.remote.cluster);
            line.write();
        }
    }

    /// All VMs tell the same. Again and again: a policy that goes takes back what it told.
    fn tell_age(&self, now_ms: u64) {
        if self.held.get().is_some() {
            let age_s = now_ms.saturating_sub(self.held_ms.get()) / 1000;
            if self.told_age_s.replace(Some(age_s)) == Some(age_s) {
                return;
            }
            self.set_gauge("keys_age_seconds", age_s);
        }
        self.set_gauge("keys_refresh_seconds", self.source.refresh_ms().div_ceil(1000));
    }

    fn set_gauge(&self, name: &str, value: u64) {
        metrics::set_gauge(name, &[("authenticator", &self.source.authenticator)], value);
    }
}

/// Keys that nobody uses any more do not grow old.
impl Drop for Document {
    fn drop(&mut self) {
        self.set_gauge("keys_refresh_seconds", 0);
        if self.held.get().is_some() {
            self.set_gauge("keys_age_seconds", 0);
        }
    }
}

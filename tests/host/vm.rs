//! What the host knows of one VM. One thread is one VM, as the SDK's dispatcher is.

use super::callout::{Answer, Callout, Cluster};
use super::metrics::Metrics;
use super::shared::SharedData;
use super::stream::{self, LocalReply, StreamState};
use proxy_wasm::types::{LogLevel, Status};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

pub type Foreign = Rc<dyn Fn(&[u8]) -> Result<Vec<u8>, Status>>;

/// The state behind the host calls.
pub struct Vm {
    pub now_ns: u64,
    pub log_level: LogLevel,
    pub allow_on_headers_stop_iteration: bool,
    pub vm_configuration: Vec<u8>,
    pub current: u32,
    pub effective: u32,
    pub stop_iteration: bool,
    pub after_call: VecDeque<Deferred>,
    pub root: u32,
    pub roots: BTreeMap<u32, Root>,
    pub streams: BTreeMap<u32, StreamState>,
    pub callouts: BTreeMap<u32, Callout>,
    pub cancelled: Vec<Callout>,
    pub clusters: BTreeMap<String, Cluster>,
    pub answer: Option<Answer>,
    pub logs: Vec<(LogLevel, String)>,
    pub calls: Vec<String>,
    pub refusals: Vec<Refusal>,
    /// What is read as a header map in place of what is there.
    pub raw_maps: BTreeMap<String, Vec<u8>>,
    pub metrics: Metrics,
    pub properties: BTreeMap<Vec<u8>, Vec<u8>>,
    pub properties_set: Vec<(String, Vec<u8>)>,
    pub foreign: BTreeMap<String, Foreign>,
    pub shared: SharedData,
    depth: u32,
    next_id: u32,
}

#[derive(Default)]
pub struct Root {
    pub configuration: Vec<u8>,
    pub configuring: bool,
    pub tick_period_ms: u32,
}

/// A host call that will be refused.
pub struct Refusal {
    pub words: String,
    pub status: Status,
    /// How many calls go well before, and how many are then refused.
    pub after: usize,
    pub times: usize,
}

impl Refusal {
    pub fn takes(&self, call: &str) -> bool {
        begins(call, &self.words) && self.times > 0
    }

    pub fn next(&mut self) -> Option<Status> {
        if self.after > 0 {
            self.after -= 1;
            return None;
        }
        self.times -= 1;
        Some(self.status)
    }
}

/// Whether a call begins with these whole words.
pub fn begins(call: &str, words: &str) -> bool {
    let rest = call.strip_prefix(words);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// What a host call asks for and Envoy does when the filter's callback has returned.
pub enum Deferred {
    ContinueRequest(u32),
    ContinueResponse(u32),
    Reply(u32, LocalReply),
    Reset(u32),
}

impl Vm {
    /// The context that a host call is about: the effective one if it is still there.
    pub fn context(&self) -> u32 {
        match self.is_alive(self.effective) {
            true => self.effective,
            false => self.current,
        }
    }

    pub fn is_alive(&self, context: u32) -> bool {
        self.roots.contains_key(&context) || self.streams.get(&context).is_some_and(|s| !s.deleted)
    }

    /// The stream that a host call is about; none in a root context.
    pub fn stream(&mut self) -> Option<&mut StreamState> {
        let context = self.context();
        self.streams.get_mut(&context)
    }

    /// The root that the current context belongs to.
    pub fn root_of_context(&self) -> u32 {
        let context = self.context();
        self.streams.get(&context).map_or(context, |stream| stream.root)
    }

    /// Context ids and callout tokens are never used twice in a thread: the SDK outlives a `Host`.
    pub fn new_id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    /// Drops what belongs to a context that is gone.
    pub fn cancel_callouts_of(&mut self, context: u32) {
        let gone: Vec<u32> = self
            .callouts
            .values()
            .filter(|c| c.context == context)
            .map(|c| c.token)
            .collect();
        self.cancelled
            .extend(gone.iter().filter_map(|token| self.callouts.remove(token)));
    }

    /// A new VM in the same thread.
    pub fn reset(&mut self) {
        *self = Self {
            next_id: self.next_id,
            metrics: std::mem::take(&mut self.metrics).restarted(),
            ..Self::default()
        };
    }
}

impl Default for Vm {
    fn default() -> Self {
        Self {
            now_ns: 1_767_323_045_000_000_000, // 2026-01-02T03:04:05Z
            log_level: LogLevel::Trace,
            allow_on_headers_stop_iteration: false,
            vm_configuration: Vec::new(),
            current: 0,
            effective: 0,
            stop_iteration: false,
            after_call: VecDeque::new(),
            root: 0,
            roots: BTreeMap::new(),
            streams: BTreeMap::new(),
            callouts: BTreeMap::new(),
            cancelled: Vec::new(),
            clusters: BTreeMap::new(),
            answer: None,
            logs: Vec::new(),
            calls: Vec::new(),
            refusals: Vec::new(),
            raw_maps: BTreeMap::new(),
            metrics: Metrics::default(),
            properties: BTreeMap::new(),
            properties_set: Vec::new(),
            foreign: BTreeMap::new(),
            shared: SharedData::default(),
            depth: 0,
            next_id: 0,
        }
    }
}

/// Looks at or changes the state. Never call into the filter from `f`: it would borrow again.
pub fn with<R>(f: impl FnOnce(&mut Vm) -> R) -> R {
    thread_local!(static VM: RefCell<Vm> = RefCell::default());
    VM.with_borrow_mut(f)
}

/// Calls into the filter on behalf of a context, then does what it asked for meanwhile.
/// The second value says that a local reply was sent, which overrules what the filter returned.
pub fn enter<R>(context: u32, call: impl FnOnce() -> R) -> (R, bool) {
    let (current, effective) = with(|vm| {
        vm.depth += 1;
        (
            std::mem::replace(&mut vm.current, context),
            std::mem::take(&mut vm.effective),
        )
    });
    let result = call();
    let (stopped, outermost) = with(|vm| {
        vm.depth -= 1;
        (vm.current, vm.effective) = (current, effective);
        (std::mem::take(&mut vm.stop_iteration), vm.depth == 0)
    });
    while outermost && let Some(action) = with(|vm| vm.after_call.pop_front()) {
        match action {
            Deferred::ContinueRequest(id) => stream::continue_request(id),
            Deferred::ContinueResponse(id) => stream::continue_response(id),
            Deferred::Reply(id, reply) => stream::send_reply(id, reply),
            Deferred::Reset(id) => stream::reset(id),
        }
    }
    (result, stopped)
}

//! Requests whose body is being collected for the service.

use super::act::{self, InFlight};
use super::by_number::ByNumber;
use super::root::Plugin;
use super::{ffi, report};
use crate::authn::callout::CalloutFailure;
use crate::decide::{Ask, Heard, Used};
use crate::policy::SendBody;
use std::cell::RefCell;

/// A request that waits for a body or an answer.
pub struct Waiting {
    pub request: InFlight,
    pub ask: Box<Ask>,
}

/// By stream, so that a tick can end those whose body never comes.
#[derive(Default)]
pub struct Collecting(RefCell<ByNumber<Entry>>);

enum Entry {
    Waiting {
        waiting: Waiting,
        /// For the first piece (nanoseconds since the Unix epoch); None once it is here.
        deadline_ns: Option<u64>,
    },
    /// The tick let it go on; the stream does not know yet.
    GoneOn,
}

/// The proxy shows the first piece of a body as it comes, or never.
const FIRST_PIECE_NS: u64 = 1_000_000_000;

impl Collecting {
    pub fn insert(&self, context_id: u32, waiting: Waiting, now_ns: u64) {
        let deadline_ns = Some(now_ns.saturating_add(FIRST_PIECE_NS));
        let entry = Entry::Waiting { waiting, deadline_ns };
        self.0.borrow_mut().insert(context_id, entry);
    }

    pub fn take(&self, context_id: u32) -> Option<Waiting> {
        match self.0.borrow_mut().remove(context_id) {
            Some(Entry::Waiting { waiting, .. }) => Some(waiting),
            Some(Entry::GoneOn) | None => None,
        }
    }

    /// The proxy does show bodies: how long this one takes is between the caller and the proxy's
    /// own timeouts. What is to be collected.
    pub fn piece_came(&self, context_id: u32) -> Option<SendBody> {
        match self.0.borrow_mut().get_mut(context_id)? {
            Entry::Waiting { waiting, deadline_ns } => {
                *deadline_ns = None;
                waiting.ask.question.body
            }
            Entry::GoneOn => None,
        }
    }

    pub fn has_gone_on(&self, context_id: u32) -> bool {
        matches!(self.0.borrow().get(context_id), Some(Entry::GoneOn))
    }

    fn overdue(&self, now_ns: u64) -> Vec<u32> {
        let is_overdue = |entry: &Entry| match entry {
            Entry::Waiting { deadline_ns, .. } => deadline_ns.is_some_and(|deadline| deadline <= now_ns),
            Entry::GoneOn => false,
        };
        let entries = self.0.borrow();
        let overdue = entries.iter().filter(|(_, entry)| is_overdue(entry));
        overdue.map(|(id, _)| id).collect()
    }
}

/// Ends requests whose body never came: the proxy holds it back from a filter that lacks
/// `allow_on_headers_stop_iteration`.
pub fn end_overdue(plugin: &Plugin, now_ns: u64) {
    let overdue = plugin.collecting.overdue(now_ns);
    if overdue.is_empty() {
        return;
    }
    for context_id in overdue {
        match ffi::set_effective_context(context_id) {
            Ok(()) => end(plugin, context_id),
            // A stream that is gone is not here: the next tick tries again.
            Err(error) => report::host_error("set_effective_context", error),
        }
    }
    let _ = ffi::set_effective_context(plugin.root_id);
}

fn end(plugin: &Plugin, context_id: u32) {
    let Some(Waiting { request, ask }) = plugin.collecting.take(context_id) else {
        return;
    };
    let unseen = Heard::Failed(CalloutFailure::BodyUnseen);
    let step = act::heard(plugin, ask.awaiting, unseen, Used::Asked, ffi::now_ns());
    // Under `mode: observe` it does.
    if act::go_on(plugin, &request, step).is_some() {
        plugin.collecting.0.borrow_mut().insert(context_id, Entry::GoneOn);
    }
}

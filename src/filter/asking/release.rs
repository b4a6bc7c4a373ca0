//! An answer is here: who waited for it goes on.

use super::calls::{self, Asked, Outcome};
use super::{Own, State, Waits};
use crate::authn::callout::{Answer, CalloutFailure, MAX_DENIAL_BODY_BYTES};
use crate::decide::{Call, Heard, Step, Used};
use crate::filter::act::{self, InFlight};
use crate::filter::root::Plugin;
use crate::filter::{ffi, host, report};

/// Each costs a dozen host calls, all of them a few milliseconds: the worker has other streams to serve.
pub const MOST_AT_ONCE: usize = 256;

/// In the root's callback.
pub fn answer_came(plugin: &Plugin, token: u32, body_size: usize) {
    let Some(asked) = plugin.asking.calls.borrow_mut().remove(token) else {
        return;
    };
    let Asked { call, leader, sent_ns } = asked;
    let now_ns = ffi::now_ns();
    let took_ns = now_ns.saturating_sub(sent_ns);
    plugin.counters.time_callout(call.authenticator().slot, took_ns);
    plugin.asking.in_root.set(true);
    let heard = act::answered(plugin, &call, read(&call, body_size), now_ns);
    let followers = match call.key() {
        // One that refreshes has no flight of its own: whoever waits for the same is served by it as well.
        Some(flight) => plugin.asking.flights.borrow_mut().land(&flight),
        None => Vec::new(),
    };
    if let Some(leader) = leader {
        finish(plugin, leader, &heard, Used::Asked, now_ns);
    }
    let mut now = 0;
    for follower in followers {
        let mut streams = plugin.asking.streams.borrow_mut();
        // Those who left have no state any more, and a number is not given twice while its stream lives.
        let Some(State::Waits(waits)) = streams.get_mut(follower) else {
            continue;
        };
        if waits.follows() != call.key() {
            continue;
        }
        waits.heard = Some(heard.clone());
        drop(streams);
        match now < MOST_AT_ONCE {
            true => release(plugin, follower),
            false => plugin.asking.released.borrow_mut().push_back(follower),
        }
        now += 1;
    }
    // What context was chosen last is nothing to the next callback.
    plugin.asking.in_root.set(false);
}

/// In the root's callback: goes on with those whose answer is here, and ends those who waited too long.
pub fn end_overdue(plugin: &Plugin, now_ns: u64) {
    plugin.asking.in_root.set(true);
    for _ in 0..MOST_AT_ONCE {
        let Some(context_id) = plugin.asking.released.borrow_mut().pop_front() else {
            break;
        };
        release(plugin, context_id);
    }
    let overdue: Vec<u32> = {
        let streams = plugin.asking.streams.borrow();
        let is_overdue = |state: &State| match state {
            State::Waits(waits) => waits.deadline_ns <= now_ns && waits.heard.is_none(),
            State::GoneOn(_) | State::Refused => false,
        };
        let overdue = streams.iter().filter(|(_, state)| is_overdue(state));
        overdue.map(|(id, _)| id).take(MOST_AT_ONCE).collect()
    };
    for context_id in overdue {
        give_up(plugin, context_id);
        finish(
            plugin,
            context_id,
            &Heard::Failed(CalloutFailure::Timeout),
            Used::Joined,
            now_ns,
        );
    }
    plugin.asking.in_root.set(false);
    // What the tick does next is the root's.
    if let Err(error) = ffi::set_effective_context(plugin.root_id) {
        report::host_error("set_effective_context", error);
    }
}

/// The call that this one waits for is lost: whoever comes to ask the same asks anew.
fn give_up(plugin: &Plugin, context_id: u32) {
    let flight = match plugin.asking.streams.borrow().get(context_id) {
        Some(State::Waits(waits)) => waits.flight,
        _ => None,
    };
    if let Some((flight, number)) = flight {
        plugin.asking.flights.borrow_mut().give_up(&flight, number);
    }
}

fn read(call: &Call, body_size: usize) -> Answer {
    match host::headers(host::Map::CalloutHeaders) {
        Err(_) => Answer::Failure(CalloutFailure::Garbled),
        Ok(headers) => {
            let wanted = body_size > 0 && body_size <= MAX_DENIAL_BODY_BYTES && call.reads_body(&headers);
            let body = wanted
                .then(|| host::buffer(host::Buffer::CalloutBody, body_size).ok())
                .flatten();
            Answer::Reply { headers, body }
        }
    }
}

/// One who waited for another's answer. What is that request's alone answers nobody else: it asks itself.
fn release(plugin: &Plugin, context_id: u32) {
    let shareable = |heard: &Heard| match heard {
        Heard::Said { kept, .. } => *kept,
        Heard::Failed(failure) => failure.is_outage(),
    };
    let heard = match plugin.asking.streams.borrow_mut().get_mut(context_id) {
        Some(State::Waits(waits)) => waits.heard.take(),
        _ => None,
    };
    let Some(heard) = heard else { return };
    if shareable(&heard) {
        return finish(plugin, context_id, &heard, Used::Joined, ffi::now_ns());
    }
    if !choose(context_id) {
        return;
    }
    let Some(waits) = plugin.asking.take(context_id) else {
        return;
    };
    let Waits {
        request, awaiting, own, ..
    } = *waits;
    let Some(Own { question, call, .. }) = own else { return };
    let sent = (question, call, None);
    match calls::alone(plugin, context_id, request, awaiting, sent, ffi::now_ns()) {
        Outcome::Waits => {}
        Outcome::Decided(request, step) => go_on(plugin, context_id, &request, step),
    }
}

fn finish(plugin: &Plugin, context_id: u32, heard: &Heard, used: Used, now_ns: u64) {
    if !plugin.asking.waits(context_id) || !choose(context_id) {
        return;
    }
    let Some(waits) = plugin.asking.take(context_id) else {
        return;
    };
    let Waits { request, awaiting, .. } = *waits;
    let step = act::heard(plugin, awaiting, heard.clone(), used, now_ns);
    go_on(plugin, context_id, &request, step);
}

/// False where it cannot be: it waits on, and a tick ends it at its deadline.
fn choose(context_id: u32) -> bool {
    match ffi::set_effective_context(context_id) {
        Ok(()) => true,
        Err(error) => {
            report::host_error("set_effective_context", error);
            false
        }
    }
}

/// What became of the stream is left for its own callbacks.
fn go_on(plugin: &Plugin, context_id: u32, request: &InFlight, step: Step) {
    let state = match act::go_on(plugin, request, step) {
        Some(then) => State::GoneOn(then),
        None => State::Refused,
    };
    plugin.asking.streams.borrow_mut().insert(context_id, state);
}

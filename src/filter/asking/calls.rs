//! A question goes out.

use super::{Asking, Own, State, Waits};
use crate::authn::callout::{Answer, CalloutFailure, Question};
use crate::decide::{Ask, Awaiting, Call, Heard, Refresh, Step, Used};
use crate::filter::act::{self, InFlight};
use crate::filter::ffi;
use crate::filter::root::Plugin;
use crate::flight::{Flight, Number, Place};
use std::time::Duration;

pub struct Asked {
    pub call: Call,
    /// None: no request waits for it by itself.
    pub leader: Option<u32>,
    pub sent_ns: u64,
}

impl Asked {
    fn now(call: Call, leader: Option<u32>) -> Self {
        let sent_ns = ffi::now_ns();
        Self { call, leader, sent_ns }
    }
}

/// What the root's own callback is to send: the SDK takes an answer to whoever's callback sent the question.
pub struct HandedOver {
    question: Question,
    body: Option<Vec<u8>>,
    sent: Option<Result<u32, CalloutFailure>>,
}

/// What became of a request that had to ask.
pub enum Outcome {
    Waits,
    Decided(InFlight, Step),
}

/// Envoy ends a call at its timeout. Should the answer get lost all the same, nobody waits much longer.
const GRACE: Duration = Duration::from_millis(500);

/// Asks, or waits for the answer to the same question of another request.
pub fn ask(
    plugin: &Plugin,
    context_id: u32,
    request: InFlight,
    ask: Box<Ask>,
    body: Option<Vec<u8>>,
    now_ns: u64,
) -> Outcome {
    let Ask {
        question,
        call,
        awaiting,
    } = *ask;
    let Some(flight) = call.key() else {
        return alone(plugin, context_id, request, awaiting, (question, call, body), now_ns);
    };
    let (most, refuses) = call.most_waiting();
    let place = plugin.asking.flights.borrow_mut().join(flight, context_id, most);
    match place {
        Place::Leader(number) => {
            let asked = (question, call, body);
            let flies = Some((flight, number));
            let outcome = send_for(plugin, context_id, request, awaiting, asked, flies, now_ns);
            if let Outcome::Decided(..) = outcome {
                plugin.asking.flights.borrow_mut().land(&flight);
            }
            outcome
        }
        Place::Follower(number) => plugin.asking.wait(
            context_id,
            Waits {
                deadline_ns: deadline_ns(request.started_ns, question.timeout),
                request,
                awaiting,
                flight: Some((flight, number)),
                own: Some(Own { question, call }),
                heard: None,
            },
        ),
        Place::Full if refuses => {
            let failed = Heard::Failed(CalloutFailure::TooManyWaiting);
            let step = act::heard(plugin, awaiting, failed, Used::Asked, now_ns);
            Outcome::Decided(request, step)
        }
        Place::Full => alone(plugin, context_id, request, awaiting, (question, call, body), now_ns),
    }
}

type Sent = (Question, Call, Option<Vec<u8>>);

/// Asks for this request, whoever else asks the same.
pub(super) fn alone(
    plugin: &Plugin,
    context_id: u32,
    request: InFlight,
    awaiting: Awaiting,
    sent: Sent,
    now_ns: u64,
) -> Outcome {
    send_for(plugin, context_id, request, awaiting, sent, None, now_ns)
}

fn send_for(
    plugin: &Plugin,
    context_id: u32,
    request: InFlight,
    awaiting: Awaiting,
    (question, mut call, body): Sent,
    flight: Option<(Flight, Number)>,
    now_ns: u64,
) -> Outcome {
    let timeout = question.timeout;
    let since_ns = match body {
        // How long it took to come was between the caller and the proxy.
        Some(_) => now_ns,
        None => request.started_ns,
    };
    if let Err(failure) = act::leave(plugin, &mut call, now_ns) {
        let step = act::heard(plugin, awaiting, Heard::Failed(failure), Used::Asked, now_ns);
        return Outcome::Decided(request, step);
    }
    match send(plugin, context_id, question, body) {
        Ok(token) => {
            let leader = Some(context_id);
            plugin.asking.calls.borrow_mut().insert(token, Asked::now(call, leader));
            let waits = Waits {
                deadline_ns: deadline_ns(since_ns, timeout),
                request,
                awaiting,
                flight,
                own: None,
                heard: None,
            };
            plugin.asking.wait(context_id, waits)
        }
        Err(failure) => {
            let heard = act::answered(plugin, &call, Answer::Failure(failure), now_ns);
            let step = act::heard(plugin, awaiting, heard, Used::Asked, now_ns);
            Outcome::Decided(request, step)
        }
    }
}

/// A question that no request waits for; those who come to ask the same do.
pub fn refresh(plugin: &Plugin, context_id: u32, refresh: Refresh) {
    let Refresh { question, mut call } = refresh;
    let now_ns = ffi::now_ns();
    if act::leave(plugin, &mut call, now_ns).is_err() {
        return;
    }
    match send(plugin, context_id, question, None) {
        Ok(token) => {
            plugin.asking.calls.borrow_mut().insert(token, Asked::now(call, None));
        }
        Err(failure) => {
            act::answered(plugin, &call, Answer::Failure(failure), now_ns);
        }
    }
}

fn deadline_ns(since_ns: u64, timeout: Duration) -> u64 {
    let until = timeout.saturating_add(GRACE);
    since_ns.saturating_add(u64::try_from(until.as_nanos()).unwrap_or(u64::MAX))
}

impl Asking {
    fn wait(&self, context_id: u32, waits: Waits) -> Outcome {
        let state = State::Waits(Box::new(waits));
        self.streams.borrow_mut().insert(context_id, state);
        Outcome::Waits
    }
}

fn send(plugin: &Plugin, context_id: u32, question: Question, body: Option<Vec<u8>>) -> Result<u32, CalloutFailure> {
    let asking = &plugin.asking;
    if asking.in_root.get() {
        ffi::set_effective_context(plugin.root_id).map_err(|_| CalloutFailure::Host)?;
        let sent = act::call(&question, body.as_deref());
        return ffi::set_effective_context(context_id).map_or(Err(CalloutFailure::Host), |()| sent);
    }
    // A root that is gone would be no root to the SDK either.
    ffi::set_effective_context(plugin.root_id).map_err(|_| CalloutFailure::Host)?;
    *asking.handed_over.borrow_mut() = Some(HandedOver {
        question,
        body,
        sent: None,
    });
    ffi::run_root(plugin.root_id);
    let handed = asking.handed_over.borrow_mut().take();
    ffi::set_effective_context(context_id).map_err(|_| CalloutFailure::Host)?;
    handed
        .and_then(|handed| handed.sent)
        .unwrap_or(Err(CalloutFailure::Host))
}

/// In the root's callback: whether there was something to send.
pub fn send_handed_over(plugin: &Plugin) -> bool {
    match plugin.asking.handed_over.borrow_mut().as_mut() {
        Some(handed) => {
            handed.sent = Some(act::call(&handed.question, handed.body.as_deref()));
            true
        }
        None => false,
    }
}

impl Waits {
    /// Which flight it waits for, if it does not ask itself.
    pub(super) fn follows(&self) -> Option<Flight> {
        self.own.as_ref()?;
        self.flight.map(|(flight, _)| flight)
    }
}

//! Requests that wait for a service's answer. Every call is the root's, so that a client who leaves takes
//! nobody's answer along; whoever asks the same waits for the same call.

mod calls;
mod release;

pub use calls::{Outcome, ask, refresh, send_handed_over};
pub use release::{answer_came, end_overdue};

use super::act::{InFlight, Then};
use super::by_number::ByNumber;
use crate::decide::{Awaiting, Call, Heard};
use crate::flight::{Flight, Flights, Number};
use calls::{Asked, HandedOver};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

#[derive(Default)]
pub struct Asking {
    handed_over: RefCell<Option<HandedOver>>,
    /// Whether the root's own callback runs.
    in_root: Cell<bool>,
    /// By token.
    calls: RefCell<ByNumber<Asked>>,
    streams: RefCell<ByNumber<State>>,
    flights: RefCell<Flights>,
    /// Whom the next ticks let go on.
    released: RefCell<VecDeque<u32>>,
}

enum State {
    Waits(Box<Waits>),
    /// Decided while the stream itself was not called; it does not know yet.
    GoneOn(Then),
    Refused,
}

struct Waits {
    request: InFlight,
    awaiting: Awaiting,
    /// Nanoseconds since the Unix epoch; its own, from its own arrival or the end of its body.
    deadline_ns: u64,
    /// The flight that it leads or follows.
    flight: Option<(Flight, Number)>,
    /// Of one who waits for another's answer: what it would ask itself.
    own: Option<Own>,
    /// Came for it, and the tick has not got so far yet.
    heard: Option<Heard>,
}

struct Own {
    question: crate::authn::callout::Question,
    call: Call,
}

/// What a stream learns of itself.
pub enum Told {
    Waits,
    /// What is done when its response comes.
    GoneOn(Then),
    Refused,
}

impl Asking {
    pub fn tell(&self, context_id: u32) -> Told {
        let mut streams = self.streams.borrow_mut();
        if let Some(State::Waits(_)) = streams.get(context_id) {
            return Told::Waits;
        }
        match streams.remove(context_id) {
            Some(State::GoneOn(then)) => Told::GoneOn(then),
            _ => Told::Refused,
        }
    }

    /// The stream is over, or is refused where it stands. Its question goes on: others may wait for the answer.
    pub fn leave(&self, context_id: u32) -> Option<InFlight> {
        let state = self.streams.borrow_mut().remove(context_id);
        match state {
            Some(State::Waits(waits)) => {
                self.waits_no_longer(&waits);
                Some(waits.request)
            }
            _ => None,
        }
    }

    pub fn followers(&self, slot: usize) -> usize {
        self.flights.borrow().followers(slot)
    }

    pub fn has_released(&self) -> bool {
        !self.released.borrow().is_empty()
    }

    fn waits(&self, context_id: u32) -> bool {
        matches!(self.streams.borrow().get(context_id), Some(State::Waits(_)))
    }

    fn waits_no_longer(&self, waits: &Waits) {
        if let Some((slot, _)) = waits.follows() {
            self.flights.borrow_mut().leave(slot);
        }
    }

    fn take(&self, context_id: u32) -> Option<Box<Waits>> {
        let mut streams = self.streams.borrow_mut();
        match streams.remove(context_id) {
            Some(State::Waits(waits)) => {
                drop(streams);
                self.waits_no_longer(&waits);
                Some(waits)
            }
            Some(other) => {
                streams.insert(context_id, other);
                None
            }
            None => None,
        }
    }
}

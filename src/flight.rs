//! Who waits for whose answer: simultaneous requests that would ask a service the same wait for one
//! answer.

use crate::cache::Key;
use std::collections::HashMap;

/// A stream, as the host numbers them.
pub type StreamId = u32;

/// The service by its slot, and what it is asked.
pub type Flight = (usize, Key);

/// Tells a flight from those before and after it that are for the same.
pub type Number = u64;

/// What became of a request that would ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nobody asks this yet: ask.
    Leader(Number),
    /// The answer is on its way.
    Follower(Number),
    /// Too many wait already.
    Full,
}

#[derive(Debug, Default)]
pub struct Flights {
    waiting: HashMap<Flight, (Number, Vec<StreamId>)>,
    last: Number,
    /// By slot: how many wait for answers that others asked for.
    followers: Vec<usize>,
}

/// Those who left are passed over when the answer is here, not looked for before: ten thousand who leave together
/// would each walk past all others. So one answer may have this many times `most` names.
const LEFT_BEHIND: usize = 4;

impl Flights {
    /// `most`: how many may wait at the service for answers that others asked for.
    pub fn join(&mut self, flight: Flight, stream: StreamId, most: usize) -> Place {
        let Some((number, names)) = self.waiting.get_mut(&flight) else {
            self.last = self.last.wrapping_add(1);
            self.waiting.insert(flight, (self.last, Vec::new()));
            return Place::Leader(self.last);
        };
        let slot = flight.0;
        if slot >= self.followers.len() {
            self.followers.resize(slot.saturating_add(1), 0);
        }
        let Some(followers) = self.followers.get_mut(slot) else {
            return Place::Full;
        };
        if *followers >= most || names.len() >= most.saturating_mul(LEFT_BEHIND) {
            return Place::Full;
        }
        *followers += 1;
        names.push(stream);
        Place::Follower(*number)
    }

    /// The answer is here: who waited for it, in the order they came, and who left before.
    pub fn land(&mut self, flight: &Flight) -> Vec<StreamId> {
        self.waiting.remove(flight).unwrap_or_default().1
    }

    /// The answer is lost: whoever comes now asks anew. Those who wait end at their own deadlines.
    pub fn give_up(&mut self, flight: &Flight, number: Number) {
        if self.waiting.get(flight).is_some_and(|(known, _)| *known == number) {
            self.waiting.remove(flight);
        }
    }

    /// A follower waits no longer.
    pub fn leave(&mut self, slot: usize) {
        if let Some(followers) = self.followers.get_mut(slot) {
            *followers = followers.saturating_sub(1);
        }
    }

    /// How many wait at the service for answers that others asked for.
    pub fn followers(&self, slot: usize) -> usize {
        self.followers.get(slot).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_asks_and_the_others_wait() {
        let mut flights = Flights::default();
        let flight = (0, Key::default());
        assert_eq!(flights.join(flight, 1, 2), Place::Leader(1));
        assert_eq!(flights.join(flight, 2, 2), Place::Follower(1));
        assert_eq!(flights.join(flight, 3, 2), Place::Follower(1));
        assert_eq!(flights.join(flight, 4, 2), Place::Full);
        assert_eq!(
            flights.join((1, Key::default()), 5, 2),
            Place::Leader(2),
            "another service"
        );
        flights.leave(0);
        assert_eq!(flights.join(flight, 6, 2), Place::Follower(1), "one has left");
        assert_eq!(flights.land(&flight), [2, 3, 6]);
        assert_eq!(flights.followers(0), 2, "until each has gone on");
        assert_eq!(flights.join(flight, 7, 2), Place::Leader(3));
    }

    #[test]
    fn who_comes_and_leaves_again_and_again_leaves_little_behind() {
        let mut flights = Flights::default();
        let flight = (0, Key::default());
        flights.join(flight, 0, 2);
        for stream in 1..1_000 {
            if let Place::Follower(_) = flights.join(flight, stream, 2) {
                flights.leave(0);
            }
        }
        assert_eq!(flights.land(&flight).len(), 8);
    }

    #[test]
    fn a_lost_flight_takes_no_other_along() {
        let mut flights = Flights::default();
        let flight = (0, Key::default());
        flights.join(flight, 1, 9);
        flights.join(flight, 2, 9);
        flights.give_up(&flight, 1);
        assert_eq!(flights.join(flight, 3, 9), Place::Leader(2));
        flights.join(flight, 4, 9);
        flights.give_up(&flight, 1);
        assert_eq!(flights.land(&flight), [4]);
    }
}

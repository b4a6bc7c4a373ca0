//! The last orders to forget, as all workers know them: each has a number, so that nobody obeys one twice or misses
//! one without noticing.

use super::orders::{MAX_ORDERS_KEPT, Order};
use crate::wire::{Reader, Writer};
use std::collections::VecDeque;

/// How far the orders were known: of which ring, and up to which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    pub ring: u64,
    pub order: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    id: u64,
    /// The number of the newest order; they are numbered from 1.
    last: u64,
    orders: VecDeque<Order>,
}

/// Every worker reads it whole when it changes, and copies it on every tick.
const MAX_BYTES: usize = 32 * 1024;
/// An order about somebody whose name is longer is one to forget everything.
const MAX_SUBJECT_BYTES: usize = 1024;

const EVERYTHING: u8 = 0;
const SUBJECT: u8 = 1;
const CREDENTIAL: u8 = 2;
const EPOCH: u8 = 3;
/// In place of a slot.
const ALL: u64 = u64::MAX;

impl Ring {
    /// Whoever comes first makes the same.
    pub fn first() -> Self {
        Self::empty(1)
    }

    /// In place of one that cannot be read; whoever knew that forgets everything.
    pub fn anew(now_ms: u64) -> Self {
        Self::empty(now_ms)
    }

    fn empty(id: u64) -> Self {
        Self {
            id,
            last: 0,
            orders: VecDeque::new(),
        }
    }

    pub fn stamp(&self) -> Stamp {
        Stamp {
            ring: self.id,
            order: self.last,
        }
    }

    /// Orders never go back.
    pub fn is_behind(&self, known: &Self) -> bool {
        self.id == known.id && self.last < known.last
    }

    /// What was ordered since; None where that is not known any more.
    pub fn since(&self, stamp: Stamp) -> Option<impl Iterator<Item = &Order>> {
        let new = self.last.checked_sub(stamp.order).filter(|_| stamp.ring == self.id)?;
        let skipped = self.orders.len().checked_sub(usize::try_from(new).ok()?)?;
        Some(self.orders.iter().skip(skipped))
    }

    pub fn push(&mut self, order: &Order) {
        let subject = match order {
            Order::Subject { subject, .. } => Some(subject),
            Order::Epoch { subject, .. } => subject.as_ref(),
            Order::Everything | Order::Credential(_) => None,
        };
        self.last = self.last.saturating_add(1);
        self.orders
            .push_back(match subject.is_some_and(|name| name.len() > MAX_SUBJECT_BYTES) {
                true => Order::Everything,
                false => order.clone(),
            });
        if self.orders.len() > MAX_ORDERS_KEPT {
            self.orders.pop_front();
        }
    }

    pub fn write(&self) -> Vec<u8> {
        let orders: Vec<Vec<u8>> = self.orders.iter().map(write_order).collect();
        let mut room = MAX_BYTES;
        let fitting = orders.iter().rev().take_while(|order| {
            let left = room.checked_sub(order.len());
            room = left.unwrap_or(0);
            left.is_some()
        });
        let fitting = fitting.count();
        let mut to = Writer::default();
        to.number(self.id);
        to.number(self.last);
        to.count(fitting);
        let newest = orders.iter().skip(orders.len() - fitting);
        newest.for_each(|order| to.0.extend_from_slice(order));
        to.0
    }

    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        let ring = Self {
            id: from.number()?,
            last: from.number()?,
            orders: from.list(read_order)?.into(),
        };
        from.end()?;
        let possible = ring.orders.len() <= MAX_ORDERS_KEPT && ring.orders.len() as u64 <= ring.last;
        possible.then_some(ring)
    }
}

fn write_order(order: &Order) -> Vec<u8> {
    let mut to = Writer::default();
    let slot_of = |slot: &usize| *slot as u64;
    match order {
        Order::Everything => to.byte(EVERYTHING),
        Order::Subject { slot, subject } => {
            to.byte(SUBJECT);
            to.number(slot.as_ref().map_or(ALL, slot_of));
            to.bytes(subject.as_bytes());
        }
        Order::Credential(tag) => {
            to.byte(CREDENTIAL);
            to.number(*tag);
        }
        Order::Epoch { slot, epoch, subject } => {
            to.byte(EPOCH);
            to.number(slot_of(slot));
            to.number(*epoch);
            // A subject is never empty.
            to.bytes(subject.as_deref().unwrap_or_default().as_bytes());
        }
    }
    to.0
}

fn read_order(from: &mut Reader) -> Option<Order> {
    let slot_of = |slot: u64| usize::try_from(slot).ok();
    Some(match from.byte()? {
        EVERYTHING => Order::Everything,
        SUBJECT => Order::Subject {
            slot: match from.number()? {
                ALL => None,
                slot => Some(slot_of(slot)?),
            },
            subject: from.text()?,
        },
        CREDENTIAL => Order::Credential(from.number()?),
        EPOCH => Order::Epoch {
            slot: slot_of(from.number()?)?,
            epoch: from.number()?,
            subject: Some(from.text()?).filter(|subject| !subject.is_empty()),
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> Order {
        Order::Subject {
            slot: None,
            subject: "alice".into(),
        }
    }

    fn ring(orders: &[Order]) -> Ring {
        let mut ring = Ring::first();
        orders.iter().for_each(|order| ring.push(order));
        ring
    }

    #[test]
    fn every_order_comes_out_as_it_went_in() {
        let epoch = |subject: Option<&str>| Order::Epoch {
            slot: 3,
            epoch: u64::MAX,
            subject: subject.map(str::to_owned),
        };
        let slot_0 = Order::Subject {
            slot: Some(0),
            subject: "böb".into(),
        };
        let ring = ring(&[
            Order::Everything,
            alice(),
            slot_0,
            Order::Credential(7),
            epoch(None),
            epoch(Some("alice")),
        ]);
        assert_eq!(Ring::read(&ring.write()), Some(ring.clone()));
        let bytes = ring.write();
        for cut in 0..bytes.len() {
            assert_eq!(Ring::read(&bytes[..cut]), None, "{cut} of {}", bytes.len());
        }
        assert_eq!(Ring::read(&[bytes, vec![0]].concat()), None);
    }

    #[test]
    fn what_is_new_or_lost() {
        let ring = ring(&[Order::Everything, alice(), Order::Credential(7)]);
        let since = |id, order| Some(ring.since(Stamp { ring: id, order })?.count());
        assert_eq!(
            [0, 1, 2, 3, 4].map(|order| since(1, order)),
            [Some(3), Some(2), Some(1), Some(0), None]
        );
        assert_eq!(since(2, 3), None, "another ring");
    }

    #[test]
    fn bounded_and_whoever_is_far_behind_notices() {
        let mut ring = Ring::first();
        for n in 0..1000_u64 {
            ring.push(&Order::Credential(n));
        }
        let kept = Ring::read(&ring.write()).expect("readable");
        let first_known = 1000 - MAX_ORDERS_KEPT as u64;
        let since = |order| kept.since(Stamp { ring: 1, order }).is_some();
        assert_eq!([since(first_known - 1), since(first_known)], [false, true]);

        let long = Order::Subject {
            slot: None,
            subject: "x".repeat(MAX_SUBJECT_BYTES),
        };
        for _ in 0..100 {
            ring.push(&long);
        }
        let bytes = ring.write();
        assert!(bytes.len() <= MAX_BYTES + 20, "{}", bytes.len());
        let kept = Ring::read(&bytes).expect("readable");
        assert_eq!(kept.stamp(), ring.stamp());
        assert!(kept.since(Stamp { ring: 1, order: 1090 }).is_some());
        assert!(kept.since(Stamp { ring: 1, order: 1010 }).is_none());
    }

    #[test]
    fn a_name_too_long_to_keep_forgets_everything() {
        let long = Order::Subject {
            slot: None,
            subject: "x".repeat(MAX_SUBJECT_BYTES + 1),
        };
        assert_eq!(ring(&[long]), ring(&[Order::Everything]));
    }
}

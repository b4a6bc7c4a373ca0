//! Orders to forget: where they come from, whom they concern, and how long they stand.

use crate::cache::{CredentialTag, Remembered};
use crate::header::Headers;
use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};

/// What is to be forgotten. The same in every worker: slots are of the policy, tags of the credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    Everything,
    /// A caller, of one authenticator or of all.
    Subject {
        slot: Option<usize>,
        subject: String,
    },
    Credential(u64),
    /// A service said that what it answered before is outdated.
    Epoch {
        slot: usize,
        epoch: u64,
        /// None: of all its callers.
        subject: Option<String>,
    },
}

/// Orders that may still meet an answer to a question asked before them. The longest callout takes 60 s.
const STAND_MS: u64 = 120_000;
/// More at a time are as one to forget everything.
pub const MAX_ORDERS_KEPT: usize = 256;
/// Subjects whose epoch is known; past it the oldest epochs may be heard again, which forgets too much.
const MAX_EPOCHS: usize = 10_000;
/// A subject of an auth service's reply, in `x-meshgate-epoch`.
const MAX_SUBJECT_BYTES: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Orders {
    standing: VecDeque<(u64, Order)>,
    /// Nothing that was asked before (milliseconds since the Unix epoch) may be remembered.
    nothing_before_ms: u64,
    epochs: HashMap<(usize, Option<String>), u64>,
    to_tell: Vec<Order>,
}

impl Order {
    pub fn concerns(&self, slot: usize) -> bool {
        match self {
            Self::Everything | Self::Credential(_) | Self::Subject { slot: None, .. } => true,
            Self::Subject { slot: Some(of), .. } | Self::Epoch { slot: of, .. } => *of == slot,
        }
    }

    pub fn outdates(&self, answer: &Remembered, credential: CredentialTag) -> bool {
        let is = |subject: &str| matches!(answer, Remembered::Known(principal, _) if principal.subject == subject);
        match self {
            Self::Everything | Self::Epoch { subject: None, .. } => true,
            Self::Credential(tag) => credential.0 == *tag,
            Self::Subject { subject, .. }
            | Self::Epoch {
                subject: Some(subject), ..
            } => is(subject),
        }
    }
}

/// What an order says that was not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// To be obeyed.
    Forget,
    /// To be obeyed; what is said from here on stands.
    Epoch,
    Known,
    /// An epoch that is over.
    Outdated,
}

impl News {
    /// Whether the answer may be remembered that the order came with.
    pub fn spares_its_bearer(self) -> bool {
        matches!(self, Self::Epoch | Self::Known)
    }
}

impl Orders {
    pub fn take_down(&mut self, order: &Order, now_ms: u64) -> News {
        let mut news = News::Forget;
        if let Order::Epoch { slot, epoch, subject } = order {
            if self.epochs.len() >= MAX_EPOCHS {
                self.epochs.clear();
            }
            let known = self.epochs.entry((*slot, subject.clone())).or_insert(0);
            match (*epoch).cmp(known) {
                Ordering::Less => return News::Outdated,
                Ordering::Equal => return News::Known,
                Ordering::Greater => *known = *epoch,
            }
            news = News::Epoch;
        }
        while let Some((given_ms, _)) = self.standing.front()
            && (given_ms.saturating_add(STAND_MS) < now_ms || self.standing.len() >= MAX_ORDERS_KEPT)
        {
            if given_ms.saturating_add(STAND_MS) >= now_ms {
                self.nothing_before_ms = self.nothing_before_ms.max(*given_ms);
            }
            self.standing.pop_front();
        }
        self.standing.push_back((now_ms, order.clone()));
        news
    }

    pub fn outdate(&self, slot: usize, answer: &Remembered, credential: CredentialTag, asked_ms: u64) -> bool {
        let since = self.standing.iter().filter(|(given_ms, _)| *given_ms >= asked_ms);
        let mut orders = since.map(|(_, order)| order);
        asked_ms <= self.nothing_before_ms
            || orders.any(|order| order.concerns(slot) && order.outdates(answer, credential))
    }

    /// What waits for a tick is bounded: more is as one to forget everything.
    pub fn tell(&mut self, order: Order) {
        if self.to_tell.len() >= MAX_ORDERS_KEPT {
            self.to_tell = vec![Order::Everything];
        }
        self.to_tell.push(order);
    }

    pub fn to_tell(&self) -> &[Order] {
        &self.to_tell
    }

    pub fn told(&mut self) {
        self.to_tell.clear();
    }
}

/// `x-meshgate-epoch: 17`, or `17; alice`: what the service answered under a lower number, of all callers or
/// of one, is outdated. A value that cannot be read outdates everything: somebody meant to.
pub fn epoch_header(slot: usize, headers: &Headers) -> Option<Order> {
    let mut values = headers.all("x-meshgate-epoch");
    let (first, second) = (values.next()?, values.next());
    let read = || {
        let text = std::str::from_utf8(first).ok()?;
        let (number, subject) = match text.split_once(';') {
            Some((number, subject)) => (number, Some(subject.trim())),
            None => (text, None),
        };
        let epoch = number.trim().parse().ok()?;
        let fits = subject.is_none_or(|subject| !subject.is_empty() && subject.len() <= MAX_SUBJECT_BYTES);
        fits.then(|| Order::Epoch {
            slot,
            epoch,
            subject: subject.map(str::to_owned),
        })
    };
    match second {
        None => Some(read().unwrap_or(Order::Everything)),
        Some(_) => Some(Order::Everything),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::Principal;
    use crate::authn::callout::Accepted;
    use std::sync::Arc;

    const NOW: u64 = 1_800_000_000_000;
    const TAG: CredentialTag = CredentialTag(7);

    fn alice() -> Remembered {
        let principal = Principal {
            subject: "alice".into(),
            ..Principal::nobody()
        };
        Remembered::Known(Arc::new(principal), Accepted::default())
    }

    fn subject(name: &str) -> Order {
        Order::Subject {
            slot: Some(1),
            subject: name.into(),
        }
    }

    #[test]
    fn what_was_asked_before_an_order_is_not_remembered() {
        let mut orders = Orders::default();
        orders.take_down(&subject("alice"), NOW);
        assert!(orders.outdate(1, &alice(), TAG, NOW - 5));
        assert!(orders.outdate(1, &alice(), TAG, NOW), "in the same millisecond");
        assert!(!orders.outdate(1, &alice(), TAG, NOW + 1));
        assert!(
            !orders.outdate(0, &alice(), TAG, NOW - 5),
            "another authenticator's alice"
        );
        orders.take_down(&Order::Credential(7), NOW + 10);
        assert!(orders.outdate(0, &alice(), TAG, NOW + 9));
    }

    #[test]
    fn a_flood_of_orders_forgets_too_much_rather_than_too_little() {
        let mut orders = Orders::default();
        orders.take_down(&subject("alice"), NOW);
        for n in 0..2 * MAX_ORDERS_KEPT as u64 {
            orders.take_down(&subject(&n.to_string()), NOW + 1 + n);
        }
        assert!(orders.standing.len() <= MAX_ORDERS_KEPT);
        assert!(orders.outdate(1, &alice(), TAG, NOW - 1));
        assert!(!orders.outdate(1, &alice(), TAG, NOW + 10_000));
    }

    #[test]
    fn an_epoch_is_heard_once() {
        let mut orders = Orders::default();
        let epoch = |epoch, subject: Option<&str>| Order::Epoch {
            slot: 0,
            epoch,
            subject: subject.map(str::to_owned),
        };
        let mut news = |order| orders.take_down(&order, NOW);
        assert_eq!(news(epoch(5, None)), News::Epoch);
        assert_eq!(news(epoch(5, None)), News::Known);
        assert_eq!(news(epoch(4, None)), News::Outdated);
        assert_eq!(news(epoch(5, Some("alice"))), News::Epoch);
        assert_eq!(news(epoch(6, None)), News::Epoch);
    }

    #[test]
    fn read_from_a_reply() {
        let order = |value: &str| epoch_header(2, &[("x-meshgate-epoch", value)].into_iter().collect());
        let epoch = |epoch, subject: Option<&str>| Order::Epoch {
            slot: 2,
            epoch,
            subject: subject.map(str::to_owned),
        };
        assert_eq!(order("17"), Some(epoch(17, None)));
        assert_eq!(order("17; alice"), Some(epoch(17, Some("alice"))));
        for unreadable in ["", "x", "17;", "-1", "99999999999999999999"] {
            assert_eq!(order(unreadable), Some(Order::Everything), "{unreadable}");
        }
        assert_eq!(epoch_header(2, &Headers::default()), None);
    }
}

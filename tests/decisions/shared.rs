//! Several workers of one proxy: what one finds serves all, and what one is told to forget all forget.

use crate::policies::one;
use crate::text::{Peer, read_answer, read_policy, read_request};
use meshgate::cache::{Generation, SealKey, Seed, SharedStore};
use meshgate::config;
use meshgate::decide::{self, Around, Ask, Step};
use meshgate::memory::{Memory, Order};
use meshgate::policy::Policy;
use meshgate::time::UnixTime;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

const NOW: u64 = 1_800_000_000_000;

/// What the proxy keeps for all its workers.
#[derive(Default)]
struct Proxy {
    slots: RefCell<BTreeMap<String, Vec<u8>>>,
    ring: RefCell<Option<Vec<u8>>>,
}

impl SharedStore for Proxy {
    fn get(&self, slot: &str) -> Option<Vec<u8>> {
        self.slots.borrow().get(slot).cloned()
    }

    fn set(&self, slot: &str, bytes: &[u8]) {
        self.slots.borrow_mut().insert(slot.into(), bytes.into());
    }
}

struct Worker<'a> {
    proxy: &'a Proxy,
    policy: Arc<Policy>,
    memory: Memory,
}

const CACHE: &str = "ttl: 30s, denied_ttl: 5s, stale_if_error: 5m, stale_while_revalidate: 10s";

fn policy() -> String {
    sharing(CACHE)
}

fn sharing(cache: &str) -> String {
    one(
        &format!(
            "protocol: ext_authz_http, on_failure: deny, credential: [\"header:authorization\"], \
             cache: {{ {cache}, shared: {{ key: {{ env: KEY }} }} }}"
        ),
        "mode: enforce",
    )
}

impl<'a> Worker<'a> {
    fn start(proxy: &'a Proxy, now_ms: u64) -> Self {
        Self::with(proxy, &policy(), &"07".repeat(32), now_ms)
    }

    fn with(proxy: &'a Proxy, text: &str, key: &str, now_ms: u64) -> Self {
        let policy = read_policy(text);
        let secrets = config::secrets(&policy, |name| (name == "KEY").then(|| key.to_owned())).expect("a key");
        let mut memory = Memory::new(&policy, Seed(now_ms, 0));
        memory.share(&policy, &Generation::of(text.as_bytes()), &secrets, now_ms);
        let mut worker = Self { proxy, policy, memory };
        worker.tick(now_ms);
        worker
    }

    fn tick(&mut self, now_ms: u64) {
        let there = self.proxy.ring.borrow().clone();
        if let Some(bytes) = self.memory.exchange(there.as_deref(), now_ms) {
            *self.proxy.ring.borrow_mut() = Some(bytes);
            self.memory.told();
        }
    }

    fn send(&mut self, request: &str, now_ms: u64) -> Step {
        let (headers, connection) = read_request(request);
        let policy = self.policy.clone();
        self.around(&connection, now_ms, |around| {
            decide::on_request(&policy, headers, true, around)
        })
    }

    fn around<T>(&mut self, connection: &Peer, now_ms: u64, decide: impl FnOnce(&mut Around) -> T) -> T {
        decide(&mut Around {
            connection,
            memory: &mut self.memory,
            shared: self.proxy,
            signatures: &meshgate::authn::jwt::InRust,
            now: UnixTime::from_ns(now_ms * 1_000_000),
        })
    }

    #[track_caller]
    fn asks(&mut self, request: &str, now_ms: u64) -> Box<Ask> {
        match self.send(request, now_ms) {
            Step::Ask(ask) => ask,
            step => panic!("{request}: {step:?}"),
        }
    }

    fn hears(&mut self, ask: &Ask, answer: &str, now_ms: u64) {
        let _ = ask
            .call
            .on_answer(read_answer(answer), &mut self.memory, self.proxy, now_ms);
    }

    /// Asks, and hears.
    #[track_caller]
    fn finds(&mut self, request: &str, answer: &str, now_ms: u64) {
        let ask = self.asks(request, now_ms);
        self.hears(&ask, answer, now_ms);
    }

    /// `shared allowed alice`, or `asks`.
    fn goes_by(&mut self, request: &str, now_ms: u64) -> String {
        let step = self.send(request, now_ms);
        let Some(record) = step.record() else {
            return "asks".into();
        };
        let words = [
            record.used.word(),
            record.outcome.word(),
            record.subject.as_deref().unwrap_or("nobody"),
        ];
        words.join(" ")
    }
}

const A: &str = "GET /a | authorization: alice";
const YES: &str = "200 | x-auth-user: alice | x-auth-groups: ops,dev";

#[test]
fn found_once_for_all() {
    let proxy = Proxy::default();
    let [mut one, mut other] = [(); 2].map(|()| Worker::start(&proxy, NOW));
    one.finds(A, YES, NOW + 1);
    assert_eq!(one.goes_by(A, NOW + 2), "remembered allowed alice");
    assert_eq!(other.goes_by(A, NOW + 2), "shared allowed alice");
    assert_eq!(other.goes_by(A, NOW + 2), "remembered allowed alice");
    for another in [
        "GET /b | authorization: alice",
        "GET /a | authorization: bob",
        "POST /a | authorization: alice",
    ] {
        assert_eq!(other.goes_by(another, NOW + 2), "asks", "{another}");
    }
    one.finds("GET /a | authorization: bad", "401", NOW + 3);
    assert_eq!(
        other.goes_by("GET /a | authorization: bad", NOW + 4),
        "shared denied nobody"
    );
}

#[test]
fn it_lives_as_long_everywhere() {
    let proxy = Proxy::default();
    let mut one = Worker::start(&proxy, NOW);
    one.finds(A, YES, NOW);
    for (after_s, expected) in [
        (29, "shared allowed alice"),
        (30, "revalidated allowed alice"),
        (39, "revalidated allowed alice"),
        (40, "asks"),
    ] {
        let mut other = Worker::start(&proxy, NOW);
        assert_eq!(other.goes_by(A, NOW + after_s * 1000), expected, "{after_s} s");
    }
    // While the service is away.
    for (after_s, expected) in [
        (40, "stale allowed alice"),
        (329, "stale allowed alice"),
        (330, "nobody"),
    ] {
        let mut other = Worker::start(&proxy, NOW);
        let now_ms = NOW + after_s * 1000;
        let ask = other.asks(A, now_ms);
        let heard = ask
            .call
            .on_answer(read_answer("timeout"), &mut other.memory, &proxy, now_ms);
        let Ask { awaiting, .. } = *ask;
        let step = other.around(&Peer::default(), now_ms, |around| {
            awaiting.on_heard(heard, decide::Used::Asked, around)
        });
        let record = step.record().expect("a decision");
        let said = match &record.subject {
            Some(subject) => format!("{} {} {subject}", record.used.word(), record.outcome.word()),
            None => "nobody".into(),
        };
        assert_eq!(said, expected, "{after_s} s");
    }
}

/// One that refreshes serves the others before they do so themselves.
#[test]
fn refreshed_once_for_all() {
    let proxy = Proxy::default();
    let [mut one, mut other] = [(); 2].map(|()| Worker::start(&proxy, NOW));
    one.finds(A, YES, NOW);
    assert_eq!(other.goes_by(A, NOW), "shared allowed alice");
    let later = NOW + 31_000;
    let Step::Forward(mut forward) = one.send(A, later) else {
        panic!("goes on")
    };
    let refresh = forward.refresh.take().expect("asks beside");
    let _ = refresh.call.on_answer(read_answer(YES), &mut one.memory, &proxy, later);
    assert_eq!(other.goes_by(A, later + 1), "shared allowed alice");
}

#[test]
fn a_denial_ends_it_for_all() {
    let proxy = Proxy::default();
    let [mut one, mut other, mut third] = [(); 3].map(|()| Worker::start(&proxy, NOW));
    one.finds(A, YES, NOW);
    let ask = other.asks("GET /b | authorization: alice", NOW);
    other.hears(&ask, YES, NOW);
    // It asks although an answer is there, as after a restart.
    let slots = proxy.slots.take();
    let ask = other.asks(A, NOW + 1);
    proxy.slots.replace(slots);
    other.hears(&ask, "403", NOW + 2);
    assert_eq!(third.goes_by(A, NOW + 3), "shared denied nobody");
    assert_eq!(third.goes_by(A, NOW + 6_000), "asks", "and no yes comes back");
}

#[test]
fn under_another_key_or_policy() {
    let proxy = Proxy::default();
    Worker::start(&proxy, NOW).finds(A, YES, NOW);
    let mut same = Worker::start(&proxy, NOW);
    assert_eq!(same.goes_by(A, NOW), "shared allowed alice");
    let other_policy = sharing("ttl: 31s");
    let keys = ["08".repeat(32), "07".repeat(32)];
    for (policy, key) in [(policy(), &keys[0]), (other_policy, &keys[1])] {
        let mut other = Worker::with(&proxy, &policy, key, NOW);
        assert_eq!(other.goes_by(A, NOW), "asks");
    }
}

/// A policy that goes and comes back, or a VM that starts again, knows nothing of what was ordered meanwhile.
#[test]
fn nothing_from_before_the_policy_was_loaded() {
    let proxy = Proxy::default();
    Worker::start(&proxy, NOW).finds(A, YES, NOW + 5);
    let mut late = Worker::start(&proxy, NOW + 6);
    assert_eq!(late.goes_by(A, NOW + 7), "asks");
    let mut early = Worker::start(&proxy, NOW + 5);
    assert_eq!(early.goes_by(A, NOW + 4), "asks", "the clock went back");
    assert_eq!(early.goes_by(A, NOW + 7), "shared allowed alice");
}

fn orders() -> [Order; 5] {
    [
        Order::Everything,
        Order::Subject {
            slot: None,
            subject: "alice".into(),
        },
        Order::Subject {
            slot: Some(0),
            subject: "alice".into(),
        },
        Order::Epoch {
            slot: 0,
            epoch: 3,
            subject: None,
        },
        Order::Epoch {
            slot: 0,
            epoch: 3,
            subject: Some("alice".into()),
        },
    ]
}

#[test]
fn an_order_is_obeyed_by_all_however_long_ago_it_was_given() {
    for order in orders() {
        let proxy = Proxy::default();
        let [mut one, mut other, mut third] = [(); 3].map(|()| Worker::start(&proxy, NOW));
        one.finds(A, YES, NOW);
        assert_eq!(other.goes_by(A, NOW), "shared allowed alice");
        let slots = proxy.slots.borrow().clone();
        one.memory.give(order.clone(), NOW + 1);
        assert_eq!(one.goes_by(A, NOW + 1), "asks", "before anybody is told: {order:?}");
        one.tick(NOW + 1);
        assert_eq!(one.goes_by(A, NOW + 1), "asks", "{order:?}");
        other.tick(NOW + 100);
        assert_eq!(other.goes_by(A, NOW + 100), "asks", "{order:?}");
        // Past the time that orders stand for questions on their way.
        third.tick(NOW + 100);
        for later in [NOW + 100, NOW + 29_000, NOW + 200_000] {
            assert_eq!(third.goes_by(A, later), "asks", "{order:?}");
        }
        other.finds(A, YES, NOW + 101);
        assert_eq!(
            third.goes_by(A, NOW + 102),
            "shared allowed alice",
            "asked since: {order:?}"
        );
        // Somebody puts back what was there before.
        proxy.slots.replace(slots);
        let mut fourth = Worker::start(&proxy, NOW);
        fourth.tick(NOW + 102);
        assert_eq!(one.goes_by(A, NOW + 102), "asks", "{order:?}");
    }
}

#[test]
fn only_whom_the_order_names() {
    let proxy = Proxy::default();
    let [mut one, mut other] = [(); 2].map(|()| Worker::start(&proxy, NOW));
    one.finds(A, YES, NOW);
    for order in [
        Order::Subject {
            slot: None,
            subject: "bob".into(),
        },
        Order::Subject {
            slot: Some(1),
            subject: "alice".into(),
        },
        Order::Credential(7),
    ] {
        one.memory.give(order, NOW + 1);
    }
    one.tick(NOW + 1);
    other.tick(NOW + 1);
    assert_eq!(other.goes_by(A, NOW + 2), "shared allowed alice");
}

/// A question that left before the order, and an answer that comes after it, at a worker that does not know yet.
#[test]
fn asked_before_the_order_is_outdated_by_it() {
    let proxy = Proxy::default();
    let [mut one, mut other] = [(); 2].map(|()| Worker::start(&proxy, NOW));
    let ask = other.asks(A, NOW);
    one.memory.give(Order::Everything, NOW + 1);
    one.tick(NOW + 1);
    other.hears(&ask, YES, NOW + 50);
    assert_eq!(one.goes_by(A, NOW + 51), "asks");
    other.tick(NOW + 100);
    assert_eq!(other.goes_by(A, NOW + 101), "asks");
}

#[test]
fn whoever_lags_behind_forgets_everything() {
    let proxy = Proxy::default();
    let [mut one, mut other] = [(); 2].map(|()| Worker::start(&proxy, NOW));
    one.finds(A, YES, NOW);
    assert_eq!(other.goes_by(A, NOW), "shared allowed alice");
    let slots = proxy.slots.take();
    for n in 0..300 {
        one.memory.give(Order::Credential(n), NOW + 1);
        one.tick(NOW + 1);
    }
    assert_eq!(one.goes_by(A, NOW + 2), "remembered allowed alice");
    other.tick(NOW + 2);
    assert_eq!(other.goes_by(A, NOW + 2), "asks");
    proxy.slots.replace(slots);
    assert_eq!(
        other.goes_by(A, NOW + 2),
        "asks",
        "it cannot be known whether it is outdated"
    );
}

/// Its own orders are no news to the one who gave them.
#[test]
fn nobody_obeys_itself_twice() {
    let proxy = Proxy::default();
    let mut one = Worker::start(&proxy, NOW);
    one.memory.give(Order::Everything, NOW);
    one.finds(A, YES, NOW + 1);
    one.tick(NOW + 2);
    one.tick(NOW + 3);
    assert_eq!(one.goes_by(A, NOW + 4), "remembered allowed alice");
    assert_eq!(one.memory.orders_to_tell(), []);
}

/// One that was changed by somebody else, cut, put back from before, or lost is one to forget everything, once.
#[test]
fn orders_that_cannot_be_read() {
    let empty = {
        let proxy = Proxy::default();
        Worker::start(&proxy, NOW);
        proxy.ring.take()
    };
    let planted = [None, Some(Vec::new()), Some(vec![0; 80]), Some(vec![255; 80]), empty];
    for planted in planted {
        let proxy = Proxy::default();
        let [mut one, mut other] = [(); 2].map(|()| Worker::start(&proxy, NOW));
        one.memory.give(Order::Credential(1), NOW);
        one.tick(NOW);
        other.tick(NOW);
        for worker in [&mut one, &mut other] {
            worker.finds(A, YES, NOW + 1);
            proxy.slots.take();
        }
        proxy.ring.replace(planted.clone());
        for worker in [&mut one, &mut other] {
            worker.tick(NOW + 100);
            assert_eq!(worker.goes_by(A, NOW + 100), "asks", "{planted:?}");
        }
        // And all is well again.
        one.finds(A, YES, NOW + 101);
        one.tick(NOW + 200);
        other.tick(NOW + 200);
        assert_eq!(one.goes_by(A, NOW + 201), "remembered allowed alice", "{planted:?}");
        assert_eq!(other.goes_by(A, NOW + 201), "shared allowed alice", "{planted:?}");
    }
}

/// Numbers that are given out again must not make an old answer look like a new one.
#[test]
fn orders_that_went_back() {
    let proxy = Proxy::default();
    let mut one = Worker::start(&proxy, NOW);
    let empty = proxy.ring.borrow().clone();
    for n in 1..=2 {
        one.memory.give(Order::Credential(n), NOW);
    }
    one.tick(NOW);
    one.finds(A, YES, NOW + 1);
    proxy.ring.replace(empty);
    one.tick(NOW + 2);
    for order in [orders()[1].clone(), Order::Credential(3), Order::Credential(4)] {
        one.memory.give(order, NOW + 3);
    }
    one.tick(NOW + 3);
    let mut other = Worker::start(&proxy, NOW);
    assert_eq!(other.goes_by(A, NOW + 4), "asks");
}

/// Without a key as well: orders reach those who share no answers.
#[test]
fn orders_reach_workers_that_share_nothing() {
    let text = one(
        &format!(
            "protocol: ext_authz_http, on_failure: deny, credential: [\"header:authorization\"], cache: {{ {CACHE} }}"
        ),
        "mode: enforce",
    );
    let proxy = Proxy::default();
    let [mut one, mut other] = [(); 2].map(|()| Worker::with(&proxy, &text, "", NOW));
    for worker in [&mut one, &mut other] {
        worker.finds(A, YES, NOW);
    }
    assert!(proxy.slots.borrow().is_empty());
    one.memory.give(orders()[1].clone(), NOW + 1);
    one.tick(NOW + 1);
    assert_eq!(other.goes_by(A, NOW + 1), "remembered allowed alice");
    other.tick(NOW + 100);
    assert_eq!(other.goes_by(A, NOW + 100), "asks");
}

/// An epoch that every answer repeats is told once.
#[test]
fn a_repeated_epoch_is_no_news() {
    let proxy = Proxy::default();
    let mut one = Worker::start(&proxy, NOW);
    for n in 0..3 {
        one.finds(
            &format!("GET /{n} | authorization: alice"),
            &format!("{YES} | x-meshgate-epoch: 17"),
            NOW + n,
        );
    }
    assert_eq!(one.memory.orders_to_tell().len(), 1);
}

#[test]
fn a_key_that_is_missing_or_none() {
    let policy = read_policy(&policy());
    let fault = |value: Option<&str>| {
        let faults = config::secrets(&policy, |_| value.map(str::to_owned)).expect_err("a fault");
        faults.to_string()
    };
    let place = "authenticators.account.callout.cache.shared.key.env: the variable KEY";
    let remedy = "write what `meshgate key new` prints into vm_config.environment_variables";
    assert_eq!(fault(None), format!("{place} is not set: {remedy}"));
    for bad in ["", "secret", &"0".repeat(63)] {
        assert_eq!(
            fault(Some(bad)),
            format!("{place} does not hold 32 bytes in base64 or hex: {remedy}")
        );
    }
    let key = SealKey::random().expect("randomness").reveal();
    assert!(config::secrets(&policy, |_| Some(key.clone())).is_ok());
}

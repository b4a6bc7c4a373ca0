//! An exposure is told by one worker of a proxy.

use crate::text::{read_policy, read_request};
use meshgate::cache::{Refused, Seed, SharedStore, Version};
use meshgate::decide::{Around, Step, on_request};
use meshgate::experiment::{Exposure, Hashed};
use meshgate::memory::Memory;
use meshgate::policy::Policy;
use meshgate::rate_limit::{Buckets, TRIES};
use meshgate::time::UnixTime;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

const POLICY: &str = r#"
version: 1
experiments:
  checkout: { unit: ["header:x-device"], header: x-variant, variants: [{ name: blue }], exposure: { window: 1h } }
rules:
- { name: all, match: { hosts: [shop.example.com], paths: ["/**"] }, authenticate: none, experiments: [checkout] }"#;

const NOW_S: u64 = 1_800_000_000;

/// What the workers of a proxy share.
#[derive(Default)]
struct Proxy {
    slots: RefCell<BTreeMap<String, (Vec<u8>, u32)>>,
    /// So many writes come too late.
    loses: Cell<usize>,
    refuses: Cell<bool>,
}

impl SharedStore for Proxy {
    fn get(&self, _: &str) -> Option<Vec<u8>> {
        None
    }

    fn set(&self, _: &str, _: &[u8]) {}

    fn versioned(&self, slot: &str) -> Result<(Vec<u8>, Version), Refused> {
        if self.refuses.get() {
            return Err(Refused);
        }
        let there = self.slots.borrow().get(slot).cloned();
        let (bytes, version) = there.unwrap_or((Vec::new(), u32::MAX));
        Ok((bytes, Version(version)))
    }

    fn replace(&self, slot: &str, bytes: &[u8], Version(version): Version) -> Result<bool, Refused> {
        if let Some(left) = self.loses.get().checked_sub(1) {
            self.loses.set(left);
            return Ok(false);
        }
        let mut slots = self.slots.borrow_mut();
        let there = slots.get(slot).map(|(_, there)| *there);
        if there.is_some_and(|there| there != version) {
            return Ok(false);
        }
        slots.insert(slot.to_owned(), (bytes.to_vec(), there.unwrap_or(0) + 1));
        Ok(true)
    }
}

struct Worker<'p> {
    proxy: &'p Proxy,
    policy: Arc<Policy>,
    memory: Memory,
}

impl<'p> Worker<'p> {
    fn start(proxy: &'p Proxy, policy: &Arc<Policy>, own: u64) -> Self {
        let seed = Seed(own, own);
        Self {
            proxy,
            policy: policy.clone(),
            memory: Memory::new(policy, seed).with_buckets(Buckets::shared(proxy, seed)),
        }
    }

    /// Whether it tells that this device was served, so many seconds later.
    fn tells(&mut self, device: &str, later_s: u64) -> bool {
        let (headers, peer) = read_request(&format!("GET /a | x-device: {device}"));
        let mut around = Around {
            connection: &peer,
            memory: &mut self.memory,
            signatures: &meshgate::authn::jwt::InRust,
            shared: self.proxy,
            now: UnixTime::from_secs(NOW_S + later_s),
        };
        match on_request(&self.policy, headers, true, &mut around) {
            Step::Forward(forward) => !forward.exposures.is_empty(),
            step => panic!("{step:?}"),
        }
    }
}

#[test]
fn by_the_first_that_serves_it() {
    let (proxy, policy) = (Proxy::default(), read_policy(POLICY));
    let [mut one, mut two] = [1, 2].map(|own| Worker::start(&proxy, &policy, own));
    assert!(one.tells("a", 0) && two.tells("b", 0));
    assert!(!two.tells("a", 1) && !one.tells("b", 1) && !one.tells("a", 1));
    assert!(!two.tells("a", 3599));
    assert!(two.tells("a", 3600), "its window is the first one's");
    assert!(!one.tells("a", 3601));
    let mut after_a_new_policy = Worker::start(&proxy, &policy, 3);
    assert!(!after_a_new_policy.tells("a", 3602));
    // Another seed divides anew.
    let divided = read_policy(&POLICY.replace("header: x-variant", "seed: next, header: x-variant"));
    assert!(Worker::start(&proxy, &divided, 4).tells("a", 3602));
}

#[test]
fn a_known_caller_costs_no_look_at_what_is_shared() {
    let (proxy, policy) = (Proxy::default(), read_policy(POLICY));
    let mut worker = Worker::start(&proxy, &policy, 1);
    assert!(worker.tells("a", 0));
    let slots = proxy.slots.take();
    assert!(!worker.tells("a", 1));
    assert!(proxy.slots.borrow().is_empty(), "nothing was written");
    assert!(slots.keys().any(|slot| slot.starts_with("meshgate.exposed.")));
    assert!(!format!("{slots:?}").contains("x-device"));
}

#[test]
fn in_doubt_it_is_told() {
    let (proxy, policy) = (Proxy::default(), read_policy(POLICY));
    let mut one = Worker::start(&proxy, &policy, 1);
    proxy.loses.set(TRIES - 1);
    assert!(one.tells("a", 0));
    let mut two = Worker::start(&proxy, &policy, 2);
    assert!(!two.tells("a", 0), "the last try was written");
    proxy.loses.set(TRIES);
    assert!(one.tells("b", 0));
    assert_eq!(proxy.loses.get(), 0, "no more often than that");
    assert!(!one.tells("b", 0));
    for damaged in [vec![], vec![0; 11], vec![0xff; 12], vec![7; 100_000]] {
        for (slot, (bytes, _)) in proxy.slots.borrow_mut().iter_mut() {
            if slot.starts_with("meshgate.exposed.") {
                bytes.clone_from(&damaged);
            }
        }
        let mut anew = Worker::start(&proxy, &policy, 3);
        assert!(anew.tells("a", 0), "{} bytes", damaged.len());
        assert!(
            proxy
                .slots
                .borrow()
                .values()
                .all(|(bytes, _)| bytes.len() <= 384 || *bytes == damaged)
        );
    }
    proxy.refuses.set(true);
    assert!(two.tells("c", 0) && !two.tells("c", 0));
}

/// More callers than there is room for: all of them are told, and nothing grows.
#[test]
fn a_crowd_is_told_whole() {
    const CALLERS: usize = 200_000;
    let (proxy, policy) = (Proxy::default(), read_policy(POLICY));
    let mut worker = Worker::start(&proxy, &policy, 1);
    let told = (0..CALLERS).filter(|n| {
        let exposure = Exposure {
            experiment: policy.experiments[0].clone(),
            variant: Some("blue".into()),
            unit: Hashed {
                source: Some(0),
                from: "header",
                value: n.to_string().into_bytes().into(),
            },
            rule: "all".into(),
        };
        let now = UnixTime::from_secs(NOW_S);
        worker.memory.first_exposure(&exposure, "", &proxy, now)
    });
    let told = told.count();
    assert_eq!(told, CALLERS);
    let slots = proxy.slots.borrow();
    let bytes: usize = slots.values().map(|(bytes, _)| bytes.len()).sum();
    assert!(
        slots.len() <= 4097 && bytes <= 1_600_000,
        "{} slots, {bytes} bytes",
        slots.len()
    );
}

//! What the proxy keeps, and what becomes of limits where it does not, or where others write there.

use super::*;

const SECOND: &str = "per: subject, requests: 2, window: 1s";

/// So many of `count` requests at once go on.
fn go_on(worker: &mut Worker, request: &str, count: usize, at_ms: u64) -> usize {
    (0..count).filter(|_| worker.says(request, at_ms) == "allowed").count()
}

#[test]
fn nothing_is_kept_in_clear() {
    let (proxy, policy) = (
        Proxy::default(),
        read_policy(&one(
            "per: \"header:x-device\", requests: 9, window: 1m",
            "anonymous: deny",
        )),
    );
    let mut worker = Worker::start(&proxy, &policy, 1);
    assert_eq!(
        worker.says("GET /a | x-api-key: ann | x-device: secret-device", 0),
        "allowed"
    );
    for (slot, (bytes, _)) in proxy.slots.borrow().iter() {
        assert!(slot.starts_with("meshgate.rate."), "{slot}");
        assert!(!slot.contains("secret") && !bytes.windows(6).any(|part| part == b"secret"));
    }
}

#[test]
fn two_calls_a_limit() {
    let (proxy, policy) = (Proxy::default(), read_policy(&one(SECOND, "anonymous: deny")));
    let mut worker = Worker::start(&proxy, &policy, 1);
    let before = proxy.writes.get();
    for at in 0..10 {
        let _ = worker.says(ANN, at);
    }
    assert_eq!(proxy.writes.get() - before, 2, "a refusal writes nothing");
}

#[test]
fn a_proxy_that_refuses_leaves_each_worker_its_own() {
    for (read, write) in [(true, true), (true, false), (false, true)] {
        let (proxy, policy) = (Proxy::default(), read_policy(&one(SECOND, "anonymous: deny")));
        let mut workers = [1, 2].map(|own| Worker::start(&proxy, &policy, own));
        proxy.refuses_to_read.set(read);
        proxy.refuses_to_write.set(write);
        for worker in &mut workers {
            assert_eq!(
                go_on(worker, ANN, 5, 0),
                2,
                "reads refused {read}, writes refused {write}"
            );
            assert_eq!(go_on(worker, ANN, 5, 500), 1);
            assert_eq!(go_on(worker, BOB, 5, 500), 2);
        }
    }
    let (proxy, policy) = (Proxy::default(), read_policy(&one(SECOND, "anonymous: deny")));
    proxy.refuses_to_read.set(true);
    proxy.refuses_to_write.set(true);
    assert_eq!(
        go_on(&mut Worker::start(&proxy, &policy, 1), ANN, 5, 0),
        2,
        "from the start on"
    );
}

#[test]
fn lost_races_are_run_again_a_few_times() {
    let (proxy, policy) = (Proxy::default(), read_policy(&one(SECOND, "anonymous: deny")));
    let mut worker = Worker::start(&proxy, &policy, 1);
    proxy.loses.set(TRIES - 1);
    assert_eq!(worker.says(ANN, 0), "allowed");
    proxy.loses.set(TRIES);
    assert_eq!(worker.says(ANN, 0), "429 limit 1s");
    assert_eq!(proxy.loses.get(), 0, "no more often than that");
    assert_eq!(worker.says(ANN, 0), "allowed", "nothing was taken");
}

/// Whoever comes second reads anew: together they take what is there, and no more.
#[test]
fn simultaneous_requests_of_many_workers() {
    use std::sync::Mutex;
    #[derive(Default)]
    struct Locked(Mutex<BTreeMap<String, (Vec<u8>, u32)>>);
    impl SharedStore for Locked {
        fn get(&self, _: &str) -> Option<Vec<u8>> {
            None
        }
        fn set(&self, _: &str, _: &[u8]) {}
        fn versioned(&self, slot: &str) -> Result<(Vec<u8>, Version), Refused> {
            let there = self.0.lock().unwrap().get(slot).cloned();
            std::thread::yield_now();
            there.map_or(Ok((Vec::new(), Version(u32::MAX))), |(bytes, version)| {
                Ok((bytes, Version(version)))
            })
        }
        fn replace(&self, slot: &str, bytes: &[u8], Version(version): Version) -> Result<bool, Refused> {
            let mut slots = self.0.lock().unwrap();
            let there = slots.get(slot).map(|(_, there)| *there);
            if there.is_some_and(|there| there != version) {
                return Ok(false);
            }
            slots.insert(slot.to_owned(), (bytes.to_vec(), there.unwrap_or(0) + 1));
            Ok(true)
        }
    }
    let store = Locked::default();
    let policy = read_policy(&one("per: subject, requests: 100, window: 24h", "anonymous: deny"));
    let send = |own: u64| {
        let mut memory = Memory::new(&policy, Seed(own, 0)).with_buckets(Buckets::shared(&store, Seed(own, own)));
        let allowed = (0..200).filter(|_| {
            let (headers, connection) = read_request(ANN);
            let around = &mut Around {
                connection: &connection,
                memory: &mut memory,
                shared: &store,
                signatures: &meshgate::authn::jwt::InRust,
                now: UnixTime::from_ns(NOW_MS * 1_000_000),
            };
            told(&decide::on_request(&policy, headers, true, around)) == "allowed"
        });
        allowed.count()
    };
    let allowed: usize = std::thread::scope(|scope| {
        let send = &send;
        let workers: Vec<_> = (1..=4).map(|own| scope.spawn(move || send(own))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(allowed, 100);
}

#[test]
fn a_crowd_fills_a_table_that_does_not_grow() {
    let (proxy, policy) = (
        Proxy::default(),
        read_policy(&one(
            "per: \"header:x-device\", requests: 1, window: 1h",
            "anonymous: deny",
        )),
    );
    let mut worker = Worker::start(&proxy, &policy, 1);
    let device = |n: u64| format!("GET /a | x-api-key: ann | x-device: {n}");
    let most = SLOTS * ENTRIES as u64;
    let (mut own, mut shared, mut refused) = (0, 0, 0);
    for n in 0..most * 3 / 2 {
        match worker.says(&device(n), 0).as_str() {
            "allowed" => own += 1,
            "allowed overflow limit" => shared += 1,
            "429 limit 3600s overflow limit" => refused += 1,
            other => panic!("{n}: {other}"),
        }
    }
    assert!(own <= most && own > most * 9 / 10, "{own} of {most}");
    assert_eq!(shared, 1, "the overflow bucket is one");
    assert_eq!(own + shared + refused, most * 3 / 2);
    for n in 0..1000 {
        assert_ne!(
            worker.says(&device(n), 0),
            "allowed",
            "nobody who waits is forgotten: {n}"
        );
    }
    assert_eq!(worker.says(ANN, 0), "allowed", "who has no key has no place to find");
    {
        let slots = proxy.slots.borrow();
        // The seed, and the buckets of those without a key and without a place.
        assert!(slots.len() as u64 <= SLOTS + 3, "{}", slots.len());
        assert!(slots.values().all(|(bytes, _)| bytes.len() <= ENTRIES * ENTRY_BYTES));
    }
    let later = (most..most + 100).filter(|n| worker.says(&device(*n), 3_600_000) == "allowed");
    assert_eq!(later.count(), 100, "all are full again");
}

/// Other plugins of the proxy can write there as well: what they write is read as buckets or not at all.
#[test]
fn foreign_bytes() {
    for planted in [
        &b""[..],
        b"x",
        &[0; 16],
        &[0; 128],
        &[255; 128],
        &[255; 129],
        &[7; 4096],
    ] {
        let (proxy, policy) = (Proxy::default(), read_policy(&one(SECOND, "anonymous: deny")));
        let mut worker = Worker::start(&proxy, &policy, 1);
        let plant = || {
            for (bytes, _) in proxy.slots.borrow_mut().values_mut() {
                *bytes = planted.to_vec();
            }
        };
        let _ = worker.says(ANN, 0);
        let _ = worker.says(NOBODY, 0);
        plant();
        let at_once = go_on(&mut worker, ANN, 5, 0);
        assert!(at_once <= 2, "{planted:?}");
        assert_eq!(
            go_on(&mut worker, ANN, 5, 1_000),
            2,
            "{planted:?}: right again once a bucket has filled"
        );
        // The seed is gone as well.
        let mut other = Worker::start(&proxy, &policy, 2);
        assert_eq!(go_on(&mut other, BOB, 5, 1_000), 2, "{planted:?}");
    }
}

#[test]
fn a_new_policy_keeps_the_buckets() {
    let proxy = Proxy::default();
    let play = |limit: &str, own: u64, at_ms: u64, expected: usize| {
        let policy = read_policy(&one(limit, "anonymous: deny"));
        let mut worker = Worker::start(&proxy, &policy, own);
        assert_eq!(go_on(&mut worker, ANN, 9, at_ms), expected, "{limit}");
    };
    play("per: subject, requests: 3, window: 1h", 1, 0, 3);
    play("per: subject, requests: 3, window: 1h", 2, 0, 0);
    // What is left to wait is never longer than the new limit fills in.
    play("per: subject, requests: 2, window: 1s", 3, 0, 0);
    play("per: subject, requests: 2, window: 1s", 4, 1_000, 2);
    // Who goes by something else begins anew.
    play("per: \"claim:tenant\", requests: 2, window: 1s", 5, 1_000, 2);
}

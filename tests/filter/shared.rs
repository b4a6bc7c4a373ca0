//! Two workers of one proxy, each a thread with a VM of its own: what one finds serves both, and both forget.

use crate::gate::*;
use crate::host::{Host, SharedData};
use proxy_wasm::types::Status;
use serde_json::{Value, json};
use std::sync::Once;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

const KEY: &str = "MESHGATE_TEST_SHARED_KEY";

/// Answers are remembered and shared; `/gate/logout` forgets.
fn policy() -> Value {
    static ENVIRONMENT: Once = Once::new();
    // SAFETY: before the first VM reads it, and never again.
    ENVIRONMENT.call_once(|| unsafe { std::env::set_var(KEY, "07".repeat(32)) });
    let mut policy: Value = serde_json::from_str(POLICY).unwrap();
    policy["authenticators"]["account"]["callout"]["cache"] =
        json!({ "ttl": "30s", "ignore": ["path"], "shared": { "key": { "env": KEY } } });
    let logout = json!({
        "name": "logout", "match": { "paths": ["/gate/logout"] }, "authenticate": ["account"],
        "anonymous": "deny", "forget": "credential",
    });
    policy["rules"].as_array_mut().unwrap().insert(0, logout);
    policy
}

type Job = Box<dyn FnOnce(&Host) + Send>;

struct Worker(Sender<Job>);

impl Worker {
    fn start(shared: &SharedData) -> Self {
        Self::serving(&policy(), shared)
    }

    fn serving(policy: &Value, shared: &SharedData) -> Self {
        let (jobs, todo) = channel::<Job>();
        let (policy, shared) = (policy.to_string(), shared.clone());
        std::thread::spawn(move || {
            let host = serving(&policy, crate::host::HostOptions { shared, ..options() });
            todo.into_iter().for_each(|job| job(&host));
        });
        Self(jobs)
    }

    #[track_caller]
    fn run<R: Send + 'static>(&self, what: impl FnOnce(&Host) -> R + Send + 'static) -> R {
        let (done, result) = channel();
        let job = Box::new(move |host: &Host| done.send(what(host)).unwrap());
        self.0.send(job).unwrap();
        result.recv().expect("the worker's own failure stands above")
    }

    /// What a request to `path` goes by.
    #[track_caller]
    fn goes_by(&self, path: &'static str) -> String {
        self.run(move |host| {
            let before = decisions(host).len();
            let stream = known(host, path);
            match decisions(host).get(before) {
                Some(line) => line["answer"].as_str().unwrap_or("none").to_owned(),
                None => {
                    stream.done();
                    host.answer_failed(host.callout().token);
                    "asks".into()
                }
            }
        })
    }

    #[track_caller]
    fn finds(&self, path: &'static str) {
        self.run(move |host| {
            let stream = known(host, path);
            answer(host, YES);
            assert!(stream.upstream().is_some());
        });
    }

    fn tick(&self) {
        self.run(|host| {
            host.advance(Duration::from_millis(100));
            host.tick();
            // What is asked in the millisecond of an order is outdated by it.
            host.advance(Duration::from_millis(1));
        });
    }
}

#[test]
fn one_finds_and_both_know() {
    let shared = SharedData::default();
    let [one, other] = [(); 2].map(|()| Worker::start(&shared));
    one.finds("/gate/a");
    assert_eq!(other.goes_by("/gate/b"), "shared");
    assert_eq!(other.goes_by("/gate/c"), "remembered");
    assert_eq!(
        other.run(|host| host.metric("meshgate_answers_total.authenticator=account.from=shared")),
        Some(1)
    );
    let keys = shared.keys();
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(keys.iter().all(|key| key.starts_with("meshgate.")), "{keys:?}");
}

#[test]
fn a_logout_reaches_the_other_on_its_next_tick() {
    let shared = SharedData::default();
    let [one, other] = [(); 2].map(|()| Worker::start(&shared));
    one.finds("/gate/a");
    assert_eq!(other.goes_by("/gate/a"), "shared");
    assert_eq!(one.goes_by("/gate/logout"), "remembered");
    assert_eq!(one.goes_by("/gate/a"), "asks");
    other.tick();
    assert_eq!(other.goes_by("/gate/a"), "asks");
}

/// Somebody wrote between our reading and our writing.
#[test]
fn an_order_that_came_second_is_told_again() {
    let shared = SharedData::default();
    let [one, other] = [(); 2].map(|()| Worker::start(&shared));
    one.finds("/gate/a");
    assert_eq!(other.goes_by("/gate/a"), "shared");
    one.run(|host| host.refuse_some("set_shared_data", Status::CasMismatch, 0, 3));
    assert_eq!(one.goes_by("/gate/logout"), "remembered");
    other.tick();
    assert_eq!(other.goes_by("/gate/a"), "asks");
    one.run(|host| assert_eq!(complaints(host), Vec::<String>::new()));
}

/// None is lost, whoever writes at once: they are numbered without a gap.
#[test]
fn orders_of_four_workers_at_once() {
    const EACH: u64 = 60;
    let mut policy = policy();
    let cache = &mut policy["authenticators"]["account"]["callout"]["cache"];
    cache.as_object_mut().unwrap().remove("shared");
    let shared = SharedData::default();
    let workers = [(); 4].map(|()| Worker::serving(&policy, &shared));
    let waits = workers.each_ref().map(|worker| {
        let (done, wait) = channel();
        let job = Box::new(move |host: &Host| {
            for _ in 0..EACH {
                known(host, "/gate/logout");
                answer(host, YES);
            }
            done.send(()).unwrap();
        });
        worker.0.send(job).unwrap();
        wait
    });
    waits.iter().for_each(|wait| wait.recv().unwrap());
    let keys = shared.keys();
    assert_eq!(keys.len(), 1, "{keys:?}");
    let (orders, _) = shared.get(keys[0].as_bytes()).unwrap();
    let last = u64::from_le_bytes(orders[8..16].try_into().unwrap());
    assert_eq!(last, 4 * EACH * 2, "the credential and the caller");
}

#[test]
fn a_tick_without_news_reads_once_and_writes_nothing() {
    let worker = Worker::start(&SharedData::default());
    worker.tick();
    worker.run(|host| {
        host.take_calls();
        host.tick();
        assert_eq!((host.count("get_shared_data"), host.count("set_shared_data")), (1, 0));
    });
}

#[test]
fn who_remembers_nothing_shares_nothing() {
    let host = gate();
    host.tick();
    host.request(&headers("/public/a", &[]));
    assert_eq!(host.count("shared_data"), 0);
    assert_eq!(host.shared().keys(), Vec::<String>::new());
}

#[test]
fn shared_data_that_fails_is_as_if_nothing_were_shared() {
    let worker = Worker::start(&SharedData::default());
    worker.run(|host| {
        host.refuse("get_shared_data", Status::InternalFailure);
        host.refuse("set_shared_data", Status::InternalFailure);
    });
    worker.finds("/gate/a");
    assert_eq!(worker.goes_by("/gate/logout"), "remembered");
    assert_eq!(worker.goes_by("/gate/a"), "asks", "here it is obeyed");
    worker.run(|host| {
        assert!(host.metric("meshgate_host_errors_total.call=get_shared_data").is_some());
        host.refuse_nothing();
        host.take_calls();
        host.tick();
        assert_eq!(
            host.count("set_shared_data"),
            1,
            "told as soon as it can be: {:?}",
            host.calls()
        );
    });
}

#[test]
fn a_policy_without_its_key_is_refused() {
    let mut policy = policy();
    policy["authenticators"]["account"]["callout"]["cache"]["shared"]["key"]["env"] = json!("MESHGATE_TEST_NO_SUCH");
    let host = Host::start(policy.to_string(), options());
    assert!(!host.accepted());
    let told = complaints(&host).concat();
    assert!(
        told.contains("account.callout.cache.shared.key.env: the variable MESHGATE_TEST_NO_SUCH is not set"),
        "{told}"
    );
}

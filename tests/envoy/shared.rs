//! Four workers that share what one of them finds, and forget together.
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::policies::{alice, asking};
use crate::support::*;

const KEY: &str = "MESHGATE_CACHE_KEY";
const SHARED: &str = "shared: { key: { env: MESHGATE_CACHE_KEY } }";
const RULES: &str = r#"
rules:
- { name: logout, match: { hosts: ["*"], paths: [/logout] }, forget: credential }
- { name: all, match: { hosts: ["*"], paths: ["/**"] } }"#;
const WORKERS: u32 = 4;
const CREDENTIAL: (&str, &str) = ("authorization", "Bearer alice");

fn policy(shared: &str) -> String {
    asking(
        &format!(
            "credential: [\"header:authorization\"]\ncache: {{ ttl: 10m, denied_ttl: 1m, ignore: [path], {shared} }}"
        ),
        RULES,
    )
}

fn key() -> String {
    meshgate::cache::SealKey::random().unwrap().reveal()
}

fn gate(shared: &str) -> Gate {
    Gate::builder()
        .policy(policy(shared))
        .vm_env(KEY, &key())
        .workers(WORKERS)
        .auth(|_| alice())
        .start()
}

fn known(target: &str) -> Request {
    get(target).header(CREDENTIAL.0, CREDENTIAL.1)
}

/// Each of `n` on a connection of its own, all at once.
fn crowd(gate: &Gate, n: usize, status: u16) {
    let statuses = all_at_once(n, |_| gate.send(&known("/a")).status);
    assert_eq!(statuses, vec![status; n]);
}

/// Which workers took connections since the last call.
fn workers_that_served(gate: &Gate) -> usize {
    let stats = gate.envoy.stats("listener.");
    let of_worker = |name: &str| name.contains(".main.worker_") || name.contains("worker_");
    let served = stats
        .iter()
        .filter(|(name, count)| of_worker(name) && name.ends_with("downstream_cx_total") && **count > 0);
    served.count()
}

#[test]
fn one_callers_answer_serves_all_workers() {
    let gate = gate(SHARED);
    crowd(&gate, 500, 200);
    crowd(&gate, 500, 200);
    let served = workers_that_served(&gate);
    assert!(
        served > 1,
        "one worker took all connections: {:?}",
        gate.envoy.stats("listener.")
    );
    let asked = gate.auth.count();
    assert!(asked <= WORKERS as usize, "{asked} questions");
    crowd(&gate, 1_000, 200);
    assert_eq!(gate.auth.count(), asked);
    gate.envoy.assert_no_trap();
}

#[test]
fn once_stored_nobody_asks() {
    let gate = gate(SHARED);
    for (reply, status) in [(alice(), 200), (Reply::status(401), 401)] {
        gate.auth.answer(move |_| reply.clone());
        let caller = format!("Bearer {status}");
        let request = get("/a").header("authorization", &caller);
        assert_eq!(gate.send(&request).status, status);
        gate.auth.clear();
        let statuses = all_at_once(1_000, |_| gate.send(&request).status);
        assert_eq!(statuses, vec![status; 1_000]);
        assert_eq!(gate.auth.count(), 0, "{status}");
    }
    let shared = gate
        .envoy
        .stat("wasmcustom.meshgate_answers_total.authenticator=account.from=shared");
    assert!(shared >= Some(2), "{shared:?}");
    gate.envoy.assert_no_trap();
}

/// Without it each worker asks for itself, so that the tests above can fail.
#[test]
fn without_a_key_each_worker_asks() {
    let gate = gate("max_waiting: 2000");
    assert_eq!(gate.send(&known("/a")).status, 200);
    crowd(&gate, 500, 200);
    let asked = gate.auth.count();
    assert!((2..=WORKERS as usize).contains(&asked), "{asked} questions");
}

/// How long after the logout was answered somebody was still let in, at the latest.
fn latest_yes_after_logout(gate: &Gate) -> Duration {
    crowd(gate, 300, 200);
    let out = AtomicBool::new(false);
    let handler_saw = std::sync::Arc::new(AtomicBool::new(false));
    let refused = handler_saw.clone();
    gate.auth.answer(
        move |received| match refused.load(Ordering::SeqCst) || !received.path().ends_with("/logout") {
            true => Reply::status(401),
            false => alice(),
        },
    );
    let logout = gate.send(&known("/logout"));
    let since = Instant::now();
    assert_eq!(logout.status, 200);
    handler_saw.store(true, Ordering::SeqCst);
    let latest = all_at_once(16, |_| {
        let mut latest = Duration::ZERO;
        while since.elapsed() < Duration::from_millis(800) && !out.load(Ordering::SeqCst) {
            let started = since.elapsed();
            if gate.send(&known("/a")).status == 200 {
                latest = latest.max(started);
            }
        }
        latest
    });
    crowd(gate, 300, 401);
    latest.into_iter().max().unwrap_or_default()
}

#[test]
fn a_logout_is_obeyed_by_all_workers_within_200_ms() {
    for shared in [SHARED, "max_waiting: 2000"] {
        let gate = gate(shared);
        let latest = latest_yes_after_logout(&gate);
        println!("{shared}: let in {latest:?} after the logout at the latest");
        // A tick and what a busy machine adds to it.
        assert!(latest < Duration::from_millis(250), "{shared}: {latest:?}");
        gate.envoy.assert_no_trap();
    }
}

#[test]
fn a_policy_without_its_key_keeps_envoy_from_starting() {
    let log = Gate::builder().policy(policy(SHARED)).expect_refused();
    assert!(log.contains("the variable MESHGATE_CACHE_KEY is not set"), "{log}");
    let log = Gate::builder()
        .policy(policy(SHARED))
        .vm_env(KEY, "short")
        .expect_refused();
    assert!(
        log.contains("the variable MESHGATE_CACHE_KEY does not hold 32 bytes"),
        "{log}"
    );
    assert!(!log.contains("\"short\"") && !log.contains("panicked"), "{log}");
}

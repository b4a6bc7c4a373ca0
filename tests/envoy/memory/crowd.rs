//! Many callers at once.
use super::*;
use crate::support::client::Pending;

/// So many requests wait in Envoy at once for one answer; then the service gives it.
fn crowd(gate: &Gate, n: usize, workers: usize, before_the_answer: impl FnOnce(&mut Vec<Pending>)) -> Vec<Response> {
    let held = Latch::new();
    let opened = held.clone();
    gate.auth.answer(move |request| {
        opened.wait(LONG);
        knows(request)
    });
    let request = from("ada").timeout(LONG);
    let mut waiting: Vec<_> = (0..n).map(|_| gate.h1().start(&request).unwrap()).collect();
    let active = "http.ingress.downstream_rq_active";
    gate.envoy.wait_for_stat(active, |now| now == n as u64, LONG);
    gate.auth.wait_for(1);
    before_the_answer(&mut waiting);
    assert!(gate.auth.count() <= workers, "{} calls", gate.auth.count());
    held.open();
    waiting.into_iter().map(|pending| pending.response().unwrap()).collect()
}

#[track_caller]
fn all_are_ada(responses: &[Response]) {
    let others = responses
        .iter()
        .filter(|response| (response.status, &*seen(response)) != (200, "ada"));
    assert_eq!(others.count(), 0);
}

#[test]
fn a_thousand_at_once_are_one_call() {
    let gate = direct(policy("30s", "ttl: 1h", "", "")).start();
    let responses = crowd(&gate, 1000, 1, |_| ());
    all_are_ada(&responses);
    assert_eq!(gate.auth.count(), 1);
    assert_eq!((answers(&gate, "asked"), answers(&gate, "joined")), (1, 999));
    gate.envoy
        .wait_for_stat("wasmcustom.meshgate_waiting.authenticator=account", |n| n == 0, SHORT);
    assert_eq!(gate.send(&from("ada")).status, 200);
    assert_eq!(gate.auth.count(), 1);
    gate.envoy.assert_no_trap();
}

#[test]
fn with_four_workers_at_most_four() {
    let gate = direct(policy("30s", "ttl: 1h", "", "")).workers(4).start();
    all_are_ada(&crowd(&gate, 1000, 4, |_| ()));
    let calls = gate.auth.count();
    assert!(calls <= 4, "{calls}");
    // Nor afterwards, whichever worker a connection comes to.
    for _ in 0..100 {
        assert_eq!(gate.send(&from("ada")).status, 200);
    }
    assert!(gate.auth.count() <= 4, "{calls} and then {}", gate.auth.count());
    gate.envoy.assert_no_trap();
}

#[test]
fn the_first_leaves_and_the_others_are_served() {
    let gate = direct(policy("30s", "ttl: 1h", "", "")).start();
    let responses = crowd(&gate, 100, 1, |waiting| {
        // The first, and some of those who wait.
        for _ in 0..10 {
            waiting.remove(0).leave();
        }
        let active = "http.ingress.downstream_rq_active";
        gate.envoy.wait_for_stat(active, |now| now == 90, SHORT);
    });
    assert_eq!(responses.len(), 90);
    all_are_ada(&responses);
    assert_eq!(gate.auth.count(), 1);
    gate.envoy.assert_no_trap();
}

/// Each asks for itself where the answer is one request's alone, and gets what it was told.
#[test]
fn what_may_not_be_remembered_is_not_shared() {
    let gate = direct(policy("30s", "ttl: 1h", "", "")).start();
    let held = Latch::new();
    let (opened, given) = (held.clone(), std::sync::atomic::AtomicUsize::new(0));
    gate.auth.answer(move |_| {
        opened.wait(LONG);
        let n = given.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Reply::ok()
            .header("x-auth-user", format!("u{n}"))
            .header("cache-control", "no-store")
    });
    let waiting: Vec<_> = (0..50).map(|_| gate.h1().start(&from("ada")).unwrap()).collect();
    gate.envoy
        .wait_for_stat("http.ingress.downstream_rq_active", |now| now == 50, SHORT);
    assert_eq!(gate.auth.wait_for(1).len(), 1);
    held.open();
    let mut told: Vec<_> = waiting
        .into_iter()
        .map(|pending| seen(&pending.response().unwrap()))
        .collect();
    told.sort_unstable();
    told.dedup();
    assert_eq!((told.len(), gate.auth.count()), (50, 50));
}

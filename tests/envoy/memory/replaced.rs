//! The policy is replaced while answers are remembered.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

/// Ends the load, also where the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A caller is told by the policy's revision and by the service's generation: an answer that was remembered
/// under an older policy shows in a generation that is older than the policy.
#[test]
fn a_hundred_times_under_load() {
    let revision = |n: usize| {
        let rest = format!("revision: r{n}\nidentity: {{ headers: {{ x-user-id: \"{n}:{{subject}}\" }} }}");
        policy(
            "10s",
            "ttl: 1h, stale_if_error: 1h, stale_while_revalidate: 1h",
            "",
            &rest,
        )
    };
    let generation = Arc::new(AtomicUsize::new(0));
    let told = generation.clone();
    let gate = direct(revision(0))
        .auth(move |_| Reply::ok().header("x-auth-user", told.load(Ordering::SeqCst).to_string()))
        .live()
        .workers(2)
        .log_level("error")
        .start();
    let (over, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    // On one connection, which stays with one worker, revisions only rise.
    let load = |wire: Wire, who: usize| {
        let (mut faults, mut last) = (Vec::new(), 0);
        let mut kept = (wire == Wire::H1).then(|| gate.h1().connect());
        while !over.load(Ordering::SeqCst) {
            let request = from(&format!("c{who}"));
            let response = match &mut kept {
                Some(connection) => connection.send(&request),
                None => gate.client(wire).try_send(&request),
            };
            sent.fetch_add(1, Ordering::SeqCst);
            let ok = response.as_ref().ok().filter(|response| response.status == 200);
            let numbers = ok.and_then(|response| {
                let seen = seen(response);
                let (revision, generation) = seen.split_once(':')?;
                Some((revision.parse::<usize>().ok()?, generation.parse::<usize>().ok()?))
            });
            let Some((revision, generation)) = numbers else {
                faults.push(format!("{wire:?}: {response:?}"));
                kept = kept.map(|_| gate.h1().connect());
                continue;
            };
            if generation < revision || (kept.is_some() && revision < last) {
                faults.push(format!(
                    "{wire:?}: policy {revision} after {last}, answer of {generation}"
                ));
            }
            last = revision;
        }
        faults
    };
    let faults: Vec<String> = std::thread::scope(|scope| {
        let load = &load;
        let clients: Vec<_> = [Wire::H1, Wire::H1, Wire::H1, Wire::H2]
            .into_iter()
            .enumerate()
            .map(|(who, wire)| scope.spawn(move || load(wire, who)))
            .collect();
        let ends = Ends(&over);
        for n in 1..=100 {
            generation.store(n, Ordering::SeqCst);
            assert_eq!(gate.replace_policy(revision(n)), Replaced::Taken, "{n}");
        }
        let last = until("the last policy on every worker", SHORT, || {
            let all: Vec<_> = (0..20).map(|_| seen(&gate.send(&from("c0")))).collect();
            all.iter().all(|seen| seen == "100:100").then_some(all)
        });
        drop(ends);
        assert_eq!(last.len(), 20);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let sent = sent.into_inner();
    println!(
        "{sent} requests while the policy was replaced 100 times, {} calls",
        gate.auth.count()
    );
    assert!(faults.is_empty(), "{} of {sent}: {:?}", faults.len(), faults.first());
    assert!(
        gate.auth.count() < sent / 2,
        "{} calls for {sent} requests",
        gate.auth.count()
    );
    gate.envoy.assert_no_trap();
}

/// Who waits when the policy goes is answered under it.
#[test]
fn while_they_wait() {
    let gate = direct(policy("30s", "ttl: 1h", "", "revision: r1")).live().start();
    let held = Latch::new();
    let opened = held.clone();
    gate.auth.answer(move |request| {
        opened.wait(LONG);
        knows(request)
    });
    let waiting: Vec<_> = (0..300)
        .map(|_| gate.h1().start(&from("ada").timeout(LONG)).unwrap())
        .collect();
    gate.envoy
        .wait_for_stat("http.ingress.downstream_rq_active", |now| now == 300, SHORT);
    assert_eq!(
        gate.replace_policy(policy("30s", "ttl: 1h", "", "revision: r2")),
        Replaced::Taken
    );
    held.open();
    for pending in waiting {
        let response = pending.response().unwrap();
        assert_eq!((response.status, &*seen(&response)), (200, "ada"));
    }
    assert_eq!(gate.auth.count(), 1);
    gate.envoy.assert_no_trap();
}

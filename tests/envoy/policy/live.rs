//! The policy is replaced while Envoy serves.
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::policies::{alice, decisions};

/// Told by its revision; `target` is the one path that it opens.
fn policy(revision: &str, target: &str) -> String {
    asking(
        "",
        &format!(
            "revision: {revision}\nrules: [{{ name: {revision}, match: {{ hosts: [\"*\"], paths: [{target}] }} }}]"
        ),
    )
}

#[test]
fn a_good_policy_is_taken_and_a_faulty_one_leaves_the_old_serving() {
    let gate = Gate::builder()
        .policy(policy("r1", "/one"))
        .auth(|_| alice())
        .live()
        .start();
    let statuses = || [gate.send(&get("/one")).status, gate.h2().send(&get("/two")).status];
    assert_eq!(statuses(), [200, 403]);

    assert_eq!(gate.replace_policy(policy("r2", "/two")), Replaced::Taken);
    until("the new policy on the worker", SHORT, || {
        (statuses() == [403, 200]).then_some(())
    });

    assert_eq!(gate.replace_policy(policy("r3", "no-slash")), Replaced::Rejected);
    assert!(
        gate.envoy
            .wait_for_log("policy refused")
            .contains("rules[0].match.paths[0]")
    );
    assert_eq!(statuses(), [403, 200]);
    assert_eq!(decisions(&gate, "/two", 1).pop().unwrap()["revision"], "r2");

    // Out of the corner again.
    assert_eq!(gate.replace_policy(policy("r4", "/one")), Replaced::Taken);
    until("the newest policy on the worker", SHORT, || {
        (statuses() == [200, 403]).then_some(())
    });
    assert_eq!(gate.envoy.stat("wasmcustom.meshgate_policy_info.revision=r4"), Some(1));
    gate.envoy.assert_no_trap();
}

#[test]
fn a_request_under_way_ends_under_the_policy_it_began_under() {
    let gate = Gate::builder().policy(policy("r1", "/one")).live().start();
    let hang = Latch::new();
    let opened = hang.clone();
    gate.auth.answer(move |_| {
        opened.wait(SHORT);
        alice()
    });
    let waiting: Vec<_> = Wire::BOTH
        .map(|wire| gate.client(wire).start(&get("/one")).unwrap())
        .into();
    gate.auth.wait_for(2);
    assert_eq!(gate.replace_policy(policy("r2", "/two")), Replaced::Taken);
    until("the new policy on the worker", SHORT, || {
        (gate.send(&get("/one")).status == 403).then_some(())
    });
    hang.open();
    for request in waiting {
        assert_eq!(request.response().unwrap().status, 200);
    }
    let lines = decisions(&gate, "/one", 3);
    let old = lines
        .iter()
        .filter(|line| line["revision"] == "r1" && line["rule"] == "r1");
    assert_eq!(old.count(), 2, "{lines:?}");
    gate.envoy.assert_no_trap();
}

#[test]
fn a_hundred_replacements_under_load_lose_no_request() {
    let open = |n: usize| policy(&format!("r{n}"), "\"/**\"");
    let gate = Gate::builder()
        .policy(open(0))
        .auth(|_| alice())
        .live()
        .workers(2)
        .start();
    let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load = |wire: Wire| {
        let mut lost = Vec::new();
        while !stop.load(Ordering::SeqCst) {
            match gate.client(wire).try_send(&get("/load")) {
                Ok(response) if response.status == 200 => {}
                other => lost.push(format!("{wire:?}: {other:?}")),
            }
            sent.fetch_add(1, Ordering::SeqCst);
        }
        lost
    };
    let lost: Vec<String> = std::thread::scope(|scope| {
        let load = &load;
        let clients = Wire::BOTH.map(|wire| scope.spawn(move || load(wire)));
        for n in 1..=100 {
            assert_eq!(gate.replace_policy(open(n)), Replaced::Taken, "{n}");
        }
        stop.store(true, Ordering::SeqCst);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    assert!(
        lost.is_empty(),
        "{} of {} lost: {:?}",
        lost.len(),
        sent.into_inner(),
        lost.first()
    );
    assert!(
        gate.upstream
            .received()
            .iter()
            .all(|seen| seen.header("x-user-id").as_deref() == Some("alice"))
    );
    gate.envoy.assert_no_trap();
}

//! Clients that leave while the service thinks.
use super::*;

#[test]
fn five_hundred_clients_that_leave_leave_nothing_behind() {
    let gate = Gate::builder()
        .policy(policy_with(&["auth"], SHORT))
        .auth(|_| alice())
        .start();
    let contexts = || gate.envoy.stat("wasm.envoy.wasm.runtime.v8.active");
    assert_eq!(gate.send(&get("/auth/deny/first")).status, 200);
    let vms = contexts();
    // Memory grows with the first crowd and must not with the second.
    let mut memory = Vec::new();
    for _ in 0..3 {
        let hang = Latch::new();
        let opened = hang.clone();
        gate.auth.answer(move |_| {
            opened.wait(SHORT);
            alice()
        });
        // Fifty at a time: each is a thread of the stub.
        for _ in 0..10 {
            gate.auth.clear();
            let waiting: Vec<_> = (0..50)
                .map(|i| gate.client(Wire::BOTH[i % 2]).start(&get("/auth/deny/leaves")).unwrap())
                .collect();
            gate.auth.wait_for(waiting.len());
            waiting.into_iter().for_each(|client| client.leave());
        }
        hang.open();
        for gauge in [
            "http.ingress.downstream_rq_active",
            "http.ingress.downstream_cx_active",
            "cluster.auth.upstream_rq_active",
        ] {
            gate.envoy.wait_for_stat(gauge, |n| n == 0, SHORT);
        }
        memory.push(gate.envoy.rss());
    }
    gate.auth.answer(|_| alice());
    for _ in 0..10 {
        assert_eq!(gate.send(&get("/auth/deny/later")).status, 200);
    }
    assert_eq!(contexts(), vms, "another VM was made");
    let grown = memory[2].saturating_sub(memory[0]);
    assert!(grown < 16 << 20, "memory after each crowd of 500: {memory:?}");
    assert_eq!(
        gate.upstream
            .received()
            .iter()
            .filter(|r| r.path().ends_with("leaves"))
            .count(),
        0
    );
    gate.envoy.assert_no_trap();
}

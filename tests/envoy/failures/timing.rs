//! How long a failing service holds a request up.
use std::time::{Duration, Instant};

use super::*;

#[test]
fn a_silent_service_costs_the_policys_timeout_and_no_more() {
    let gate = Gate::builder()
        .policy(policy(&["auth"]))
        .auth(|_| Reply::never())
        .start();
    for wire in Wire::BOTH {
        let began = Instant::now();
        assert_eq!(gate.client(wire).send(&get("/auth/deny/")).status, 503);
        let took = began.elapsed();
        // Envoy's timers count whole milliseconds; the rest is a busy machine's.
        assert!(
            took + Duration::from_millis(5) >= TIMEOUT && took < TIMEOUT * 4,
            "{wire:?}: {took:?}"
        );
    }
}

#[test]
fn a_dead_service_costs_no_time() {
    let gate = Gate::start(policy(&["missing", "empty", "dead"]));
    for cluster in ["missing", "empty", "dead"] {
        let began = Instant::now();
        assert_eq!(gate.send(&get(format!("/{cluster}/deny/"))).status, 503, "{cluster}");
        assert!(began.elapsed() < TIMEOUT, "{cluster}: {:?}", began.elapsed());
    }
}

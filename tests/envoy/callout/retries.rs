//! The service is asked again when the policy says so.
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::policies::{alice, asking};
use crate::support::*;

/// Answers so the first `times`, then says yes.
fn flaky(times: usize, bad: fn() -> Reply) -> impl Fn(&Received) -> Reply + Send + Sync {
    let count = AtomicUsize::new(0);
    move |_| match count.fetch_add(1, Ordering::SeqCst) < times {
        true => bad(),
        false => alice(),
    }
}

#[test]
fn a_flaky_service_is_asked_again() {
    let gate = Gate::start(asking(
        "retry: { attempts: 2, retry_on: [gateway-error, reset, 429], per_try_timeout: 300ms }",
        "",
    ));
    for (what, bad) in [
        ("503", (|| Reply::status(503)) as fn() -> Reply),
        ("429", || Reply::status(429)),
        ("reset", Reply::reset),
        ("close", Reply::close),
        ("silence", Reply::never),
    ] {
        for (times, status) in [(0, 200), (1, 200), (2, 200)] {
            gate.auth.clear();
            gate.auth.answer(flaky(times, bad));
            assert_eq!(gate.send(&post("/", "body")).status, status, "{what} {times} times");
            assert_eq!(gate.auth.count(), times + 1, "{what} {times} times");
        }
    }
    // No more than the policy says.
    gate.auth.clear();
    gate.auth.answer(flaky(9, || Reply::status(503)));
    assert_eq!(gate.send(&get("/")).status, 503);
    assert_eq!(gate.auth.count(), 3);
}

#[test]
fn without_retry_the_service_is_asked_once() {
    let gate = Gate::start(asking("", ""));
    gate.auth.answer(flaky(1, || Reply::status(503)));
    assert_eq!(gate.send(&get("/")).status, 503);
    assert_eq!(gate.auth.count(), 1);
}

/// Not repeated: the service has said no.
#[test]
fn a_denial_is_final() {
    let gate = Gate::start(asking("retry: { attempts: 2, retry_on: [5xx, reset] }", ""));
    gate.auth.answer(flaky(1, || Reply::status(403)));
    assert_eq!(gate.send(&get("/")).status, 403);
    assert_eq!(gate.auth.count(), 1);
}

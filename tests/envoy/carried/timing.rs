//! How long the upstream has.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[track_caller]
fn times_out(gate: &Gate, request: &Request, wanted: Duration, about: &str) {
    takes(wanted, about, || assert_eq!(gate.send(request).status, 504, "{about}"));
}

#[test]
fn the_policys_timeout_in_place_of_the_routes() {
    for routes in ["0.2s", "9s"] {
        let gate = builder("{ timeout: 1s }")
            .routes(route(json!({"timeout": routes})))
            .upstream(|_| Reply::never())
            .start();
        times_out(&gate, &get("/"), SECOND, &format!("on a route with {routes}"));
        times_out(&gate, &post("/", "body"), SECOND, &format!("on a route with {routes}"));
        // The upstream is told.
        let told = gate.upstream.last().header("x-envoy-expected-rq-timeout-ms");
        assert_eq!(told.as_deref(), Some("1000"));
    }
}

#[test]
fn what_the_auth_service_takes_is_not_the_upstreams() {
    let gate = builder("{ timeout: 1s }").upstream(|_| Reply::never()).start();
    gate.auth.answer(|_| alice().delay(Duration::from_millis(500)));
    times_out(&gate, &get("/"), SECOND, "half of it asking");
    // Envoy says what it was told.
    let told: u64 = gate
        .upstream
        .last()
        .header("x-envoy-expected-rq-timeout-ms")
        .unwrap()
        .parse()
        .unwrap();
    assert!((50..=500).contains(&told), "{told} ms");

    gate.upstream.clear();
    gate.auth.answer(|_| alice().delay(SECOND));
    let refused = gate.send(&get("/"));
    assert_eq!(refused.status, 504);
    assert_eq!(refused.json()["error"], "deadline_exceeded");
    assert_eq!(gate.upstream.count(), 0, "the upstream is left alone");
}

#[test]
fn each_try_has_its_own_time() {
    let retry = "timeout: 5s, retry: { attempts: 2, retry_on: [gateway-error], per_try_timeout: 500ms";
    let gate = builder(&format!("{{ {retry} }} }}"))
        .upstream(|_| Reply::never())
        .start();
    let tries = || {
        gate.upstream.clear();
        assert_eq!(gate.send(&get("/")).status, 504);
        assert_eq!(gate.upstream.count(), 3);
    };
    // Envoy waits up to 25 ms before the second, up to 75 ms before the third.
    takes(Duration::from_millis(1550), "three tries", tries);
    // The one try of a POST has all of the time.
    gate.upstream.clear();
    gate.upstream.answer(|_| Reply::ok().delay(Duration::from_millis(700)));
    assert_eq!(gate.send(&post("/", "body")).status, 200);
    assert_eq!(gate.upstream.count(), 1);
}

/// The first try answers late, but it does; the others never do.
#[test]
fn a_hedged_try_goes_on_beside_the_next() {
    let late_then_never = || {
        let times = std::sync::atomic::AtomicUsize::new(0);
        move |_: &Received| match times.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Reply::ok().delay(Duration::from_millis(1200)),
            _ => Reply::never(),
        }
    };
    for (hedge, status) in [("true", 200), ("false", 504)] {
        let gate = builder(&format!(
            "{{ timeout: 3s, retry: {{ attempts: 1, retry_on: [gateway-error], per_try_timeout: 800ms, \
             hedge_on_per_try_timeout: {hedge} }} }}"
        ))
        .upstream(late_then_never())
        .start();
        assert_eq!(gate.send(&get("/")).status, status, "hedge {hedge}");
        assert_eq!(gate.upstream.count(), 2, "hedge {hedge}");
    }
}

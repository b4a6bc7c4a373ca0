//! A client steers nothing, wherever it stands: what is written replaces what came.

use super::*;
use crate::strip::envoys::{forge, listeners};

#[test]
fn forged_headers_have_no_effect_on_tries_and_time() {
    for (name, listener, forwarded_for) in listeners() {
        let gate = builder("{ timeout: 1s, retry: { attempts: 1, retry_on: [503] } }")
            .hcm(listener)
            .upstream(|_| Reply::status(503))
            .start();
        for (request, tries) in [(get("/"), 2), (post("/", "body"), 1)] {
            gate.upstream.clear();
            assert_eq!(gate.send(&forge(&request, forwarded_for)).status, 503, "{name}");
            assert_eq!(gate.upstream.count(), tries, "{name}: tries of {request:?}");
        }
        gate.upstream.answer(|_| Reply::never());
        let silence = || assert_eq!(gate.send(&forge(&get("/"), forwarded_for)).status, 504, "{name}");
        takes(Duration::from_secs(1), name, silence);
    }
}

/// `x-envoy-expected-rq-timeout-ms` is Envoy's own: from outside it is gone before we see it.
#[test]
fn an_expected_timeout_counts_from_inside_only() {
    let deadline = "{ timeout: 9s, deadline: { header: x-envoy-expected-rq-timeout-ms, from: anyone } }";
    for ((name, listener, forwarded_for), counts) in listeners().into_iter().zip([false, false, true, true]) {
        let gate = builder(deadline).hcm(listener).start();
        let mut request = get("/").header("x-envoy-expected-rq-timeout-ms", "3000");
        if !forwarded_for.is_empty() {
            request = request.header("x-forwarded-for", forwarded_for);
        }
        gate.send(&request);
        let seen = gate.upstream.last().header("x-envoy-expected-rq-timeout-ms");
        let told: u64 = seen.unwrap_or_default().parse().unwrap();
        assert_eq!(told <= 3000, counts, "{name}: {told} ms");
    }
}

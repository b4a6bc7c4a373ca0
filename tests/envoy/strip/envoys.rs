//! Headers by which Envoy is steered: a client has no say in retries, timeouts and statistics.

use super::ways;
use crate::seen::see;
use crate::support::{Gate, Reply, Request, Wire, get};
use serde_json::{Value, json};

const CLIENTS: [(&str, &str); 16] = [
    ("x-envoy-retry-on", "5xx,gateway-error,retriable-4xx"),
    ("x-envoy-retry-grpc-on", "unavailable"),
    ("x-envoy-max-retries", "5"),
    ("x-envoy-retriable-status-codes", "503"),
    ("x-envoy-hedge-on-per-try-timeout", "true"),
    ("x-envoy-upstream-rq-timeout-ms", "9999"),
    ("x-envoy-upstream-rq-per-try-timeout-ms", "9998"),
    ("x-envoy-upstream-rq-timeout-alt-response", "1"),
    ("x-envoy-upstream-alt-stat-name", "forged"),
    ("x-envoy-expected-rq-timeout-ms", "9997"),
    ("x-envoy-original-path", "/forged"),
    ("x-envoy-attempt-count", "99"),
    ("x-envoy-internal", "forged"),
    ("x-envoy-external-address", "9.9.9.9"),
    ("x-envoy-ip-tags", "forged"),
    ("x_envoy_decorator.operation", "forged"),
];

/// How the listener tells inside from outside; inside, Envoy itself leaves a client's x-envoy-* alone.
pub fn listeners() -> [(&'static str, Value, &'static str); 4] {
    let internal = json!({"cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]});
    [
        ("as Envoy is by itself", json!({}), "127.0.0.1"),
        ("use_remote_address", json!({"use_remote_address": true}), "127.0.0.1"),
        (
            "an internal client",
            json!({"use_remote_address": true, "internal_address_config": internal}),
            // Whoever comes with addresses of earlier hops is not internal.
            "",
        ),
        (
            "an internal client by X-Forwarded-For",
            json!({"use_remote_address": false, "internal_address_config": internal}),
            "127.0.0.1",
        ),
    ]
}

fn gate(listener: &Value) -> Gate {
    let unwell = |_: &crate::support::Received| Reply::status(503);
    ways::builder().hcm(listener.clone()).upstream(unwell).start()
}

pub fn forge(request: &Request, forwarded_for: &str) -> Request {
    let request = match forwarded_for {
        "" => request.clone(),
        address => request.clone().header("x-forwarded-for", address),
    };
    CLIENTS
        .into_iter()
        .fold(request, |request, (name, value)| request.header(name, value))
}

#[test]
fn a_client_steers_nothing_wherever_it_stands() {
    for (name, listener, forwarded_for) in listeners() {
        let gate = gate(&listener);
        for way in ways::all() {
            for wire in Wire::BOTH {
                let case = format!("{name}, {} over {wire:?}", way.name);
                let seen = see(&gate, wire, &forge(&way.request, forwarded_for));
                let status = if way.reaches_upstream { 503 } else { way.status };
                assert_eq!(seen.status, status, "{case}");
                // 503 and no retry: one try.
                assert_eq!(seen.upstream.len(), usize::from(way.reaches_upstream), "{case}: tries");
                for request in seen.upstream.iter().chain(&seen.auth) {
                    for (header, value) in CLIENTS {
                        let values = request.headers.all(header);
                        let forged = values.contains(&value.as_bytes());
                        assert!(!forged, "{case}: {header}: {value} in {:?}", request.headers);
                    }
                }
            }
        }
        assert_eq!(
            gate.envoy.stats("cluster.upstream.forged"),
            Default::default(),
            "{name}: statistics"
        );
    }
}

/// So that the test above means something: without the filter an internal client steers Envoy.
#[test]
fn without_the_filter_an_internal_client_would() {
    for (name, listener, forwarded_for) in listeners().into_iter().skip(2) {
        let gate = Gate::builder().hcm(listener).upstream(|_| Reply::status(503)).start();
        let seen = see(&gate, Wire::H1, &forge(&get("/"), forwarded_for));
        assert_eq!(seen.upstream.len(), 6, "{name}: one try and five retries");
    }
}

//! What an operator sees: logs, metrics, alerts and the dashboard, on a real Envoy and a real Prometheus.

#[path = "../support/mod.rs"]
mod support;

#[path = "../tokens/mint.rs"]
#[allow(dead_code, reason = "tests/tokens.rs makes more of it")]
mod mint;
#[path = "../envoy/policies.rs"]
#[allow(dead_code, reason = "tests/envoy makes more of it")]
mod policies;
#[path = "../envoy/shipped.rs"]
#[allow(dead_code, reason = "tests/envoy makes more of it")]
mod shipped;

mod prometheus;
mod traffic;

mod alerts;
mod dashboard;
mod logs;
mod metrics;
mod outcomes;

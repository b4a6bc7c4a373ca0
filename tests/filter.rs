//! The filter against a mock host: the real code, every host call native.
#![cfg(feature = "filter")]

#[path = "filter/gate.rs"]
mod gate;
mod host;
#[path = "tokens/mint.rs"]
#[allow(dead_code, reason = "tests/tokens.rs makes more of it")]
mod mint;

#[path = "filter/answers.rs"]
mod answers;
#[path = "filter/assertion.rs"]
mod assertion;
#[path = "filter/bodies.rs"]
mod bodies;
#[path = "filter/carried.rs"]
mod carried;
#[path = "filter/credentials.rs"]
mod credentials;
#[path = "filter/debug.rs"]
mod debug;
#[path = "filter/experiments.rs"]
mod experiments;
#[path = "filter/failing_host.rs"]
mod failing_host;
#[path = "filter/hostile.rs"]
mod hostile;
#[path = "filter/log_lines.rs"]
mod log_lines;
#[path = "filter/metrics.rs"]
mod metrics;
#[path = "filter/numbers.rs"]
mod numbers;
#[path = "filter/order.rs"]
mod order;
#[path = "filter/phases.rs"]
mod phases;
#[path = "filter/policies.rs"]
mod policies;
#[path = "filter/rates.rs"]
mod rates;
#[path = "filter/shared.rs"]
mod shared;
#[path = "filter/tokens.rs"]
mod tokens;
#[path = "filter/waiting.rs"]
mod waiting;

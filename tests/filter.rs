//! The filter against a mock host: the real code, every host call native.
#![cfg(feature = "filter")]

#[path = "filter/gate.rs"]
mod gate;
mod host;

#[path = "filter/answers.rs"]
mod answers;
#[path = "filter/bodies.rs"]
mod bodies;
#[path = "filter/failing_host.rs"]
mod failing_host;
#[path = "filter/hostile.rs"]
mod hostile;
#[path = "filter/log_lines.rs"]
mod log_lines;
#[path = "filter/metrics.rs"]
mod metrics;
#[path = "filter/order.rs"]
mod order;
#[path = "filter/phases.rs"]
mod phases;
#[path = "filter/policies.rs"]
mod policies;

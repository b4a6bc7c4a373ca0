//! The harness against a real Envoy, without the filter: what it says must hold before anything
//! is judged by it.
#[path = "support/mod.rs"]
mod support;

#[path = "harness_self/filter.rs"]
mod filter;
#[path = "harness_self/peers.rs"]
mod peers;
#[path = "harness_self/process.rs"]
mod process;
#[path = "harness_self/wires.rs"]
mod wires;

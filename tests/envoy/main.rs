//! Meshgate in a real Envoy: what a client, the auth service and the upstream see.

#[path = "../support/mod.rs"]
mod support;

#[path = "../tokens/mint.rs"]
#[allow(dead_code, reason = "tests/tokens.rs makes more of it")]
mod mint;
#[path = "../explain/often.rs"]
mod often;
mod policies;
mod seen;
mod shipped;

mod assertion;
mod hostile;
mod hosts;
mod identity;
mod paths;
mod rules;
mod strip;
mod tokens;

mod body;
mod callout;
mod carried;
mod experiments;
mod explain;
mod failures;
mod gates;
mod log;
mod memory;
mod migrate;
mod modes;
mod numbers;
mod peers;
mod policy;
mod ratelimit;
mod rates;
mod refusals;
mod shared;
mod traces;
mod upgrade;

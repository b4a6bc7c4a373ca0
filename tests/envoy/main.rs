//! Meshgate in a real Envoy: what a client, the auth service and the upstream see.

#[path = "../support/mod.rs"]
mod support;

mod policies;
mod seen;

mod hostile;
mod hosts;
mod identity;
mod paths;
mod rules;
mod strip;

mod body;
mod callout;
mod failures;
mod log;
mod modes;
mod policy;
mod refusals;
mod upgrade;

//! How requests are carried: what Envoy makes of the headers that the policy has us write.

mod deadlines;
mod forged;
mod retries;
mod streams;
mod timing;

use crate::policies::{alice, asking};
use crate::support::gate::GateBuilder;
use crate::support::*;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A policy whose one rule asks about every request and carries it so (YAML).
pub fn policy(upstream: &str) -> String {
    asking("", &format!("defaults: {{ upstream: {upstream} }}"))
}

pub fn builder(upstream: &str) -> GateBuilder {
    Gate::builder().policy(policy(upstream)).auth(|_| alice())
}

/// One route to the upstream, with more of its own.
pub fn route(more: Value) -> Value {
    let mut route = json!({"cluster": "upstream"});
    gate::merge(&mut route, more);
    json!([{"match": {"prefix": "/"}, "route": route}])
}

pub fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let seen = what();
    (seen, begin.elapsed())
}

/// What takes `wanted` to ±20 %. Nothing makes it come early; on a busy machine it may come late, so that
/// the best of three counts there.
#[track_caller]
pub fn takes(wanted: Duration, about: &str, mut what: impl FnMut()) {
    let mut seen = Vec::new();
    for _ in 0..3 {
        let ((), took) = timed(&mut what);
        assert!(took >= wanted.mul_f64(0.8), "{about}: {took:?} instead of {wanted:?}");
        if took <= wanted.mul_f64(1.2) {
            return;
        }
        seen.push(took);
    }
    panic!("{about}: {seen:?} instead of {wanted:?}");
}

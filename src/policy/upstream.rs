//! How a rule's requests are carried to the upstream.

use crate::header::{Field, HeaderName};
use std::sync::Arc;

/// What does not depend on the request is rendered once.
#[derive(Debug)]
pub struct Upstream {
    /// 1 ms to 24 h. None: no limit of ours.
    pub timeout_ms: Option<u64>,
    /// Less time than this is not worth the upstream's while.
    pub min_ms: u64,
    pub repeat: Repeat,
    /// For requests that may be sent again.
    pub repeatable: Written,
    /// For those that may not.
    pub once: Written,
    pub deadline: Option<Deadline>,
}

/// What may be sent again besides what RFC 9110 calls idempotent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    Idempotent,
    /// And requests that carry an `idempotency-key`.
    WithKey,
    Everything,
}

/// Headers for Envoy's router.
#[derive(Debug)]
pub struct Written {
    /// With the policy's timeout.
    pub whole: Arc<[Field]>,
    /// The timeout is written for each request.
    pub but_timeout: Arc<[Field]>,
}

/// Where a caller says how long it will wait.
#[derive(Debug)]
pub struct Deadline {
    pub header: HeaderName,
    pub form: DeadlineForm,
    /// Nobody's word is no reason to wait less.
    pub of_known_callers: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlineForm {
    /// RFC 3339, or milliseconds since the Unix epoch.
    Instant,
    /// `x-envoy-expected-rq-timeout-ms`
    Millis,
    /// `grpc-timeout`
    Grpc,
}

pub const RQ_TIMEOUT: &str = "x-envoy-upstream-rq-timeout-ms";
pub const EXPECTED_TIMEOUT: &str = "x-envoy-expected-rq-timeout-ms";
pub const GRPC_TIMEOUT: &str = "grpc-timeout";
/// Longer than any request; Envoy's timers take it, as `grpc-timeout` does.
pub const LONGEST_MS: u64 = 24 * 3_600_000;

impl Written {
    /// `rest`: all but the timeout.
    pub fn new(timeout: Option<Field>, rest: Vec<Field>) -> Self {
        Self {
            whole: timeout.into_iter().chain(rest.iter().cloned()).collect(),
            but_timeout: rest.into(),
        }
    }
}

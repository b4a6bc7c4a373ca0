//! When Envoy asks again.

use crate::config::conditions;
use crate::config::node::Node;
use crate::config::read::{Fields, Known};
use crate::config::sink::{Checked, Sink};
use crate::policy::CalloutRetry;
use std::time::Duration;

const FIELDS: Known = Known {
    now: &["attempts", "retry_on", "per_try_timeout"],
    later: &[],
};

/// More would outlast every timeout that a caller waits for.
const MOST: u64 = 5;

pub fn read(sink: &Sink, node: &Node, timeout: Checked<Duration>) -> Checked<CalloutRetry> {
    let fields = Fields::of(sink, node, &FIELDS)?;
    let attempts = fields
        .required("attempts", ": write 1, the tries besides the first")
        .and_then(|node| sink.whole(node, 1..=MOST));
    let conditions = fields
        .required("retry_on", ": write [gateway-error, reset, connect-failure]")
        .and_then(|node| conditions::read(sink, node, &[]));
    let longest = super::SHORTEST..=super::LONGEST;
    let per_try_timeout = fields.optional("per_try_timeout", |node| {
        let value = sink.duration(node, longest)?;
        sink.below(node, value, timeout.ok())
    });
    let conditions = conditions?;
    Ok(CalloutRetry {
        attempts: u32::try_from(attempts?).unwrap_or(u32::MAX),
        retry_on: conditions::names(&conditions, false),
        retriable_status_codes: conditions::codes(&conditions),
        per_try_timeout: per_try_timeout?,
    })
}

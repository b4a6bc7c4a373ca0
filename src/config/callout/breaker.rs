//! When a service that fails is left alone.

use crate::breaker::BreakerPolicy;
use crate::config::node::Node;
use crate::config::read::{Fields, Known};
use crate::config::sink::{Checked, Sink};
use std::time::Duration;

const FIELDS: Known = Known {
    now: &["failures", "open_for"],
    later: &[],
};
/// What a service fails that often in ten seconds is in nobody's way any more.
const MOST_FAILURES: u64 = 10_000;
const SHORTEST: Duration = Duration::from_millis(100);
/// Callers are refused that long after the service is back.
const LONGEST: Duration = Duration::from_secs(300);

pub fn read(sink: &Sink, node: &Node) -> Checked<BreakerPolicy> {
    let fields = Fields::of(sink, node, &FIELDS)?;
    let failures = fields
        .required("failures", ": write 5, the failures within 10 s that open it")
        .and_then(|node| sink.whole(node, 1..=MOST_FAILURES));
    let open_for = fields
        .required("open_for", ": write 5s, how long nobody asks")
        .and_then(|node| sink.duration(node, SHORTEST..=LONGEST));
    Ok(BreakerPolicy {
        failures: u32::try_from(failures?).unwrap_or(u32::MAX),
        open_for: open_for?,
    })
}

//! `schedule`: a coverage for each stretch of time.

use super::share;
use crate::config::node::Node;
use crate::config::read::{Fields, Known, all};
use crate::config::sink::{Checked, Sink};
use crate::experiment::Hash;
use crate::time::UnixTime;

const STEP: Known = Known {
    now: &["at", "coverage"],
    later: &[],
};
/// They are tried one after the other on a request.
const MOST: usize = 64;

/// From which second on which coverage.
pub fn read(sink: &Sink, node: &Node, hash: Hash) -> Checked<Vec<(u64, f64)>> {
    sink.at_most(node, MOST, "they are tried one after the other")?;
    let steps = sink.some(node, |item| {
        let fields = Fields::of(sink, item, &STEP)?;
        let at = fields
            .required("at", ": write \"2026-12-01T00:00:00Z\"")
            .and_then(|node| sink.parsed(node, UnixTime::parse));
        let coverage = fields
            .required("coverage", ": write 10%")
            .and_then(|node| share::coverage(sink, node, hash));
        Ok((at?.as_secs(), coverage?))
    })?;
    let late = steps.windows(2).zip(sink.items(node)?.iter().skip(1));
    let late = late.filter_map(|(pair, item)| match pair {
        [(before, _), (after, _)] if after <= before => Some(Err(sink.fault(item, "is not after the step before it"))),
        _ => None,
    });
    all(late).map(|_: Vec<()>| steps)
}

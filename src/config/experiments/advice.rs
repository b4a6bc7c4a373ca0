//! What is no fault of an experiment and likely a mistake all the same.

use super::needs_caller;
use crate::config::lint::one_issuer;
use crate::config::node::{Entry, Node, Value};
use crate::config::sink::Sink;
use crate::experiment::{Coverage, Experiment, Kind, Share, Unit};
use crate::policy::{Policy, Rule};

pub fn warn(sink: &Sink, node: Option<&Node>, policy: &Policy) {
    let entries: &[Entry] = match node.map(|node| &node.value) {
        Some(Value::Map(entries)) => entries,
        _ => &[],
    };
    for (at, (entry, experiment)) in entries.iter().zip(&policy.experiments).enumerate() {
        let warn = |message: String| {
            sink.fault_at(&entry.node, entry.at, message);
        };
        let names = |rule: &Rule| rule.experiments.iter().any(|named| named.name == experiment.name);
        if !policy.rules.iter().any(|rule| names(rule)) {
            warn("no rule names this experiment".into());
        }
        if let Some(message) = changes_at_login(experiment) {
            warn(message.into());
        }
        let mixing = policy.rules.iter().filter(|rule| names(rule));
        if let Some(message) = mixing.filter_map(|rule| mixes(experiment, rule)).next() {
            warn(message);
        }
        if experiment.remember.is_some() && experiment.units.contains(&Unit::ClientIp) {
            let node = entry.node.field("remember").unwrap_or(&entry.node);
            sink.fault(node, "gives nobody a cookie: unit has client_ip, which everybody has");
        }
        if falls(experiment) {
            warn("a step of the schedule has less coverage than the one before: callers lose their variant".into());
        }
        let mut earlier = policy.experiments.iter().take(at);
        if let Some(other) = earlier.find(|other| alike(other, experiment)) {
            let message = format!(
                "has the seed of {}: who gets what in one gets it in the other",
                other.name
            );
            warn(message);
        }
    }
}

fn changes_at_login(experiment: &Experiment) -> Option<&'static str> {
    let callers = experiment.units.iter().any(needs_caller);
    let others = !experiment.units.iter().all(needs_caller);
    (callers && others && !experiment.sticky).then_some(
        "the unit changes when a caller signs in, and the variant with it: write sticky: first_seen, with a cookie",
    )
}

/// `42` of two issuers are two callers, and one unit.
fn mixes(experiment: &Experiment, rule: &Rule) -> Option<String> {
    let authenticators = &rule.gate()?.authenticators;
    let first = authenticators.first()?;
    let other = authenticators.iter().find(|other| !one_issuer(first, other))?;
    experiment.units.contains(&Unit::Subject).then(|| {
        format!(
            "mixes issuers: the same subject of {} and {} is two callers, and one unit (rule {})",
            first.name, other.name, rule.name
        )
    })
}

fn falls(experiment: &Experiment) -> bool {
    let Kind::Variants(variants) = &experiment.kind else {
        return false;
    };
    let Share::Weights {
        coverage: Coverage::Schedule(steps),
        ..
    } = &variants.share
    else {
        return false;
    };
    steps
        .windows(2)
        .any(|pair| matches!(pair, [(_, before), (_, after)] if after < before))
}

/// One place of a unit decides in both.
fn alike(one: &Experiment, other: &Experiment) -> bool {
    let hash = |experiment: &Experiment| match &experiment.kind {
        Kind::Variants(variants) => variants.hash,
        Kind::Bucket(_) => crate::experiment::Hash::GrowthBookV2,
    };
    one.seed == other.seed && hash(one) == hash(other)
}

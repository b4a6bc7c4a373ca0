//! What a request gets of each experiment of its rule, and why.

use super::explanation::InExperiment;
use super::show;
use crate::authz::{Facts, Require};
use crate::decide;
use crate::experiment::{
    Assigned, By, Coverage, Experiment, Force, Hash, Kind, Share, Stands, Unit, Variants, Why, cumulative,
};
use crate::time::{UnixTime, rfc3339};

/// In the order of the rule.
pub fn of(assigned: &[Assigned], now: UnixTime) -> Vec<InExperiment> {
    let of_one = |assigned: &Assigned| {
        let experiment = &assigned.experiment;
        InExperiment {
            experiment: experiment.name.to_string(),
            variant: gets(assigned),
            shadow: experiment.is_shadow(),
            unit: assigned.unit.as_ref().map(|unit| match unit.source {
                Some(at) => experiment.units.get(at).map_or_else(String::new, source),
                None => "drawn by chance, and given as a cookie".to_owned(),
            }),
            why: why(assigned, now),
        }
    };
    assigned.iter().map(of_one).collect()
}

/// The name of its variant, or its bucket; None: it takes no part.
pub fn gets(assigned: &Assigned) -> Option<String> {
    match assigned.stands {
        Stands::Bucket(bucket) => Some(bucket.to_string()),
        _ => assigned.variant().map(ToString::to_string),
    }
}

fn source(unit: &Unit) -> String {
    match unit {
        Unit::Subject => "subject".to_owned(),
        Unit::Claim(path) => format!("claim {}", path.0.join(".")),
        Unit::Cookie(name) => format!("cookie {name}"),
        Unit::Header(name) => format!("header {}", name.as_str()),
        Unit::ClientIp => "client ip".to_owned(),
    }
}

fn why(assigned: &Assigned, now: UnixTime) -> String {
    let experiment = &assigned.experiment;
    match (&experiment.kind, assigned.stands) {
        (_, Stands::In(_, By::Force)) => "forced by the caller, who may".to_owned(),
        (_, Stands::In(_, By::Gate)) => "chosen by an earlier gate".to_owned(),
        (_, Stands::Out(Why::Audience)) => "the audience does not take the caller".to_owned(),
        (_, Stands::Out(Why::NoUnit)) => format!("there is no {}", show::list(&experiment.units, source)),
        (Kind::Variants(variants), stands) => by_share(experiment, variants, assigned, stands, now),
        (Kind::Bucket(_), _) => "of 0 to 9999; the route's weights decide".to_owned(),
    }
}

fn by_share(
    experiment: &Experiment,
    variants: &Variants,
    assigned: &Assigned,
    stands: Stands,
    now: UnixTime,
) -> String {
    let unit = assigned.unit.as_ref().map(|unit| &*unit.value).unwrap_or_default();
    if let (Stands::Out(Why::Layer), Some(layer)) = (stands, &variants.layer) {
        let (from, to) = layer.range;
        return format!("its place in layer {} is not in {}", layer.name, shown(&[(from, to)]));
    }
    let at = variants.assign(&experiment.seed, unit, now).at;
    let ranges = |position: usize| match &variants.share {
        Share::Ranges(ranges) => ranges.get(position).cloned().unwrap_or_default(),
        Share::Weights { weights, coverage } => {
            // Unleash rolls out by a hash of its own.
            let covered = match variants.hash {
                Hash::Murmur3 => 1.0,
                Hash::GrowthBookV1 | Hash::GrowthBookV2 => coverage.at(now),
            };
            cumulative(weights, covered).nth(position).into_iter().collect()
        }
    };
    match stands {
        Stands::In(position, _) => format!("bucket {at} is in {}", shown(&ranges(position))),
        _ if matches!(&variants.share, Share::Weights { coverage, .. } if coverage.at(now) == 0.0) => {
            nobody_yet(&variants.share, now)
        }
        _ if variants.hash == Hash::Murmur3 => "the roll-out does not reach it yet".to_owned(),
        _ => {
            let all: Vec<_> = (0..variants.variants.len()).flat_map(ranges).collect();
            format!("bucket {at} is not in {}", shown(&all))
        }
    }
}

/// Why nobody takes part.
fn nobody_yet(share: &Share, now: UnixTime) -> String {
    match share {
        Share::Weights {
            coverage: Coverage::Schedule(steps),
            ..
        } if steps.first().is_some_and(|(from, _)| *from > now.as_secs()) => {
            let from = steps.first().map_or(0, |(from, _)| *from);
            let at = rfc3339(from.saturating_mul(1_000_000_000));
            format!("the schedule begins at {}", at.replace(".000Z", "Z"))
        }
        _ => "coverage is 0%: nobody takes part".to_owned(),
    }
}

/// Whoever asked for a variant and may not choose wonders why another came.
pub fn not_forced(assigned: &[Assigned], facts: &Facts, told: &mut [InExperiment]) {
    for (assigned, told) in assigned.iter().zip(told) {
        let Kind::Variants(variants) = &assigned.experiment.kind else {
            continue;
        };
        let asked = variants.force.as_ref().map(|force| Force {
            places: force.places.clone(),
            // What is asked for, whoever asks.
            require: Require::default(),
        });
        let asked = asked.and_then(|force| decide::forced(&force, variants, facts));
        if let Some(variant) = asked.and_then(|at| variants.variants.get(at))
            && !matches!(assigned.stands, Stands::In(_, By::Force))
        {
            let name = &variant.name;
            told.why.push_str(&format!(
                "; {name} is asked for, by a caller who does not meet force.require"
            ));
        }
    }
}

/// Less than a ten-thousandth is the arithmetic's.
fn shown(ranges: &[(f64, f64)]) -> String {
    let number = |at: f64| (at * 1e6).round() / 1e6;
    let range = |(from, to): &(f64, f64)| format!("{} to {}", number(*from), number(*to));
    show::list(ranges, range)
}

//! From a unit to a variant: arithmetic alone.

use super::hash::{growthbook_v1, growthbook_v2, unleash};
use super::{Coverage, Experiment, Hash, Layer, Share, Variants};
use crate::time::UnixTime;

/// Where a unit stands among all of an experiment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// 0.0 (inclusive) to 1.0 (exclusive).
    pub at: f64,
    /// The position of its variant. None: it takes no part.
    pub variant: Option<usize>,
}

impl Experiment {
    /// 0 to 9,999, for a route that owns the weights.
    pub fn bucket(&self, unit: &[u8]) -> u32 {
        growthbook_v2(&self.seed, unit)
    }
}

impl Variants {
    /// `unit` as it stands in the request, of a caller who is in the audience.
    pub fn assign(&self, seed: &str, unit: &[u8], now: UnixTime) -> Bucket {
        let at = match self.hash {
            Hash::GrowthBookV1 => f64::from(growthbook_v1(seed, unit)) / 1000.0,
            Hash::GrowthBookV2 => f64::from(growthbook_v2(seed, unit)) / 10_000.0,
            Hash::Murmur3 => {
                let place = unleash::place(seed, unit, unleash::VARIANT_SEED, unleash::VARIANT_PLACES);
                f64::from(place.saturating_sub(1)) / f64::from(unleash::VARIANT_PLACES)
            }
        };
        let taking_part = self.layer.as_ref().is_none_or(|layer| layer.holds(unit));
        let variant = taking_part.then(|| self.share.variant(self.hash, seed, unit, at, now));
        Bucket {
            at,
            variant: variant.flatten(),
        }
    }
}

impl Layer {
    /// GrowthBook's `inNamespace`.
    pub fn holds(&self, unit: &[u8]) -> bool {
        let at = f64::from(growthbook_v1(&format!("__{}", self.name), unit)) / 1000.0;
        (self.range.0..self.range.1).contains(&at)
    }
}

impl Coverage {
    pub fn at(&self, now: UnixTime) -> f64 {
        match self {
            Self::Always(coverage) => *coverage,
            Self::Schedule(steps) => {
                let begun = steps.iter().rev().find(|(from_s, _)| *from_s <= now.as_secs());
                begun.map_or(0.0, |(_, coverage)| *coverage)
            }
        }
    }
}

impl Share {
    fn variant(&self, hash: Hash, seed: &str, unit: &[u8], at: f64, now: UnixTime) -> Option<usize> {
        match (self, hash) {
            (Self::Ranges(ranges), _) => ranges
                .iter()
                .position(|ranges| ranges.iter().any(|(from, to)| (*from..*to).contains(&at))),
            (Self::Weights { weights, coverage }, Hash::Murmur3) => {
                // Unleash rolls out by a hash of its own, and its variants fill all of it.
                let place = unleash::place(seed, unit, unleash::ROLLOUT_SEED, unleash::ROLLOUT_PLACES);
                let covered = f64::from(place) <= (coverage.at(now) * 100.0).round();
                covered.then(|| thousandth(weights, at))?
            }
            (Self::Weights { weights, coverage }, _) => {
                cumulative(weights, coverage.at(now)).position(|(from, to)| (from..to).contains(&at))
            }
        }
    }
}

/// Unleash's `selectVariantDefinition`: it counts in whole thousandths.
fn thousandth(weights: &[f64], at: f64) -> Option<usize> {
    let places = f64::from(unleash::VARIANT_PLACES);
    let (at, mut end) = ((at * places).round(), 0.0);
    weights.iter().position(|weight| {
        end += (weight * places).round();
        at < end
    })
}

/// GrowthBook's `getBucketRanges`: each range begins where the full ones before it end, so that a higher coverage
/// moves newcomers only. The sums are taken in its order: floating point decides at the edges.
pub fn cumulative(weights: &[f64], coverage: f64) -> impl Iterator<Item = (f64, f64)> {
    weights.iter().scan(0.0, move |start, weight| {
        let from = *start;
        *start += weight;
        Some((from, from + coverage * weight))
    })
}

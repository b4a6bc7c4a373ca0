//! What a policy does with many units: how they split, and whom another policy moves. Of the command line alone.

mod chart;
mod table;

pub use chart::chart;
pub use table::table;

use super::{Coverage, Experiment, Hash, Kind, Share, Variants};
use crate::time::UnixTime;
use std::sync::Arc;

/// Of the normal distribution: 99 % lie within.
const Z: f64 = 2.575_829;
/// Moved units that are kept to be shown.
const SHOWN: usize = 10;
/// A bucket has no variants: its tenths are shown.
const TENTHS: u32 = 10;

/// One experiment, and the units that it has met.
#[derive(Debug)]
pub struct Survey {
    experiment: Arc<Experiment>,
    /// The same one under the other policy.
    before: Option<Arc<Experiment>>,
    now: UnixTime,
    units: u64,
    /// By variant; the last: those who take no part.
    counts: Vec<u64>,
    moves: Vec<Move>,
    shown: Vec<Moved>,
}

/// How many went from one variant to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    pub from: String,
    pub to: String,
    pub units: u64,
}

/// One who went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    pub unit: String,
    pub from: String,
    pub to: String,
}

/// What came out for one variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub name: String,
    pub units: u64,
    /// 0.0 to 1.0.
    pub share: f64,
    /// In which the true share lies, 99 times of 100.
    pub interval: (f64, f64),
    /// What the policy says.
    pub told: f64,
}

impl Survey {
    pub fn new(experiment: &Arc<Experiment>, before: Option<&Arc<Experiment>>, now: UnixTime) -> Self {
        let variants = match &experiment.kind {
            Kind::Variants(variants) => variants.variants.len(),
            Kind::Bucket(_) => TENTHS as usize,
        };
        Self {
            experiment: Arc::clone(experiment),
            before: before.map(Arc::clone),
            now,
            units: 0,
            counts: vec![0; variants + 1],
            moves: Vec::new(),
            shown: Vec::new(),
        }
    }

    pub fn name(&self) -> &str {
        &self.experiment.name
    }

    pub fn units(&self) -> u64 {
        self.units
    }

    /// How one more unit fares; told where another policy moves it.
    pub fn meet(&mut self, unit: &[u8]) -> Option<Moved> {
        let to = position(&self.experiment, unit, self.now);
        let at = to.unwrap_or(self.counts.len().saturating_sub(1));
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        self.units += 1;
        let before = self.before.as_ref()?;
        let from = position(before, unit, self.now);
        let (from, to) = (name(before, from), name(&self.experiment, to));
        if from == to {
            return None;
        }
        let moved = Moved {
            unit: String::from_utf8_lossy(unit).into_owned(),
            from,
            to,
        };
        let same = |known: &&mut Move| known.from == moved.from && known.to == moved.to;
        match self.moves.iter_mut().find(same) {
            Some(known) => known.units += 1,
            None => self.moves.push(Move {
                from: moved.from.clone(),
                to: moved.to.clone(),
                units: 1,
            }),
        }
        if self.shown.len() < SHOWN {
            self.shown.push(moved.clone());
        }
        Some(moved)
    }

    /// In the order of the policy; those who take no part are last, where there may be any.
    pub fn parts(&self) -> Vec<Part> {
        let told = told(&self.experiment, self.now);
        let all = self.units.max(1) as f64;
        let parts = self.counts.iter().zip(told).enumerate().map(|(at, (units, told))| {
            let of_variant = (at + 1 < self.counts.len()).then_some(at);
            Part {
                name: name(&self.experiment, of_variant),
                units: *units,
                share: *units as f64 / all,
                interval: wilson(*units, self.units),
                told,
            }
        });
        let nobody = |part: &Part| part.name == OUTSIDE && part.units == 0 && part.told < 1e-9;
        parts.filter(|part| !nobody(part)).collect()
    }

    /// None: there is nothing to compare with.
    pub fn moves(&self) -> Option<(&[Move], &[Moved])> {
        self.before.as_ref().map(|_| (&*self.moves, &*self.shown))
    }
}

const OUTSIDE: &str = "(outside)";

fn position(experiment: &Experiment, unit: &[u8], now: UnixTime) -> Option<usize> {
    match &experiment.kind {
        Kind::Variants(variants) => variants.assign(&experiment.seed, unit, now).variant,
        Kind::Bucket(_) => usize::try_from(experiment.bucket(unit) * TENTHS / 10_000).ok(),
    }
}

fn name(experiment: &Experiment, position: Option<usize>) -> String {
    let Some(at) = position else {
        return OUTSIDE.to_owned();
    };
    match &experiment.kind {
        Kind::Variants(variants) => variants
            .variants
            .get(at)
            .map_or_else(String::new, |variant| variant.name.to_string()),
        Kind::Bucket(_) => format!("{}000–{}999", at, at)
            .replace("0000", "0")
            .replace("0999", "999"),
    }
}

/// The share of each variant, and then of nobody's, as the policy says.
fn told(experiment: &Experiment, now: UnixTime) -> Vec<f64> {
    let mut told = match &experiment.kind {
        Kind::Variants(variants) => shares(variants, now),
        Kind::Bucket(_) => vec![1.0 / f64::from(TENTHS); TENTHS as usize],
    };
    told.push((1.0 - told.iter().sum::<f64>()).max(0.0));
    // A sum of ranges may come out above.
    told.into_iter().map(|share| share.min(1.0)).collect()
}

fn shares(variants: &Variants, now: UnixTime) -> Vec<f64> {
    let layer = variants
        .layer
        .as_ref()
        .map_or(1.0, |layer| layer.range.1 - layer.range.0);
    match &variants.share {
        Share::Weights { weights, coverage } => {
            let covered = coverage.at(now) * layer;
            weights.iter().map(|weight| weight * covered).collect()
        }
        Share::Ranges(ranges) => {
            let sum = |ranges: &Vec<(f64, f64)>| ranges.iter().map(|(from, to)| to - from).sum::<f64>();
            ranges.iter().map(|ranges| sum(ranges) * layer).collect()
        }
    }
}

/// Wilson's interval for a share, which holds for few units, and near 0 and 1, too.
fn wilson(having: u64, units: u64) -> (f64, f64) {
    if units == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (units as f64, having as f64 / units as f64);
    let centre = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    // Exactly 0 and 1 for none and all, which rounding would miss.
    let low = if having == 0 { 0.0 } else { centre - half };
    let high = if having == units { 1.0 } else { centre + half };
    (low.max(0.0), high.min(1.0))
}

/// `growthbook-v2, seed "checkout-2026", coverage 10%`
fn described(survey: &Survey) -> String {
    let experiment = &survey.experiment;
    let seed = &experiment.seed;
    let Kind::Variants(variants) = &experiment.kind else {
        return format!("bucket, seed {seed:?}: the route has the weights");
    };
    let hash = match variants.hash {
        Hash::GrowthBookV1 => "growthbook-v1",
        Hash::GrowthBookV2 => "growthbook-v2",
        Hash::Murmur3 => "murmur3",
    };
    let mut text = format!("{hash}, seed {seed:?}");
    if let Share::Weights { coverage, .. } = &variants.share {
        let now = coverage.at(survey.now);
        match coverage {
            Coverage::Schedule(_) => text.push_str(&format!(", coverage {} by then", percent(now))),
            Coverage::Always(_) if now < 1.0 => text.push_str(&format!(", coverage {}", percent(now))),
            Coverage::Always(_) => {}
        }
    }
    if let Some(layer) = &variants.layer {
        let (from, to) = (percent(layer.range.0), percent(layer.range.1));
        text.push_str(&format!(", layer {} [{from}, {to}]", layer.name));
    }
    text
}

/// `12.34%`, without zeros that say nothing.
fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}%")
}

/// `1,234,567`
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 0: z² / (n + z²); of a half: z √(n + z²) / 2 (n + z²) around it.
    #[test]
    fn wilson_as_computed_by_hand() {
        let near = |(low, high): (f64, f64), expected: (f64, f64)| {
            assert!(
                (low - expected.0).abs() < 1e-4 && (high - expected.1).abs() < 1e-4,
                "{low} {high}"
            );
        };
        near(wilson(0, 100), (0.0, 0.0622));
        near(wilson(50, 100), (0.3753, 0.6247));
        near(wilson(100, 100), (0.9378, 1.0));
        near(wilson(0, 0), (0.0, 1.0));
        for units in 1..1000 {
            assert!(wilson(0, units).0 == 0.0 && wilson(units, units).1 == 1.0, "{units}");
        }
    }

    #[test]
    fn numbers_are_read_easily() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!([0.0, 0.1, 0.3333, 1.0].map(percent), ["0%", "10%", "33.33%", "100%"]);
    }
}

//! Who is moved when a policy changes.

use super::{experiment, variant};
use meshgate::experiment::{Experiment, Kind};
use meshgate::time::UnixTime;
use proptest::prelude::*;
use std::sync::Arc;

const HASHES: [&str; 3] = ["growthbook-v2", "growthbook-v1", "murmur3"];

/// Whole percents, which every hash takes.
fn with(hash: &str, seed: u64, weights: &[u32], coverage: u32) -> Arc<Experiment> {
    let variants: Vec<String> = weights
        .iter()
        .enumerate()
        .map(|(at, weight)| format!("{{ name: v{at}, weight: {weight}% }}"))
        .collect();
    let variants = variants.join(", ");
    experiment(&format!(
        "seed: s{seed}, hash: {hash}, coverage: {coverage}%, variants: [{variants}]"
    ))
}

/// Up to eight weights that are 100 together.
fn weights() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::btree_set(1_u32..100, 0..8).prop_map(|cuts| {
        let ends = cuts.iter().copied().chain([100]);
        let mut start = 0;
        ends.map(|end| end - std::mem::replace(&mut start, end)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Whoever had a variant keeps it.
    #[test]
    fn more_coverage_moves_newcomers_only(
        hash in 0..HASHES.len(),
        seed: u64,
        weights in weights(),
        low in 0..=100_u32,
        more in 0..=100_u32,
        first: u32,
    ) {
        let high = (low + more).min(100);
        let before = with(HASHES[hash], seed, &weights, low);
        let after = with(HASHES[hash], seed, &weights, high);
        let mut newcomers = 0;
        for at in 0..2_000 {
            let unit = format!("{}", u64::from(first) + at);
            let (was, is) = [&before, &after].map(|of| variant(of, unit.as_bytes())).into();
            match was {
                Some(_) => prop_assert_eq!(is, was, "{}", unit),
                None => newcomers += u32::from(is.is_some()),
            }
        }
        prop_assert!(newcomers > 0 || high - low < 5, "{} to {}", low, high);
    }

    /// Ranges are for those who move only whom they name: the rest of a range stays.
    #[test]
    fn a_longer_range_moves_newcomers_only(seed: u64, end in 1..100_u32, longer in 1..=100_u32) {
        let ranged = |end: u32| experiment(&format!("seed: s{seed}, variants: [{{ name: a, ranges: [[0%, {end}%]] }}]"));
        let (before, after) = (ranged(end), ranged((end + longer).min(100)));
        for at in 0..2_000 {
            let unit = at.to_string();
            if variant(&before, unit.as_bytes()).is_some() {
                prop_assert_eq!(variant(&after, unit.as_bytes()), Some(0));
            }
        }
    }
}

/// A ramp adds callers at each step, and none before the first.
#[test]
fn a_schedule_ramps() {
    let ramp = experiment(
        "variants: [{ name: a }], schedule: [{ at: \"2026-12-01T00:00:00Z\", coverage: 1% }, \
         { at: \"2026-12-02T00:00:00Z\", coverage: 50% }, { at: \"2026-12-03T00:00:00Z\", coverage: 100% }]",
    );
    let Kind::Variants(variants) = &ramp.kind else {
        panic!("variants");
    };
    let day = 86_400;
    let first = 1_796_083_200;
    let having = |now: u64| -> Vec<u32> {
        let now = UnixTime::from_secs(now);
        let has = |unit: &u32| {
            variants
                .assign(&ramp.seed, unit.to_string().as_bytes(), now)
                .variant
                .is_some()
        };
        (0..10_000).filter(has).collect()
    };
    assert!(having(0).is_empty());
    assert!(having(first - 1).is_empty());
    let (one, half) = (having(first), having(first + day));
    assert!((50..150).contains(&one.len()), "{}", one.len());
    assert_eq!(having(first + day - 1), one);
    assert!((4_700..5_300).contains(&half.len()), "{}", half.len());
    assert!(one.iter().all(|unit| half.contains(unit)));
    assert_eq!(having(first + 2 * day).len(), 10_000);
}

//! Shares are what the policy says, experiments do not lean on each other, and those of a layer never meet.

use super::{Random, experiment, experiments, variant};
use meshgate::experiment::Experiment;
use std::sync::Arc;

const UNITS: u64 = 1_000_000;
/// Of the normal distribution: 99.9 % lie within.
const Z: f64 = 3.2905;

fn named(at: u64) -> String {
    format!("user-{at}")
}

fn random(at: u64) -> String {
    format!("{:016x}", Random(at).next())
}

/// How many units each variant has; the last: none.
fn counts(experiment: &Experiment, unit: fn(u64) -> String, variants: usize) -> Vec<u64> {
    let mut counts = vec![0; variants + 1];
    for at in 0..UNITS {
        let variant = variant(experiment, unit(at).as_bytes());
        counts[variant.unwrap_or(variants)] += 1;
    }
    counts
}

/// `shares`: of each variant, then of nobody's.
#[track_caller]
fn split(text: &str, unit: fn(u64) -> String, shares: &[f64]) {
    let counts = counts(&experiment(text), unit, shares.len() - 1);
    for (count, share) in counts.iter().zip(shares) {
        let all = UNITS as f64;
        let off = (*count as f64 - all * share).abs();
        let allowed = Z * (all * share * (1.0 - share)).sqrt();
        assert!(
            off <= allowed,
            "{text}: {counts:?} of {shares:?}: {off} off, {allowed:.0} allowed"
        );
    }
}

#[test]
fn growthbook_v2_splits_as_told() {
    let text =
        "seed: split, variants: [{ name: a, weight: 90% }, { name: b, weight: 9.99% }, { name: c, weight: 0.01% }]";
    split(text, named, &[0.9, 0.0999, 0.0001, 0.0]);
    split(text, random, &[0.9, 0.0999, 0.0001, 0.0]);
    let text = "seed: part, coverage: 20%, variants: [{ name: a, weight: 50% }, { name: b, weight: 50% }]";
    split(text, named, &[0.1, 0.1, 0.8]);
    let text =
        "seed: ranges, variants: [{ name: a, ranges: [[0%, 30%], [90%, 100%]] }, { name: b, ranges: [[30%, 60%]] }]";
    split(text, random, &[0.4, 0.3, 0.3]);
    let text = "seed: layered, layer: { name: pricing, range: [25%, 75%] }, variants: [{ name: a, weight: 50% }, { name: b, weight: 50% }]";
    split(text, random, &[0.25, 0.25, 0.5]);
}

#[test]
fn growthbook_v1_splits_as_told() {
    let text = "seed: split, hash: growthbook-v1, coverage: 40%, variants: [{ name: a, weight: 50% }, { name: b, weight: 50% }]";
    split(text, random, &[0.2, 0.2, 0.6]);
}

#[test]
fn murmur3_splits_as_told() {
    let text = "seed: split, hash: murmur3, coverage: 30%, variants: [{ name: a, weight: 33.3% }, { name: b, weight: 33.3% }, { name: c, weight: 33.4% }]";
    let shares = [0.3 * 0.333, 0.3 * 0.333, 0.3 * 0.334, 0.7];
    split(text, named, &shares);
    split(text, random, &shares);
}

/// Of the pairs of variants, against what independent ones would have.
fn chi_square(one: &Experiment, other: &Experiment, unit: fn(u64) -> String) -> f64 {
    let mut cells = [[0.0_f64; 3]; 3];
    for at in 0..UNITS {
        let unit = unit(at);
        let variant = |of| variant(of, unit.as_bytes()).expect("all take part");
        cells[variant(one)][variant(other)] += 1.0;
    }
    let row = |at: usize| cells[at].iter().sum::<f64>();
    let column = |at: usize| cells.iter().map(|row| row[at]).sum::<f64>();
    let mut sum = 0.0;
    for (at, cells) in cells.iter().enumerate() {
        for (nth, cell) in cells.iter().enumerate() {
            let expected = row(at) * column(nth) / UNITS as f64;
            sum += (cell - expected).powi(2) / expected;
        }
    }
    sum
}

/// Four degrees of freedom: 99.9 % lie below.
const CRITICAL: f64 = 18.467;

fn seeded(seed: &str, hash: &str) -> Arc<Experiment> {
    experiment(&format!(
        "seed: {seed}, hash: {hash}, variants: [{{ name: a, weight: 50% }}, {{ name: b, weight: 30% }}, {{ name: c, weight: 20% }}]"
    ))
}

#[test]
fn two_seeds_are_independent() {
    for hash in ["growthbook-v2", "murmur3"] {
        for (one, other) in [("checkout", "search"), ("checkout-1", "checkout-2"), ("a", "b")] {
            let found = chi_square(&seeded(one, hash), &seeded(other, hash), named);
            assert!(found < CRITICAL, "{hash}: {one} and {other}: {found}");
        }
    }
}

/// Where one seed is used twice, the test above says so.
#[test]
fn one_seed_is_not() {
    let found = chi_square(&seeded("a", "growthbook-v2"), &seeded("a", "growthbook-v2"), random);
    assert!(found > 1_000_000.0, "{found}");
}

#[test]
fn layers_never_overlap() {
    let in_layer = |range: &str| format!("layer: {{ name: pricing, range: {range} }}, variants: [{{ name: a }}]");
    let all = experiments(&["[0%, 33.3%]", "[33.3%, 60%]", "[60%, 90%]"].map(in_layer));
    let mut counts = [0_u64; 4];
    for at in 0..UNITS {
        let unit = random(at);
        let mut having = all
            .iter()
            .enumerate()
            .filter(|(_, of)| variant(of, unit.as_bytes()).is_some());
        let one = having.next().map_or(3, |(at, _)| at);
        assert_eq!(having.next().map(|(at, _)| at), None, "{unit} is in {one}, too");
        counts[one] += 1;
    }
    // The last tenth is a holdout. 1,000 places: 33.3 % is a whole number of them.
    for (count, share) in counts.iter().zip([0.333, 0.267, 0.3, 0.1]) {
        let all = UNITS as f64;
        let off = (*count as f64 - all * share).abs();
        assert!(off <= Z * (all * share * (1.0 - share)).sqrt(), "{counts:?}");
    }
}

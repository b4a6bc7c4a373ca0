//! Which variant a caller gets: as the SDKs say, in the shares that the policy says, and moved as little as can be.
#![cfg(feature = "cli")]

#[path = "experiments/movement.rs"]
mod movement;
#[path = "experiments/sdks.rs"]
mod sdks;
#[path = "experiments/statistics.rs"]
mod statistics;

use meshgate::config::yaml;
use meshgate::experiment::{Experiment, Kind};
use meshgate::time::UnixTime;
use std::sync::Arc;

/// The experiments of a policy, written as in one: `a: { coverage: 50%, … }`; unit and header are added.
#[track_caller]
fn experiments(texts: &[String]) -> Vec<Arc<Experiment>> {
    let mut policy = String::from("version: 1\nrules: [{ name: all, refuse: 404 }]\nexperiments:\n");
    for (at, text) in texts.iter().enumerate() {
        policy.push_str(&format!("  e{at}: {{ unit: [client_ip], header: x-{at}, {text} }}\n"));
    }
    let parsed = yaml::parse(&policy).unwrap_or_else(|faults| panic!("{faults}\n{policy}"));
    parsed.policy.experiments
}

#[track_caller]
fn experiment(text: &str) -> Arc<Experiment> {
    experiments(&[text.to_owned()]).remove(0)
}

fn variant(experiment: &Experiment, unit: &[u8]) -> Option<usize> {
    match &experiment.kind {
        Kind::Variants(variants) => variants.assign(&experiment.seed, unit, UnixTime::from_secs(0)).variant,
        Kind::Bucket(_) => panic!("a bucket"),
    }
}

/// splitmix64: the same for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

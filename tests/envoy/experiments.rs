//! Experiments in real Envoys: who is served by which upstream, what is set and removed on the way, what is told.

mod exposures;
mod remembered;
mod routes;
mod shipped;
mod told;

use crate::policies::json;
use crate::support::gate::cluster;
use crate::support::*;
use meshgate::experiment::{Experiment, Kind};
use meshgate::time::UnixTime;
use serde_json::{Value, json as object};
use std::sync::Arc;

/// Two versions of one service; each says which one it is.
struct Versions {
    one: Stub,
    two: Stub,
}

impl Versions {
    fn start() -> Self {
        let version = |name: &'static str| Stub::start(move |_| Reply::ok().header("x-served-by", name));
        Self {
            one: version("v1"),
            two: version("v2"),
        }
    }

    fn clusters(&self, gate: GateBuilder) -> GateBuilder {
        gate.cluster(cluster("v1", &[self.one.addr()]))
            .cluster(cluster("v2", &[self.two.addr()]))
    }
}

/// `GET` of a target by a device, with more headers.
fn by(target: &str, device: &str) -> Request {
    get(target).header("x-device", device)
}

/// Which version serves each of these requests, from as many connections as `at_once`.
fn served(gate: &Gate, requests: &[Request], at_once: usize) -> Vec<String> {
    let shares = all_at_once(at_once, |n| {
        let mut connection = gate.h1().connect();
        let mine = requests.iter().enumerate().filter(|(at, _)| at % at_once == n);
        let served = mine.map(|(at, request)| {
            let response = connection.send(request).expect("a response");
            assert_eq!(response.status, 200, "{}", response.text());
            (at, response.header("x-served-by").expect("a version"))
        });
        served.collect::<Vec<_>>()
    });
    let mut all: Vec<_> = shares.into_iter().flatten().collect();
    all.sort_unstable();
    all.into_iter().map(|(_, version)| version).collect()
}

fn experiment(policy: &str, name: &str) -> Arc<Experiment> {
    let policy = meshgate::config::parse(policy.as_bytes()).expect("a policy").policy;
    let found = policy.experiments.iter().find(|experiment| *experiment.name == *name);
    found.expect("an experiment").clone()
}

/// What the arithmetic says: `experiment` has no schedule.
fn variant(experiment: &Experiment, unit: &str) -> String {
    let Kind::Variants(variants) = &experiment.kind else {
        panic!("a bucket");
    };
    let at = variants
        .assign(&experiment.seed, unit.as_bytes(), UnixTime::default())
        .variant;
    variants.variants[at.expect("it takes part")].name.to_string()
}

//! `make soak`: ten million requests with credentials that come and go, and what Envoy's memory does meanwhile.
//!
//! Half of them bring a credential that was never seen, half one of the last thousand; answers are remembered in a
//! store that holds far fewer than come by. Memory is sampled every ten seconds and must not grow any more after the
//! first fifth of the requests.

use crate::curve;
use crate::settings::Settings;
use crate::variants;
use crate::world::World;
use serde_json::json;
use std::process::ExitCode;

/// What the memory may move after the first fifth: the allocator's own breath.
const MOST_MIB: f64 = 4.0;
const SECONDS: u64 = 10;

pub fn run(settings: &Settings, requests: u64) -> ExitCode {
    let variant = variants::soak();
    let world = World::start(settings, std::slice::from_ref(&variant));
    world.check(&variant);
    let mut sent = 0;
    let mut samples = vec![(0, mib(&world))];
    while sent < requests {
        sent += world.measure(&variant, SECONDS).load.requests;
        samples.push((sent, mib(&world)));
        eprintln!(
            "{:.1} of {:.1} million requests, {:.1} MiB resident",
            sent as f64 / 1e6,
            requests as f64 / 1e6,
            mib(&world)
        );
    }
    world.assert_sound();
    let settled: Vec<f64> = samples
        .iter()
        .filter(|(at, _)| *at >= requests / 5)
        .map(|(_, mib)| *mib)
        .collect();
    let grown = settled.iter().copied().fold(0.0, f64::max) - settled[0];
    let report = json!({"requests": sent, "grown_mib_after_a_fifth": grown, "samples": samples});
    let points: Vec<(f64, f64)> = samples.iter().map(|(at, mib)| (*at as f64 / 1e6, *mib)).collect();
    let svg = curve::draw(
        "Memory of Envoy under churning credentials",
        "million requests",
        "MiB resident",
        &[("resident", &points)],
    );
    for file in settings.keep("soak", &report, &[("soak", svg)]) {
        println!("kept: {file}");
    }
    println!("after the first fifth memory grew by {grown:.1} MiB, at most {MOST_MIB}");
    match grown <= MOST_MIB {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn mib(world: &World) -> f64 {
    world.resident_kib() as f64 / 1024.0
}

//! `make bench`: what a request costs with Meshgate in front, beside Envoy's own filters.
//!
//! One Envoy with one worker holds a listener for each variant of `gate/variants.rs`; wrk loads one
//! after the other, round after round, and the CPU time that the Envoy process took for a request is
//! what counts: it hardly depends on what else the machine does. Ratios are taken within a round.
//!
//! MESHGATE_BENCH_ROUNDS=12      rounds
//! MESHGATE_BENCH_SECONDS=1      of load for a variant in a round
//! MESHGATE_BENCH_ONLY=public,…  these variants alone, and what they are compared with
//! MESHGATE_BENCH_BESIDE=FILE,…  other modules beside the shipped one, variant by variant
//! MESHGATE_BENCH_SOAK=10000000  `make soak` instead: so many requests
//! MESHGATE_BENCH_NO_LIMITS=1    a limit that is missed is no failure

#[path = "../tests/support/mod.rs"]
mod support;

#[path = "gate/chart.rs"]
mod chart;
#[path = "gate/cpu.rs"]
mod cpu;
#[path = "gate/curve.rs"]
mod curve;
#[path = "gate/figures.rs"]
mod figures;
#[path = "gate/floor.rs"]
mod floor;
#[path = "../tests/host/headers.rs"]
#[allow(dead_code, reason = "the mock host needs more of it")]
mod headers;
#[path = "gate/load.rs"]
mod load;
#[path = "gate/policies.rs"]
mod policies;
#[path = "gate/settings.rs"]
mod settings;
#[path = "gate/signed.rs"]
mod signed;
#[path = "gate/soak.rs"]
mod soak;
#[path = "gate/table.rs"]
mod table;
#[path = "gate/variants.rs"]
mod variants;
#[path = "gate/world.rs"]
mod world;

use figures::Figures;
use settings::Settings;
use std::process::ExitCode;
use world::World;

fn main() -> ExitCode {
    let settings = Settings::from_environment();
    if let Some(requests) = settings.soak {
        return soak::run(&settings, requests);
    }
    let variants = settings.choose(variants::all());
    let world = World::start(&settings, &variants);
    println!(
        "{}: {} variants, {} rounds of {} s, {} connections",
        world.version(),
        variants.len(),
        settings.rounds,
        settings.seconds,
        load::CONNECTIONS,
    );
    for variant in &variants {
        world.check(variant);
    }
    let mut grown = Vec::new();
    for variant in &variants {
        progress(&format!("warming up: {}", variant.label));
        world.measure(variant, 1);
        if let Some(mib) = world.fill(variant) {
            grown.push((variant.key.clone(), mib));
        }
    }
    let mut figures = Figures::new(&variants);
    for round in 0..settings.rounds {
        // Each round starts elsewhere, so that no variant always follows the same one.
        for at in 0..variants.len() {
            let at = (at + round * 3) % variants.len();
            progress(&format!(
                "round {} of {}: {}",
                round + 1,
                settings.rounds,
                variants[at].label
            ));
            figures.add(at, world.measure(&variants[at], settings.seconds));
        }
    }
    progress("");
    world.assert_sound();

    let mut report = figures.report(&settings, &world.version());
    report["memory_mib"] = grown.iter().cloned().collect();
    print!("{}", table::of(&report));
    let kept = settings.keep(
        "bench",
        &report,
        &[("bench", chart::of(&report)), ("growth", chart::growth(&report))],
    );
    println!("\nkept: {}", kept.join(", "));
    for (key, mib) in &grown {
        println!("{key}: Envoy's memory grew by {mib:.0} MiB, at most {MOST_MIB}");
    }
    let mut missed = figures::missed(&report);
    missed.extend(
        grown
            .iter()
            .filter(|(_, mib)| *mib > MOST_MIB)
            .map(|(key, mib)| format!("{key}: {mib:.0} MiB")),
    );
    for line in &missed {
        println!("missed: {line}");
    }
    match missed.is_empty() || settings.no_limits {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// For 100,000 remembered answers, in the one worker.
const MOST_MIB: f64 = 64.0;

/// One line that is written over on a terminal; lines of their own elsewhere.
fn progress(text: &str) {
    use std::io::{IsTerminal, Write};
    let mut err = std::io::stderr();
    let _ = match err.is_terminal() {
        true => write!(err, "\r\x1b[K{text}"),
        false if text.is_empty() => Ok(()),
        false => writeln!(err, "{text}"),
    };
    let _ = err.flush();
}

//! Which share of callers changes its variant.

use super::Side;
use crate::experiment::Experiment;
use crate::experiment::survey::Survey;
use serde::Serialize;
use std::fmt::Write;
use std::sync::Arc;

/// Made up; one of a thousand that moves is seen.
const UNITS: u32 = 10_000;

/// Of one experiment that both policies have.
#[derive(Debug, Serialize)]
pub struct Movement {
    pub experiment: String,
    pub units: u64,
    pub moved: u64,
    pub moves: Vec<Way>,
}

#[derive(Debug, Serialize)]
pub struct Way {
    pub from: String,
    pub to: String,
    pub units: u64,
}

/// Those of which somebody moves.
pub fn movements(old: &Side, new: &Side) -> Vec<Movement> {
    let before = &old.world.policy.experiments;
    let both = new.world.policy.experiments.iter().filter_map(|experiment| {
        let before = before.iter().find(|before| before.name == experiment.name)?;
        Some((before, experiment))
    });
    let surveyed = both.filter_map(|(before, after)| surveyed(before, after, new));
    surveyed.collect()
}

fn surveyed(before: &Arc<Experiment>, after: &Arc<Experiment>, new: &Side) -> Option<Movement> {
    // Most experiments are as they were.
    if format!("{before:?}") == format!("{after:?}") {
        return None;
    }
    let mut survey = Survey::new(after, Some(before), new.world.now);
    for at in 0..UNITS {
        survey.meet(format!("user-{at}").as_bytes());
    }
    let (moves, _) = survey.moves()?;
    let moves: Vec<Way> = moves
        .iter()
        .map(|one| Way {
            from: one.from.clone(),
            to: one.to.clone(),
            units: one.units,
        })
        .collect();
    let moved: u64 = moves.iter().map(|one| one.units).sum();
    (moved > 0).then(|| Movement {
        experiment: after.name.to_string(),
        units: survey.units(),
        moved,
        moves,
    })
}

/// `checkout: 10.1% of callers change their variant: control -> blue 10.1%`
pub fn told(movements: &[Movement], out: &mut String) {
    for Movement {
        experiment,
        units,
        moved,
        moves,
    } in movements
    {
        let share = |part: u64| part as f64 * 100.0 / (*units).max(1) as f64;
        let ways = moves
            .iter()
            .map(|way| format!("{} -> {} {:.1}%", way.from, way.to, share(way.units)));
        let ways: Vec<String> = ways.collect();
        let moved = share(*moved);
        writeln!(
            out,
            "{experiment}: {moved:.1}% of callers change their variant: {}",
            ways.join(", ")
        )
        .unwrap_or_default();
    }
    if !movements.is_empty() {
        out.push_str("meshgate ab --against names them\n\n");
    }
}

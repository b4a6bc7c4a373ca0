//! `meshgate ab`

mod output;

use crate::explain::now;
use crate::report::complain;
use crate::source::PolicyArguments;
use crate::stop::{Done, Stop};
use clap::Args;
use meshgate::experiment::Experiment;
use meshgate::experiment::survey::{Moved, Survey, chart, table};
use meshgate::time::UnixTime;
use output::Output;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::sync::Arc;

/// Say how the experiments of a policy split callers, and whom a changed one would move
///
/// Units are those of --units, or made up: user-0, user-1 and so on. All are taken to be of the audience. The interval
/// is Wilson's: where the policy's share is outside of it, more than chance is at work, 99 times of 100.
#[derive(Args)]
#[command(after_help = "\
Example:
  meshgate ab envoy/policy.yaml --count 1000000 --svg split.svg
  meshgate ab new.yaml --against deployed.json --units users.txt --moved moved.tsv

Exit status: 0 fine, 1 faults of a policy, 2 wrong usage or a file that cannot be read or written.")]
pub struct Arguments {
    #[command(flatten)]
    policy: PolicyArguments,

    /// This experiment alone; all, where it is not given
    #[arg(long, value_name = "NAME")]
    experiment: Option<String>,

    /// Units, one a line; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "count")]
    units: Option<String>,

    /// How many units to make up
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    count: u64,

    /// The time, as 2026-12-01T00:00:00Z, for schedules; now, where it is not given
    #[arg(long, value_name = "TIME")]
    at: Option<String>,

    /// The policy that is in force: who would be moved from it
    #[arg(long, value_name = "OLD_POLICY")]
    against: Option<String>,

    /// Write a bar chart there
    #[arg(long, value_name = "FILE")]
    svg: Option<String>,

    /// Write everybody who is moved there: experiment, unit, from, to, with tabs between
    #[arg(long, value_name = "FILE", requires = "against")]
    moved: Option<String>,
}

/// No unit is longer, and a file without lines is not read whole.
const LONGEST_UNIT: u64 = 64 * 1024;
const PROGRESS_EVERY: u64 = 1 << 20;

pub fn run(arguments: &Arguments) -> Result<Done, Stop> {
    if arguments.policy.policy == "-" && arguments.units.as_deref() == Some("-") {
        return Err(Stop::Usage("standard input can be one of the two".into()));
    }
    let read_from = [
        Some(&arguments.policy.policy),
        arguments.against.as_ref(),
        arguments.units.as_ref(),
    ];
    let read_from: Vec<&str> = read_from.into_iter().flatten().map(String::as_str).collect();
    for (option, file) in [("--moved", &arguments.moved), ("--svg", &arguments.svg)] {
        if let Some(file) = file.as_ref().filter(|file| output::is_read(file, &read_from)) {
            return Err(Stop::Usage(format!("{option} would overwrite what is read: {file}")));
        }
    }
    let now = match &arguments.at {
        Some(text) => UnixTime::parse(text).map_err(|fault| Stop::Usage(format!("--at: {fault}")))?,
        None => now(),
    };
    let new = arguments.policy.load()?.policy.experiments;
    let old = match &arguments.against {
        Some(policy) => {
            let PolicyArguments { env, set, .. } = &arguments.policy;
            let old = PolicyArguments::of(policy, env.as_ref(), set);
            Some(old.load()?.policy.experiments)
        }
        None => None,
    };
    let named = |name: &str| arguments.experiment.as_deref().is_none_or(|wanted| wanted == name);
    let before = |name: &str| old.iter().flatten().find(|experiment| &*experiment.name == name);
    let chosen = new.iter().filter(|experiment| named(&experiment.name));
    let mut surveys: Vec<Survey> = chosen
        .map(|experiment| Survey::new(experiment, before(&experiment.name), now))
        .collect();
    if surveys.is_empty() {
        let policy = &arguments.policy.policy;
        let known: Vec<&str> = new.iter().map(|experiment| &*experiment.name).collect();
        return Err(Stop::Unusable(match (&arguments.experiment, known.is_empty()) {
            (Some(name), false) => format!("{policy}: no experiment is named {name:?}, but {}", known.join(", ")),
            _ => format!("{policy}: no experiments"),
        }));
    }
    let mut moved = match &arguments.moved {
        Some(file) => Some((file, Output::create(file).map_err(unusable(file))?)),
        None => None,
    };
    let mut meet = |unit: &[u8]| -> Result<(), Stop> {
        for survey in &mut surveys {
            let name = Arc::<str>::from(survey.name());
            if let (Some(one), Some((file, moved))) = (survey.meet(unit), &mut moved) {
                told(moved.writer(), &name, &one).map_err(unusable(file))?;
            }
        }
        Ok(())
    };
    match &arguments.units {
        Some(file) => read(file, &mut meet)?,
        None => {
            for at in 0..arguments.count {
                meet(format!("user-{at}").as_bytes())?;
                progress(at, Some(arguments.count));
            }
        }
    }
    if let Some((file, moved)) = moved {
        moved.finish().map_err(unusable(file))?;
    }
    if let Some(file) = &arguments.svg {
        std::fs::write(file, chart(&surveys)).map_err(unusable(file))?;
    }
    let gone = old.as_deref().unwrap_or_default();
    Ok(Done::fine(
        table(&surveys) + &compared(&new, gone, old.is_some(), &named),
    ))
}

/// What is in one of the policies alone, or asks of other units.
fn compared(new: &[Arc<Experiment>], old: &[Arc<Experiment>], compare: bool, named: &dyn Fn(&str) -> bool) -> String {
    let mut text = String::new();
    if !compare {
        return text;
    }
    let find = |all: &[Arc<Experiment>], name: &str| all.iter().find(|other| &*other.name == name).map(Arc::clone);
    for experiment in new.iter().filter(|experiment| named(&experiment.name)) {
        let name = &experiment.name;
        match find(old, name) {
            None => text.push_str(&format!("\n{name}: new\n")),
            Some(before) if before.units != experiment.units || before.sticky != experiment.sticky => {
                text.push_str(&format!(
                    "\n{name}: goes by other units, so that callers with several move besides\n"
                ));
            }
            Some(_) => {}
        }
    }
    for experiment in old.iter().filter(|experiment| named(&experiment.name)) {
        if find(new, &experiment.name).is_none() {
            text.push_str(&format!("\n{}: gone\n", experiment.name));
        }
    }
    text
}

/// Each line but empty ones.
fn read(file: &str, meet: &mut dyn FnMut(&[u8]) -> Result<(), Stop>) -> Result<(), Stop> {
    let mut from: Box<dyn BufRead> = match file {
        "-" => Box::new(BufReader::new(std::io::stdin())),
        _ => Box::new(BufReader::new(File::open(file).map_err(unusable(file))?)),
    };
    let (mut line, mut at, mut units) = (Vec::new(), 0, 0_u64);
    loop {
        line.clear();
        let mut bounded = (&mut from).take(LONGEST_UNIT + 1);
        if bounded.read_until(b'\n', &mut line).map_err(unusable(file))? == 0 {
            break;
        }
        at += 1;
        let unit = line.strip_suffix(b"\n").unwrap_or(&line);
        let unit = unit.strip_suffix(b"\r").unwrap_or(unit);
        if unit.len() as u64 > LONGEST_UNIT {
            return Err(Stop::Unusable(format!(
                "{file}: line {at} is over {LONGEST_UNIT} bytes"
            )));
        }
        if !unit.is_empty() {
            meet(unit)?;
            units += 1;
        }
        progress(at, None);
    }
    match units {
        0 => Err(Stop::Unusable(format!("{file}: no units"))),
        _ => Ok(()),
    }
}

fn told(to: &mut dyn Write, experiment: &str, moved: &Moved) -> std::io::Result<()> {
    let unit = moved.unit.escape_debug();
    writeln!(to, "{experiment}\t{unit}\t{}\t{}", moved.from, moved.to)
}

fn unusable(file: &str) -> impl Fn(std::io::Error) -> Stop {
    move |error| Stop::Unusable(format!("{file}: {error}"))
}

/// Somebody who waits is told how far it is.
fn progress(at: u64, of: Option<u64>) {
    if at > 0 && at.is_multiple_of(PROGRESS_EVERY) && std::io::stderr().is_terminal() {
        complain(&match of {
            Some(all) => format!("{at} of {all} units"),
            None => format!("{at} units"),
        });
    }
}

//! `meshgate test`

use crate::explain::Here;
use crate::report::Report;
use crate::source::{self, PolicyArguments, name_and_value};
use crate::stop::{Done, Stop};
use clap::Args;
use meshgate::config;
use meshgate::explain::cases::{Cases, Coverage, Tried, junit, summary, tried};
use std::path::{Path, PathBuf};

/// Try requests on a policy, and compare what becomes of them with what is expected
#[derive(Args)]
#[command(after_help = "\
Example:
  meshgate test cases.yaml --policy envoy/policy.yaml --junit cases.xml

A case:
  - name: sales may not close the shop
    request: POST https://shop.example.com/admin/close
    as: { subject: bob, groups: [sales] }
    expect: { outcome: forbidden, rule: admin, status: 403 }

Exit status: 0 every case holds, 1 one does not, or a file has faults, 2 wrong usage.")]
pub struct Arguments {
    /// Files of cases
    #[arg(value_name = "CASES", required = true)]
    files: Vec<String>,

    /// The policy, in place of the one that the files name
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,

    /// Of a folder, the environment whose values are taken
    #[arg(long, value_name = "NAME")]
    env: Option<String>,

    /// Of a folder, a value in place of the environment's
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    set: Vec<(String, String)>,

    #[command(flatten)]
    local: Here,

    /// Write the result as JUnit's XML
    #[arg(long, value_name = "FILE")]
    junit: Option<String>,

    /// Also fail where no case meets a rule
    #[arg(long)]
    every_rule: bool,

    /// Also name the cases that hold
    #[arg(long)]
    all: bool,
}

pub fn run(arguments: &Arguments) -> Result<Done, Stop> {
    let mut files = Vec::new();
    for file in &arguments.files {
        files.push((file.as_str(), read(file)?));
    }
    let mut output = String::new();
    let mut results: Vec<(String, Vec<Tried>)> = Vec::new();
    let mut every_rule = true;
    for (policy, given) in by_policy(arguments, &files)? {
        let mut world = arguments.local.world(&policy)?;
        let mut coverage = Coverage::of(&world);
        for (file, cases) in given {
            world.now = arguments.local.now(cases.at)?;
            let cases = cases.cases.iter();
            let tried: Vec<Tried> = cases.map(|case| tried(&world, case, &mut coverage)).collect();
            output.push_str(&summary(file, &tried, arguments.all));
            results.push((file.to_owned(), tried));
        }
        let missed = coverage.missed(&world);
        every_rule &= missed.is_empty();
        output.push_str(&format!(
            "{}: {} of {} rules met",
            policy.policy,
            coverage.met(),
            coverage.rules()
        ));
        if !missed.is_empty() {
            output.push_str(&format!(", no case meets {}", missed.join(", ")));
        }
        output.push('\n');
    }
    let failed = results
        .iter()
        .flat_map(|(_, tried)| tried)
        .filter(|tried| !tried.wrong.is_empty())
        .count();
    let count: usize = results.iter().map(|(_, tried)| tried.len()).sum();
    let noun = if count == 1 { "case" } else { "cases" };
    output.push_str(&format!("{count} {noun}, {failed} failed\n"));
    if let Some(file) = &arguments.junit {
        std::fs::write(file, junit(&results)).map_err(|error| Stop::Unusable(format!("{file}: {error}")))?;
    }
    match failed == 0 && (every_rule || !arguments.every_rule) {
        true => Ok(Done::fine(output)),
        false => Ok(Done::ending(output, 1)),
    }
}

type Given<'a> = Vec<(&'a str, &'a Cases)>;

/// Files of one policy share its coverage.
fn by_policy<'a>(
    arguments: &Arguments,
    files: &'a [(&'a str, Cases)],
) -> Result<Vec<(PolicyArguments, Given<'a>)>, Stop> {
    let mut all: Vec<(PolicyArguments, Given<'a>)> = Vec::new();
    for (file, cases) in files {
        let policy = match (&arguments.policy, &cases.policy) {
            (Some(policy), _) => policy.clone(),
            (None, Some(policy)) => {
                let folder = Path::new(file).parent().unwrap_or(Path::new(""));
                // Less what stands for the folder itself: `policy: .` is `examples/policy`, not `examples/policy/.`.
                let path: PathBuf = folder.join(policy).components().collect();
                path.to_string_lossy().into_owned()
            }
            (None, None) => {
                return Err(Stop::Usage(format!(
                    "{file} names no policy: write --policy POLICY, or policy: in it"
                )));
            }
        };
        match all.iter_mut().find(|(other, _)| other.policy == policy) {
            Some((_, given)) => given.push((file, cases)),
            None => {
                let policy = PolicyArguments::of(&policy, arguments.env.as_ref(), &arguments.set);
                all.push((policy, vec![(file, cases)]));
            }
        }
    }
    Ok(all)
}

pub fn read(file: &str) -> Result<Cases, Stop> {
    let given = source::read(file)?;
    let cases = config::cases(&given.text);
    cases.map_err(|faults| Stop::Faults(Report::of(given, &faults)))
}

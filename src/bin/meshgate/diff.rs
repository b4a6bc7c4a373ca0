//! `meshgate diff`

use crate::explain::Here;
use crate::source::{Loaded, PolicyArguments, name_and_value};
use crate::stop::{Done, Stop};
use crate::test;
use clap::Args;
use meshgate::explain::diff::{Side, difference, table};

/// Say what another policy changes: in its text, and for requests
///
/// Requests are made at the edges of both policies' matchers and decided about under both, for nobody, for somebody and
/// for one who meets what a rule requires; those of --cases besides.
#[derive(Args)]
#[command(after_help = "\
Example:
  meshgate diff deployed.json envoy/policy.yaml --cases envoy/cases.yaml

Exit status: 0 nothing changes, 1 faults of a policy, 2 wrong usage, 3 something changes.")]
pub struct Arguments {
    /// The policy that is in force
    old: String,

    /// The one that is to be
    new: String,

    /// Of folders, the environment whose values are taken
    #[arg(long, value_name = "NAME")]
    env: Option<String>,

    /// Of folders, a value in place of the environment's
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    set: Vec<(String, String)>,

    /// Requests and callers to try as well
    #[arg(long, value_name = "CASES")]
    cases: Vec<String>,

    #[command(flatten)]
    local: Here,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

const CHANGES: u8 = 3;

pub fn run(arguments: &Arguments) -> Result<Done, Stop> {
    let side = |policy: &String| -> Result<_, Stop> {
        let policy = PolicyArguments::of(policy, arguments.env.as_ref(), &arguments.set);
        let Loaded {
            policy: read, document, ..
        } = policy.load()?;
        Ok((arguments.local.world_of(&policy, read)?, document.json()))
    };
    let ((old, old_json), (new, new_json)) = (side(&arguments.old)?, side(&arguments.new)?);
    let mut cases = Vec::new();
    for file in &arguments.cases {
        cases.extend(test::read(file)?.cases);
    }
    let sides = [(&old, &old_json), (&new, &new_json)].map(|(world, json)| Side { world, json });
    let [old, new] = &sides;
    let difference = difference(old, new, &cases);
    let output = match arguments.json {
        true => serde_json::to_string_pretty(&difference).unwrap_or_default() + "\n",
        false => table(&difference),
    };
    Ok(match difference.texts.is_empty() && difference.classes.is_empty() {
        true => Done::fine(output),
        false => Done::ending(output, CHANGES),
    })
}

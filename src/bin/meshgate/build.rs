//! `meshgate build`

use crate::report::Report;
use crate::source::{Loaded, PolicyArguments};
use crate::stop::{Done, Stop};
use clap::Args;
use meshgate::config::yaml;

/// Print a policy as the one JSON document that Envoy is given
///
/// The same files give the same bytes. A policy without a revision is given one, made from its content.
#[derive(Args)]
#[command(after_help = "Example:\n  meshgate build policy --env prod > policy.json")]
pub struct Arguments {
    #[command(flatten)]
    policy: PolicyArguments,

    /// Print this bootstrap as JSON instead, with the policy where it says exactly ${MESHGATE_POLICY}
    #[arg(long, value_name = "BOOTSTRAP")]
    into: Option<String>,
}

pub fn run(arguments: &Arguments) -> Result<Done, Stop> {
    let bootstrap = arguments.policy.bootstrap(arguments.into.as_deref())?;
    let Loaded { document, report, .. } = arguments.policy.load_into(bootstrap.as_ref())?;
    let policy = document.json();
    report.complain();
    let Some(file) = bootstrap else {
        return Ok(Done::fine(policy + "\n"));
    };
    match yaml::bootstrap(&file.text, &policy) {
        Ok(json) => Ok(Done::fine(json + "\n")),
        Err(faults) => Err(Stop::Faults(Report::of(file, &faults))),
    }
}

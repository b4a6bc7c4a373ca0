//! `meshgate build`

use crate::report::Report;
use crate::source::{self, Loaded, PolicyArguments};
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
    if arguments.policy.policy == "-" && arguments.into.as_deref() == Some("-") {
        return Err(Stop::Usage("standard input can be one of the two".into()));
    }
    let Loaded {
        json: policy, report, ..
    } = arguments.policy.load()?;
    report.complain();
    let Some(bootstrap) = &arguments.into else {
        return Ok(Done::fine(policy + "\n"));
    };
    let file = source::read(bootstrap)?;
    match yaml::bootstrap(&file.text, &policy) {
        Ok(json) => Ok(Done::fine(json + "\n")),
        Err(faults) => Err(Stop::Faults(Report::of(file, &faults))),
    }
}

//! `meshgate build`

use crate::source::{self, PolicyArguments};
use crate::stop::{Done, Stop};
use clap::Args;
use meshgate::config::yaml;

/// Print a policy as the one JSON document that Envoy is given
#[derive(Args)]
#[command(after_help = "Example:\n  meshgate build envoy/policy.yaml --into envoy/envoy.yaml > envoy.json")]
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
    let policy = arguments.policy.load()?.json;
    let Some(bootstrap) = &arguments.into else {
        return Ok(Done::fine(policy + "\n"));
    };
    let built = yaml::bootstrap(&source::read(bootstrap)?, &policy);
    let json = built.map_err(|faults| source::listed(bootstrap, &faults))?;
    Ok(Done::fine(json + "\n"))
}

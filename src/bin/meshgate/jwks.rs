//! `meshgate jwks`

use crate::report::Report;
use crate::source::PolicyArguments;
use crate::stop::{Done, Stop};
use clap::Args;
use meshgate::config;
use meshgate::config::folder::File;

/// Print the public keys that others check a policy's assertions with
///
/// The private keys are read from the variables that identity.assertion names.
#[derive(Args)]
#[command(after_help = "Example:\n  MESHGATE_SIGNING_KEY=$(cat key.pem) meshgate jwks policy.yaml > jwks.json")]
pub struct Arguments {
    #[command(flatten)]
    policy: PolicyArguments,
}

pub fn run(arguments: &Arguments) -> Result<Done, Stop> {
    let file = arguments.policy.policy.clone();
    let policy = arguments.policy.load()?.policy;
    let signing = config::signing(&policy, environment).map_err(|faults| {
        let text = String::new();
        Stop::Faults(Report::of(
            File {
                name: file.clone(),
                text,
            },
            &faults,
        ))
    });
    match signing? {
        Some(assertions) => Ok(Done::fine(assertions.jwks() + "\n")),
        None => Err(Stop::Told(format!("{file}: there is no identity.assertion"))),
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge where it is read")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

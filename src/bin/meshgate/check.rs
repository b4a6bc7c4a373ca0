//! `meshgate check`

use crate::source::PolicyArguments;
use crate::stop::{Done, Stop};
use clap::Args;
use meshgate::policy::{Action, Policy};

/// List every fault of a policy
#[derive(Args)]
#[command(after_help = "Example:\n  meshgate check envoy/policy.yaml")]
pub struct Arguments {
    #[command(flatten)]
    policy: PolicyArguments,
}

pub fn run(arguments: &Arguments) -> Result<Done, Stop> {
    let loaded = arguments.policy.load()?;
    let summary = summary(&loaded.parsed.policy);
    Ok(Done::fine(format!("{}: {summary}\n", arguments.policy.policy)))
}

fn summary(policy: &Policy) -> String {
    let (mut asking, mut public, mut refusing) = (0_usize, 0_usize, 0_usize);
    for rule in &policy.rules {
        match rule.action {
            Action::Authenticate(_) => asking += 1,
            Action::Public => public += 1,
            Action::Refuse(_) => refusing += 1,
        }
    }
    let rules = policy.rules.len();
    format!("fine: {rules} rules, {asking} authenticate, {public} public, {refusing} refuse")
}

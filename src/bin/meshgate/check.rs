//! `meshgate check`

use crate::report::{Format, Severity, complain};
use crate::source::{Looked, PolicyArguments};
use crate::stop::{Done, Stop};
use clap::Args;
use meshgate::policy::{Action, Policy};

/// List every fault of a policy, and what is worth a look
///
/// A folder is checked for each of its environments, unless --env names one.
#[derive(Args)]
#[command(after_help = "Example:\n  meshgate check policy --format sarif > meshgate.sarif")]
pub struct Arguments {
    #[command(flatten)]
    policy: PolicyArguments,

    /// Also tell each cluster that the policy names and this bootstrap does not have
    #[arg(long, value_name = "BOOTSTRAP")]
    into: Option<String>,

    /// How they are told: text on standard error, the others on standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Exit with 1 for warnings, too
    #[arg(long)]
    deny_warnings: bool,
}

pub fn run(arguments: &Arguments) -> Result<Done, Stop> {
    let bootstrap = arguments.policy.bootstrap(arguments.into.as_deref())?;
    let Looked { report, built } = arguments.policy.look(bootstrap.as_ref())?;
    let warnings = report.count(Severity::Warning);
    let fine = report.is_fine() && !(arguments.deny_warnings && warnings > 0);
    if arguments.format != Format::Text {
        return Ok(Done::with(report.formatted(arguments.format), fine));
    }
    report.complain();
    let faults = report.count(Severity::Fault);
    if faults > 0 {
        complain(&told(faults, warnings));
        return Ok(Done::with(String::new(), false));
    }
    let name = &arguments.policy.policy;
    let lines = built.iter().map(|(environment, built)| {
        let of = environment.as_ref().map_or(String::new(), |name| format!(" ({name})"));
        format!("{name}{of}: {}\n", summary(&built.parsed.policy))
    });
    Ok(Done::with(lines.collect(), fine))
}

fn told(faults: usize, warnings: usize) -> String {
    let counted = |count, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    match warnings {
        0 => counted(faults, "fault"),
        _ => format!("{}, {}", counted(faults, "fault"), counted(warnings, "warning")),
    }
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

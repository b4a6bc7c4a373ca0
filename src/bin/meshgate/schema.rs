//! `meshgate schema`

use crate::stop::{Done, Stop};
use clap::{Args, ValueEnum};
use meshgate::config::schema::{Kind, schema};

/// Print the JSON Schema that editors check a policy with while it is written
///
/// In the first line of a file: # yaml-language-server: $schema=policy.schema.json
#[derive(Args)]
#[command(after_help = "Example:\n  meshgate schema --of team > team.schema.json")]
pub struct Arguments {
    /// Of which file: a policy in one, or those of a folder
    #[arg(long, value_enum, default_value_t = Of::Policy)]
    of: Of,
}

#[derive(Clone, Copy, ValueEnum)]
enum Of {
    /// A policy in one file
    Policy,
    /// platform.yaml
    Platform,
    /// teams/NAME.yaml
    Team,
    /// env/NAME.yaml
    Environment,
}

pub fn run(arguments: &Arguments) -> Result<Done, Stop> {
    let kind = match arguments.of {
        Of::Policy => Kind::Policy,
        Of::Platform => Kind::Platform,
        Of::Team => Kind::Team,
        Of::Environment => Kind::Environment,
    };
    Ok(Done::fine(format!("{:#}\n", schema(kind))))
}

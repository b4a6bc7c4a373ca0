//! `meshgate completions`

use crate::stop::{Done, Stop};
use clap::{Args, Command};
use clap_complete::{Shell, generate};

/// Print what a shell completes the command line with
#[derive(Args)]
#[command(after_help = "Example:\n  meshgate completions bash > ~/.local/share/bash-completion/completions/meshgate")]
pub struct Arguments {
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(arguments: &Arguments, mut line: Command) -> Result<Done, Stop> {
    let mut script = vec![];
    generate(arguments.shell, &mut line, "meshgate", &mut script);
    Ok(Done::fine(String::from_utf8_lossy(&script).into_owned()))
}

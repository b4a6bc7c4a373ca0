//! The command line, `meshgate`. One file a command; what they share is read in [`source`] and
//! told through [`stop`].

mod ab;
mod build;
mod check;
mod completions;
mod diff;
mod explain;
mod jwks;
mod key;
mod man;
mod report;
mod schema;
mod source;
mod stop;
mod test;

use clap::{CommandFactory, Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;
use stop::{Done, Stop};

/// Policies of Meshgate: checked and built before anything is deployed
#[derive(Parser)]
#[command(name = "meshgate", version, after_help = STATUS, propagate_version = false, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

const STATUS: &str = "\
Files are YAML or JSON; - is standard input.
Exit status: 0 fine, 1 faults, 2 wrong usage or a file that cannot be read.";

/// One variant a command, one line in [`run`].
#[derive(Subcommand)]
enum Command {
    Ab(ab::Arguments),
    Check(check::Arguments),
    Build(build::Arguments),
    Diff(diff::Arguments),
    Explain(explain::Arguments),
    Jwks(jwks::Arguments),
    #[command(subcommand)]
    Key(key::Key),
    Schema(schema::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
    Test(test::Arguments),
}

fn run(command: &Command) -> Result<Done, Stop> {
    match command {
        Command::Ab(arguments) => ab::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Build(arguments) => build::run(arguments),
        Command::Diff(arguments) => diff::run(arguments),
        Command::Explain(arguments) => explain::run(arguments),
        Command::Jwks(arguments) => jwks::run(arguments),
        Command::Key(key) => key::run(key),
        Command::Schema(arguments) => schema::run(arguments),
        Command::Completions(arguments) => completions::run(arguments, CommandLine::command()),
        Command::Man(arguments) => man::run(arguments, CommandLine::command()),
        Command::Test(arguments) => test::run(arguments),
    }
}

fn main() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        // Also `--help`, which goes to standard output and is no error.
        Err(error) => {
            error.print().unwrap_or_default();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(&line.command).and_then(print) {
        Ok(status) => status,
        Err(stop) => stop.told(),
    }
}

fn print(done: Done) -> Result<ExitCode, Stop> {
    std::io::stdout()
        .write_all(done.output.as_bytes())
        .map_err(|error| Stop::Unusable(format!("standard output: {error}")))?;
    Ok(done.status())
}

//! `meshgate man`

use crate::stop::{Done, Stop};
use clap::{Args, Command};
use clap_mangen::Man;

/// Print the manual page of meshgate, or of one of its commands
#[derive(Args)]
#[command(after_help = "Example:\n  meshgate man check | man -l -")]
pub struct Arguments {
    /// A command, as check or key new
    command: Vec<String>,
}

pub fn run(arguments: &Arguments, mut line: Command) -> Result<Done, Stop> {
    line.build();
    let mut page = line;
    for name in &arguments.command {
        page = match page.find_subcommand(name) {
            Some(command) => command.clone(),
            None => return Err(Stop::Usage(format!("there is no command {name}"))),
        };
    }
    let mut text = vec![];
    Man::new(page)
        .render(&mut text)
        .map_err(|error| Stop::Unusable(format!("the page: {error}")))?;
    Ok(Done::fine(String::from_utf8_lossy(&text).into_owned()))
}

//! What a command is given: a policy, or another file.

use crate::stop::{Stop, complain};
use clap::Args;
use meshgate::config::yaml;
use meshgate::config::{Fault, Faults, Parsed};
use std::io::Read;

/// The policy of a command.
#[derive(Args)]
pub struct PolicyArguments {
    /// The policy, YAML or JSON; - is standard input
    #[arg(value_name = "POLICY")]
    pub policy: String,
}

/// A policy without faults.
pub struct Loaded {
    pub parsed: Parsed,
    /// The one document that Envoy is given.
    pub json: String,
}

impl PolicyArguments {
    /// Warnings go to standard error.
    pub fn load(&self) -> Result<Loaded, Stop> {
        let file = self.policy.as_str();
        let text = read(file)?;
        let parsed = yaml::parse(&text).map_err(|faults| listed(file, &faults))?;
        for warning in &parsed.warnings {
            complain(&format!("{}warning: {warning}", place(file, warning)));
        }
        let json = yaml::to_json(&text).map_err(|faults| listed(file, &faults))?;
        Ok(Loaded { parsed, json })
    }
}

pub fn listed(file: &str, faults: &Faults) -> Stop {
    let line = |fault: &Fault| format!("{}{fault}", place(file, fault));
    Stop::Faults(faults.iter().map(line).collect())
}

fn place(file: &str, fault: &Fault) -> String {
    match fault.at {
        Some(at) => format!("{file}:{}:{}: ", at.line, at.column),
        None => format!("{file}: "),
    }
}

pub fn read(file: &str) -> Result<String, Stop> {
    let bytes = match file {
        "-" => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
        }
        _ => std::fs::read(file),
    };
    let bytes = bytes.map_err(|error| Stop::Unusable(format!("{file}: {error}")))?;
    String::from_utf8(bytes).map_err(|error| Stop::Faults(vec![format!("{file}: not UTF-8: {error}")]))
}

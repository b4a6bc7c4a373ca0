//! Policies, and all that is wrong with them.
#![cfg(feature = "cli")]

#[path = "config/ab.rs"]
mod ab;
#[path = "config/advice.rs"]
mod advice;
#[path = "config/command.rs"]
mod command;
#[path = "config/experiments.rs"]
mod experiments;
#[path = "config/faults.rs"]
mod faults;
#[path = "config/folder.rs"]
mod folder;
#[path = "config/limits.rs"]
mod limits;
#[path = "config/policy.rs"]
mod policy;
#[path = "config/report.rs"]
mod report;
#[path = "config/schema.rs"]
mod schema;
#[path = "config/yaml.rs"]
mod yaml;

use meshgate::config::{Faults, Parsed};

const BASE: &str = include_str!("config/base.yaml");

/// The faults as they are printed.
#[track_caller]
fn faults(parsed: Result<Parsed, Faults>) -> Vec<String> {
    let faults = parsed.expect_err("a faulty policy");
    faults.iter().map(ToString::to_string).collect()
}

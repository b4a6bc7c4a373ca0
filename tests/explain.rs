//! `meshgate explain`, `test` and `diff`: what they say is what the gate decides.

#[path = "explain/often.rs"]
mod often;
#[path = "explain/random.rs"]
mod random;

#[path = "explain/agrees.rs"]
mod agrees;
#[path = "explain/cases.rs"]
mod cases;
#[path = "explain/command.rs"]
mod command;
#[path = "explain/diff.rs"]
mod diff;
#[path = "explain/masked.rs"]
mod masked;
#[path = "explain/said.rs"]
mod said;

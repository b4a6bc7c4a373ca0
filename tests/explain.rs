//! `meshgate explain`, `test` and `diff`: what they say is what the gate decides.

#[path = "explain/random.rs"]
mod random;

#[path = "explain/agrees.rs"]
mod agrees;
#[path = "explain/masked.rs"]
mod masked;
#[path = "explain/said.rs"]
mod said;

//! `meshgate key`

use crate::stop::{Done, Stop};
use clap::{Args, Subcommand};
use meshgate::assertion;
use meshgate::cache::SealKey;

/// Make keys
#[derive(Subcommand)]
pub enum Key {
    New(New),
}

/// Print a new random key, for the variable that cache.shared names
#[derive(Args)]
#[command(after_help = "Example:\n  meshgate key new --signing > key.pem")]
pub struct New {
    /// A private key instead, for a variable that identity.assertion names
    #[arg(long)]
    signing: bool,
}

pub fn run(key: &Key) -> Result<Done, Stop> {
    match key {
        Key::New(New { signing: true }) => signing(),
        Key::New(New { signing: false }) => sealing(),
    }
}

fn sealing() -> Result<Done, Stop> {
    let key = SealKey::random().ok_or_else(|| Stop::Unusable("the system gives no random bytes".into()))?;
    Ok(Done::fine(key.reveal() + "\n"))
}

fn signing() -> Result<Done, Stop> {
    // One number in four thousand million is none of a key.
    for _ in 0..8 {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)
            .map_err(|error| Stop::Unusable(format!("the system gives no random bytes: {error}")))?;
        if let Some(pem) = assertion::p256_pem(&secret) {
            return Ok(Done::fine(pem));
        }
    }
    Err(Stop::Unusable("the system's random bytes are none".into()))
}

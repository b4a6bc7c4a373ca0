//! What a client cannot make anybody behind the filter believe, on whatever way its request takes.

mod credentials;
pub mod envoys;
mod forged;
mod overrides;
mod upgrades;
mod ways;

//! Meshgate: who calls, may they, what the upstream is told, how the request is carried.
#![cfg_attr(not(feature = "filter"), forbid(unsafe_code))]
#![deny(unsafe_code)]

pub mod assertion;
pub mod authn;
pub mod authz;
pub mod breaker;
mod bytes;
pub mod cache;
pub mod config;
pub mod decide;
pub mod denial;
pub mod experiment;
#[cfg(feature = "cli")]
pub mod explain;
pub mod flight;
pub mod header;
pub mod identity;
pub mod json;
pub mod keyring;
pub mod memory;
mod order;
pub mod peer;
pub mod policy;
pub mod rate_limit;
pub mod request;
pub mod rule;
pub mod strip;
pub mod time;
pub mod upstream;
mod wire;

#[cfg(feature = "filter")]
pub mod filter;

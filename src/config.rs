//! Bytes to `Policy`, all faults at once.
//!
//! JSON or YAML fills one tree of nodes; a decoder walks it and records what is wrong by node, so
//! that one reading finds every fault. A derived decoder would stop at the first.

mod address;
#[cfg(feature = "cli")]
mod advice;
mod assertion;
mod authenticators;
#[cfg(feature = "cli")]
mod built;
mod callout;
#[cfg(feature = "cli")]
mod cases;
mod conditions;
mod debug;
mod defined;
mod document;
#[cfg(feature = "cli")]
mod expected;
mod experiments;
mod fault;
#[cfg(feature = "cli")]
pub mod folder;
mod identity;
mod json;
#[cfg(feature = "cli")]
mod lint;
mod matching;
mod names;
mod node;
mod place;
mod rate_limits;
mod read;
mod require;
mod rules;
#[cfg(feature = "cli")]
pub mod schema;
mod secret;
mod secrets;
mod service;
mod sink;
mod suggest;
mod unit;
mod upstream;
mod url;
mod write;
#[cfg(feature = "cli")]
pub mod yaml;

pub use assertion::signing;
#[cfg(feature = "cli")]
pub use built::{Built, Document};
#[cfg(feature = "cli")]
pub use cases::cases;
pub use fault::{Fault, Faults, Mark};
pub use secrets::{Secrets, secrets};
#[cfg(feature = "cli")]
pub(crate) use suggest::hint;

use crate::authn::api_key::ApiKeys;
use crate::policy::Policy;
use sink::Sink;

/// 10,000 rules of the usual length are 2 to 4 MiB, 100,000 API keys 12. A policy is parsed in every worker of Envoy,
/// which holds its listeners meanwhile.
pub const MAX_BYTES: usize = 16 << 20;

/// A policy, and what is worth a look though it is no fault.
#[derive(Debug)]
pub struct Parsed {
    pub policy: Policy,
    pub warnings: Vec<Fault>,
}

/// One JSON document.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Faults> {
    within_limit(bytes.len())?;
    document::read(&json::read(bytes)?)
}

/// A list of API keys as `keys.inline` has it, from elsewhere.
pub fn api_keys(bytes: &[u8]) -> Result<ApiKeys, Faults> {
    within_limit(bytes.len())?;
    let root = json::read(bytes)?;
    let sink = Sink::default();
    sink::duplicates(&root, &sink);
    match authenticators::api_keys(&sink, &root) {
        Ok(keys) if sink.is_empty() => Ok(keys),
        _ => Err(sink.into_faults(&root)),
    }
}

fn within_limit(bytes: usize) -> Result<(), Faults> {
    if bytes > MAX_BYTES {
        let message = format!("a policy of {bytes} bytes, at most {MAX_BYTES}: every worker parses it");
        return Err(Faults::one(message, None));
    }
    Ok(())
}

//! An authenticator that asks a service: what it is sent, and what its answer means.

mod answer;
mod question;

pub use answer::{Accepted, Answer, CalloutFailure, MAX_DENIAL_BODY_BYTES, Verdict, answered, read, status};
pub use question::{Question, ask, digest, key, scheme, sent};

use super::Finding;
use super::credential::{self, Ambiguous};
use crate::header::{NamePattern, NameSet};
use crate::policy::Callout;
use crate::request::Request;
use std::sync::{Arc, LazyLock};

/// Names that describe one connection or one message, not the request: never passed on, in either
/// direction (RFC 9110 section 7.6.1, and what Envoy itself keeps).
const NEVER: &[&str] = &[
    "host",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "content-length",
    "x-envoy-*",
    "x-forwarded-*",
    "forwarded",
    "x-meshgate-epoch",
];

/// Whether there is something to ask about. Without `credential` the service is always asked.
pub fn find<'a>(callout: &'a Arc<Callout>, request: &Request) -> Result<Finding<'a>, Ambiguous> {
    let present = credential::present(callout.credential_places(), request)?;
    Ok(match present || callout.credential.is_none() {
        true => Finding::Ask { callout, present },
        false => Finding::NotMine,
    })
}

/// What is never sent to a service nor taken from it, whatever pattern a policy gives.
fn is_never_passed(name: &[u8]) -> bool {
    static NAMES: LazyLock<NameSet> =
        LazyLock::new(|| NEVER.iter().filter_map(|name| NamePattern::parse(name).ok()).collect());
    name.first() == Some(&b':') || NAMES.contains(name)
}

//! `debug`: who is told how a request of theirs was decided.

use super::names;
use super::node::Node;
use super::read::{Fields, Known};
use super::require::{self, Around};
use super::sink::{Checked, Sink};
use crate::policy::Debug;
use std::collections::HashSet;

const FIELDS: Known = Known {
    now: &["header", "require"],
    later: &[],
};

pub fn read(sink: &Sink, node: &Node, authenticators: HashSet<&str>, verified_peers: bool) -> Checked<Debug> {
    let fields = Fields::of(sink, node, &FIELDS)?;
    let header = fields
        .required("header", ": of the response, as x-meshgate-explain")
        .and_then(|node| sink.parsed(node, names::identity));
    let around = Around {
        rule: "debug",
        // No rule's path is its own.
        captured: Some(HashSet::new()),
        authenticators: Some(authenticators),
        verified_peers,
    };
    let require = fields
        .required("require", ": which callers are told, as { groups: { any_of: [ops] } }")
        .and_then(|node| require::read(sink, node, &around));
    Ok(Debug {
        header: header?,
        require: require?,
    })
}

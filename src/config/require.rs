//! `require`: which callers may.

use super::matching;
use super::node::{Node, Value, quoted};
use super::read::{Fields, Known, all};
use super::sink::{Checked, Sink};
use crate::authn::ClaimPath;
use crate::authz::{Condition, Require, Wanted};
use crate::rule::PathPattern;
use std::collections::HashSet;
use std::sync::Arc;

pub const FIELDS: Known = Known {
    now: &["groups", "scopes", "claims", "authenticators", "peers"],
    later: &[],
};
const CONDITION: Known = Known {
    now: &["any_of", "all_of", "none_of"],
    later: &[],
};

/// What a `require` may refer to.
pub struct Around<'a> {
    pub rule: &'a str,
    /// None: the rule's paths have faults of their own.
    pub captured: Option<HashSet<&'a str>>,
    /// None: the rule's authenticators have faults of their own.
    pub authenticators: Option<HashSet<&'a str>>,
    pub verified_peers: bool,
}

pub fn read(sink: &Sink, node: &Node, around: &Around) -> Checked<Require> {
    let fields = Fields::of(sink, node, &FIELDS)?;
    if fields.is_empty() {
        return Err(sink.fault(node, "empty require: leave it out where every caller may"));
    }
    of_fields(sink, &fields, around)
}

/// Those of `fields` that are conditions of a `require`.
pub fn of_fields(sink: &Sink, fields: &Fields, around: &Around) -> Checked<Require> {
    let groups = fields.optional("groups", |node| condition(sink, node, around));
    let scopes = fields.optional("scopes", |node| condition(sink, node, around));
    let claims = fields.optional("claims", |node| claims(sink, node, around));
    let authenticators = fields.optional("authenticators", |node| {
        sink.distinct(node, |item| authenticator(sink, item, around))
    });
    let peers = fields.optional("peers", |node| matching::peers(sink, node, around.verified_peers));
    Ok(Require {
        groups: groups?.unwrap_or_default(),
        scopes: scopes?.unwrap_or_default(),
        claims: claims?.unwrap_or_default(),
        authenticators: authenticators?.unwrap_or_default(),
        peers: peers?.unwrap_or_default(),
    })
}

/// The names that every one of `paths` captures.
pub fn captured(paths: &[PathPattern]) -> HashSet<&str> {
    let mut paths = paths.iter();
    let mut common: HashSet<&str> = match paths.next() {
        Some(path) => path.captures().collect(),
        None => return HashSet::new(),
    };
    for path in paths {
        let names: HashSet<&str> = path.captures().collect();
        common.retain(|name| names.contains(name));
    }
    common
}

fn condition(sink: &Sink, node: &Node, around: &Around) -> Checked<Condition> {
    if let Value::List(_) = &node.value {
        return Err(sink.fault(
            node,
            "expected an object, found a list: write { any_of: […] }, or all_of or none_of",
        ));
    }
    let fields = Fields::of(sink, node, &CONDITION)?;
    if fields.is_empty() {
        return Err(sink.fault(node, "empty condition: write any_of, all_of or none_of"));
    }
    let list = |name| fields.optional(name, |node| sink.some(node, |item| wanted(sink, item, around)));
    let (any_of, all_of, none_of) = (list("any_of"), list("all_of"), list("none_of"));
    Ok(Condition {
        any_of: any_of?.unwrap_or_default(),
        all_of: all_of?.unwrap_or_default(),
        none_of: none_of?.unwrap_or_default(),
    })
}

fn claims(sink: &Sink, node: &Node, around: &Around) -> Checked<Vec<(ClaimPath, Condition)>> {
    let entries = sink.entries(node)?;
    if entries.is_empty() {
        return Err(sink.fault(node, "empty claims: leave the field out"));
    }
    all(entries.iter().map(|entry| {
        let path = ClaimPath::parse(&entry.key).map_err(|message| sink.fault_at(&entry.node, entry.at, message));
        let condition = match &entry.node.value {
            Value::Map(_) => condition(sink, &entry.node, around),
            _ => wanted(sink, &entry.node, around).map(|value| Condition {
                any_of: vec![value],
                ..Condition::default()
            }),
        };
        Ok((path?, condition?))
    }))
}

fn wanted(sink: &Sink, node: &Node, around: &Around) -> Checked<Wanted> {
    let wanted = sink.parsed(node, Wanted::parse)?;
    if let (Wanted::PathCapture(name), Some(captured)) = (&wanted, &around.captured)
        && !captured.contains(name.as_str())
    {
        let (name, rule) = (quoted(name), around.rule);
        let message = format!("not every path of rule {rule} captures {name}");
        return Err(sink.fault(node, message));
    }
    Ok(wanted)
}

fn authenticator(sink: &Sink, node: &Node, around: &Around) -> Checked<Arc<str>> {
    let name = sink.text(node)?;
    match &around.authenticators {
        Some(known) if !known.contains(name) => {
            let (name, rule) = (quoted(name), around.rule);
            Err(sink.fault(node, format!("{name} is not asked by rule {rule}")))
        }
        _ => Ok(name.into()),
    }
}

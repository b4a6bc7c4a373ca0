//! Claims: where they stand in a token, and what a policy itself says of a caller.

use crate::authn::{Claim, ClaimPath};
use crate::config::node::{Node, Value};
use crate::config::read::all;
use crate::config::sink::{Checked, Sink};
use std::collections::BTreeMap;

/// Each may become a header.
const MOST: usize = 64;

/// `a.b.c`, or `["https://x/roles"]` for names with dots.
pub fn path(sink: &Sink, node: &Node) -> Checked<ClaimPath> {
    match &node.value {
        Value::List(_) => sink
            .some(node, |item| {
                sink.parsed(item, |text| match text {
                    "" => Err("empty name of a claim".into()),
                    name => Ok(name.to_owned()),
                })
            })
            .map(ClaimPath),
        _ => sink.parsed(node, ClaimPath::parse),
    }
}

/// `{ NAME: … }`
pub fn named<T>(sink: &Sink, node: &Node, read: impl Fn(&Node) -> Checked<T>) -> Checked<Vec<(String, T)>> {
    sink.at_most(node, MOST, "each is looked for in every request")?;
    all(sink.entries(node)?.iter().map(|entry| {
        let value = read(&entry.node);
        if entry.key.is_empty() || entry.key.contains('.') {
            let message = format!("{:?} is no name of a claim: dots separate names", entry.key);
            return Err(sink.fault_at(node, entry.at, message));
        }
        Ok((entry.key.clone(), value?))
    }))
}

/// Text, a number or a boolean as its text, a list of them, or an object.
pub fn value(sink: &Sink, node: &Node) -> Checked<Claim> {
    match &node.value {
        Value::List(_) => sink
            .list(node, |item| {
                scalar(item).ok_or_else(|| sink.expected(item, "text, a number, true or false"))
            })
            .map(Claim::List),
        Value::Map(_) => {
            let mut members = BTreeMap::new();
            members.extend(named(sink, node, |node| value(sink, node))?);
            Ok(Claim::Object(members))
        }
        _ => match scalar(node) {
            Some(text) => Ok(Claim::Scalar(text)),
            None => Err(sink.expected(node, "a value")),
        },
    }
}

fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}

//! `${name}`: what differs between environments, and no logic.

use super::{Folder, Kind, trees_mut, unknown};
use crate::config::fault::{Fault, Mark};
use crate::config::node::{Node, Value, quoted};
use crate::config::sink::Sink;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// The values of one environment.
pub struct Values<'a> {
    by_name: BTreeMap<&'a str, Named<'a>>,
    /// Where texts held values, for messages about those texts.
    filled: RefCell<Vec<(Mark, String)>>,
    /// The texts that were left as they are: whatever else is wrong with them follows from it.
    left: RefCell<Vec<(Mark, Option<String>)>>,
    /// An environment's file that is no object: nothing is known to be missing.
    unknown: bool,
}

struct Named<'a> {
    value: Value,
    /// None: of the command line.
    node: Option<(&'a Node, Option<Mark>)>,
    used: Cell<bool>,
}

impl<'a> Values<'a> {
    /// `set` of the command line stands in place of the file's.
    pub fn read(sink: &Sink, file: Option<&'a Node>, set: &'a [(String, String)]) -> Self {
        let mut by_name = BTreeMap::new();
        let entries = match file.map(|node| (node, &node.value)) {
            // An empty file has no values; one that is no YAML has its own fault.
            None | Some((_, Value::Null)) => Ok(&[][..]),
            Some((node, _)) => sink.entries(node),
        };
        for entry in entries.unwrap_or_default() {
            if !is_name(&entry.key) {
                let message = format!("{} is no name of a value: letters, digits and _", quoted(&entry.key));
                sink.fault_at(&entry.node, entry.at, message);
            } else if is_plain(&entry.node.value) {
                let named = Named {
                    value: entry.node.value.clone(),
                    node: Some((&entry.node, entry.at)),
                    used: Cell::new(false),
                };
                by_name.insert(entry.key.as_str(), named);
            } else {
                sink.expected(&entry.node, "text, a number, true or false, or a list of them");
            }
        }
        for (name, text) in set {
            let named = Named {
                value: Value::Text(text.clone()),
                node: None,
                used: Cell::new(false),
            };
            if let Some(of_file) = by_name.insert(name, named) {
                of_file.used.set(true);
            }
        }
        Self {
            by_name,
            filled: RefCell::default(),
            left: RefCell::default(),
            unknown: entries.is_err()
                || file.is_some_and(|node| matches!(node.value, Value::Null) && node.at.is_none()),
        }
    }

    /// `place`: the file that they are of.
    pub fn fill(&self, sink: &Sink, folder: &Folder, trees: &mut Node, place: Option<&str>) {
        let kinds: Vec<Option<Kind>> = folder.files.iter().map(super::kind).collect();
        for (entry, kind) in trees_mut(trees).iter_mut().zip(kinds) {
            if matches!(kind, Some(Kind::Platform | Kind::Team(_))) {
                self.fill_node(sink, &mut entry.node, place);
            }
        }
    }

    fn fill_node(&self, sink: &Sink, node: &mut Node, place: Option<&str>) {
        match &mut node.value {
            Value::List(items) => items.iter_mut().for_each(|item| self.fill_node(sink, item, place)),
            Value::Map(entries) => {
                for entry in entries {
                    if has_value(&entry.key) {
                        let message = "${…} stands in values, not in names of fields";
                        sink.fault_at(&entry.node, entry.at, message);
                    }
                    self.fill_node(sink, &mut entry.node, place);
                }
            }
            Value::Text(text) if has_value(text) => {
                let text = std::mem::take(text);
                match self.filled(&text, node.at, place) {
                    Ok(value) => node.value = value,
                    Err(message) => {
                        node.value = Value::Text(text);
                        if let Some(at) = node.at {
                            self.left.borrow_mut().push((at, message.clone()));
                        }
                        if let Some(message) = message {
                            sink.fault(node, message);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// Alone in its text a value keeps its type; within other text it is written out. `$${` is `${`.
    fn filled(&self, text: &str, at: Option<Mark>, place: Option<&str>) -> Result<Value, Option<String>> {
        if let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'))
            && is_name(name)
        {
            return Ok(self.named(name, at, place)?.clone());
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                out.push_str(before);
                out.push_str("${");
                rest = behind;
                continue;
            }
            out.push_str(before);
            let (name, after) = behind
                .split_once('}')
                .filter(|(name, _)| is_name(name))
                .ok_or_else(|| {
                    Some("${ begins the name of a value, as ${name}; write $${ for the text itself".into())
                })?;
            match self.named(name, at, place)? {
                Value::Text(text) => out.push_str(text),
                Value::Number(number) => out.push_str(&number.to_string()),
                Value::Bool(value) => out.push_str(&value.to_string()),
                _ => {
                    let message = format!("${{{name}}} is a list: it stands alone, and not within text");
                    return Err(Some(message));
                }
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(Value::Text(out))
    }

    fn named(&self, name: &str, at: Option<Mark>, place: Option<&str>) -> Result<&Value, Option<String>> {
        let Some(named) = self.by_name.get(name) else {
            // Where the file could not be read, its own fault is told.
            return Err((!self.unknown).then(|| {
                let place = place.unwrap_or("any env/*.yaml, for there is none");
                unknown(&format!("{place} has no value"), name, self.by_name.keys().copied())
            }));
        };
        named.used.set(true);
        if let Some(at) = at {
            self.filled.borrow_mut().push((at, name.to_owned()));
        }
        Ok(&named.value)
    }

    /// Errors for a value of the command line.
    pub fn unused(&self, sink: &Sink) -> Result<(), String> {
        for (name, named) in self.by_name.iter().filter(|(_, named)| !named.used.get()) {
            match named.node {
                Some((node, at)) => {
                    let message = format!("nothing in this environment uses ${{{name}}}");
                    sink.fault_at(node, at, message);
                }
                None => return Err(format!("--set {name}: nothing in this environment uses ${{{name}}}")),
            }
        }
        Ok(())
    }

    /// What is wrong with a text only because its value is missing, which has been told.
    pub fn follows(&self, fault: &Fault) -> bool {
        let left = self.left.borrow();
        let mut of_it = left.iter().filter(|(at, _)| fault.at == Some(*at));
        of_it.any(|(_, message)| message.as_ref() != Some(&fault.message))
    }

    /// A fault of a text that values made says which: `(${shop_host} of env/prod.yaml:3)`.
    pub fn told(&self, fault: &mut Fault, place: Option<&str>) {
        let filled = self.filled.borrow();
        let mut told: Vec<&str> = vec![];
        for (at, name) in filled.iter() {
            if fault.at == Some(*at) && !told.contains(&name.as_str()) {
                told.push(name);
            }
        }
        for name in told {
            let of = match self.by_name.get(name).map(|named| named.node) {
                Some(Some((_, Some(at)))) => format!("{}:{}", place.unwrap_or_default(), at.line()),
                _ => "--set".into(),
            };
            fault.message.push_str(&format!(" (${{{name}}} of {of})"));
        }
    }
}

/// Asked of every text of a policy, and nearly none has a dollar: bytes are looked for before a pair of them is.
fn has_value(text: &str) -> bool {
    text.as_bytes().contains(&b'$') && text.contains("${")
}

fn is_name(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_plain(value: &Value) -> bool {
    match value {
        Value::Text(_) | Value::Number(_) | Value::Bool(_) => true,
        Value::List(items) => items
            .iter()
            .all(|item| matches!(item.value, Value::Text(_) | Value::Number(_) | Value::Bool(_))),
        Value::Null | Value::Map(_) => false,
    }
}

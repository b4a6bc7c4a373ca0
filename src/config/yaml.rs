//! YAML 1.2 to a tree that knows lines and columns, and to JSON. Only the command line reads YAML:
//! what reaches Envoy is one JSON document.

mod scalar;
mod source;

use super::fault::{Fault, Faults, Mark};
use super::node::{Entry, MAX_DEPTH, Node, TOO_DEEP, Value, quoted};
use super::sink::{Sink, duplicates};
use super::{Parsed, advice, document, json, within_limit, write};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};
use source::Source;
use std::borrow::Cow;

/// The text in a bootstrap that stands for the policy.
pub const PLACEHOLDER: &str = "${MESHGATE_POLICY}";

/// As [`super::parse`], from YAML; faults know their lines, and what is likely a mistake is a warning.
pub fn parse(text: &str) -> Result<Parsed, Faults> {
    let root = read(text)?;
    let mut parsed = document::read(&root)?;
    parsed.warnings.extend(advice::of(&root, &parsed.policy));
    Ok(parsed)
}

/// One JSON document, compact, keys in their order: the same text gives the same bytes.
pub fn to_json(text: &str) -> Result<String, Faults> {
    Ok(write::json(&unambiguous(text)?))
}

/// Envoy's bootstrap as JSON, with `policy` as the text where [`PLACEHOLDER`] stands.
pub fn bootstrap(text: &str, policy: &str) -> Result<String, Faults> {
    let mut root = unambiguous(text)?;
    match replace(&mut root, policy) {
        1 => Ok(write::json(&root)),
        0 => Err(Faults::one(format!("no text is exactly {PLACEHOLDER}"), None)),
        count => Err(Faults::one(
            format!("{count} texts are {PLACEHOLDER}, and one can be the policy"),
            None,
        )),
    }
}

fn unambiguous(text: &str) -> Result<Node, Faults> {
    let root = read(text)?;
    let sink = Sink::default();
    duplicates(&root, &sink);
    match sink.is_empty() {
        true => Ok(root),
        false => Err(sink.into_faults(&root)),
    }
}

fn replace(node: &mut Node, policy: &str) -> usize {
    match &mut node.value {
        Value::Text(text) if text == PLACEHOLDER => {
            policy.clone_into(text);
            1
        }
        Value::List(items) => items.iter_mut().map(|item| replace(item, policy)).sum(),
        Value::Map(entries) => entries.iter_mut().map(|e| replace(&mut e.node, policy)).sum(),
        _ => 0,
    }
}

pub(super) fn read(text: &str) -> Result<Node, Faults> {
    within_limit(text.len())?;
    read_yaml(text, 0).map(Node::numbered).or_else(|faults| {
        // JSON that YAML cannot read: tabs before keys, surrogate pairs.
        json::read(text.as_bytes()).map_err(|_| faults)
    })
}

/// The file that `file` counts, not yet numbered.
pub(super) fn read_file(text: &str, file: usize) -> Result<Node, Faults> {
    within_limit(text.len())?;
    read_yaml(text, file)
}

fn read_yaml(text: &str, file: usize) -> Result<Node, Faults> {
    let mut tree = Tree {
        file,
        ..Tree::default()
    };
    for event in Parser::new(Source::new(text)) {
        match event
            .map_err(|error| syntax(&error))
            .and_then(|(event, span)| tree.take(event, span))
        {
            Ok(()) => {}
            Err(mut fault) => {
                fault.at = fault.at.map(|at| Mark::new(file, at.line(), at.column()));
                tree.faults.push(fault);
                break;
            }
        }
    }
    match (tree.root, tree.faults.is_empty()) {
        (Some(root), true) => Ok(root),
        (None, true) => Err(Faults::one("empty document", None)),
        (_, false) => Err(Faults::of(tree.faults)),
    }
}

/// The nodes that are still open, and what YAML allows but a policy does not.
#[derive(Default)]
struct Tree {
    file: usize,
    open: Vec<Open>,
    /// What the open lists and maps hold so far, the innermost last: each is given a vector of just its length
    /// when it closes.
    items: Vec<Node>,
    entries: Vec<Entry>,
    root: Option<Node>,
    faults: Vec<Fault>,
}

struct Open {
    at: Mark,
    inside: Inside,
}

enum Inside {
    /// From where on the items are its own.
    List(usize),
    /// The same of the entries, and the key whose value comes next.
    Map(usize, Option<(String, Mark)>),
}

impl Tree {
    /// Errors end the reading; the rest goes to `faults`.
    fn take(&mut self, event: Event, span: Span) -> Result<(), Fault> {
        let at = mark(self.file, &span.start);
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                return Err(fault("a second document: a policy is one", at));
            }
            Event::Alias(_) => {
                return Err(fault("aliases are not read: write the value out", at));
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.plainly(anchor, tag.is_some(), at);
                self.scalar(text, style, at)?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.plainly(anchor, tag.is_some(), at);
                self.open(Inside::List(self.items.len()), at)?;
            }
            Event::MappingStart(anchor, tag) => {
                self.plainly(anchor, tag.is_some(), at);
                self.open(Inside::Map(self.entries.len(), None), at)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            _ => {}
        }
        Ok(())
    }

    /// An anchor is half of an alias, and a tag would say another type than is written.
    fn plainly(&mut self, anchor: usize, tagged: bool, at: Mark) {
        if anchor > 0 {
            self.faults.push(fault("anchors are not read: write the value out", at));
        }
        if tagged {
            self.faults.push(fault("tags are not read", at));
        }
    }

    fn scalar(&mut self, text: Cow<str>, style: ScalarStyle, at: Mark) -> Result<(), Fault> {
        let resolved = match style {
            ScalarStyle::Plain => scalar::resolve(&text).map_err(|message| fault(message, at))?,
            _ => None,
        };
        if let Some(Open {
            inside: Inside::Map(_, key @ None),
            ..
        }) = self.open.last_mut()
        {
            if style == ScalarStyle::Plain && text == "<<" {
                self.faults
                    .push(fault("merge keys are not read: write the fields out", at));
            } else if resolved.is_some() {
                let message = format!("{} as a key is no text: put it in quotes", quoted(&text));
                self.faults.push(fault(message, at));
            }
            *key = Some((text.into_owned(), at));
            return Ok(());
        }
        let value = resolved.unwrap_or_else(|| Value::Text(text.into_owned()));
        self.add(Node::new(value, Some(at)));
        Ok(())
    }

    fn open(&mut self, inside: Inside, at: Mark) -> Result<(), Fault> {
        if let Some(Open {
            inside: Inside::Map(_, None),
            ..
        }) = self.open.last()
        {
            return Err(fault("a list or an object as a key", at));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(fault(TOO_DEEP, at));
        }
        self.open.push(Open { at, inside });
        Ok(())
    }

    fn close(&mut self) {
        if let Some(Open { at, inside }) = self.open.pop() {
            let value = match inside {
                Inside::List(from) => Value::List(self.items.drain(from..).collect()),
                Inside::Map(from, _) => Value::Map(self.entries.drain(from..).collect()),
            };
            self.add(Node::new(value, Some(at)));
        }
    }

    fn add(&mut self, node: Node) {
        match self.open.last_mut().map(|open| &mut open.inside) {
            Some(Inside::List(_)) => self.items.push(node),
            Some(Inside::Map(_, key)) => {
                if let Some((key, at)) = key.take() {
                    self.entries.push(Entry {
                        key,
                        at: Some(at),
                        node,
                    });
                }
            }
            None => self.root = Some(node),
        }
    }
}

fn syntax(error: &ScanError) -> Fault {
    let remedy = match error.info().contains("unknown anchor") {
        true => ": a value that begins with * stands in quotes",
        false => "",
    };
    fault(format!("not YAML: {}{remedy}", error.info()), mark(0, error.marker()))
}

fn fault(message: impl Into<String>, at: Mark) -> Fault {
    Fault {
        path: String::new(),
        message: message.into(),
        at: Some(at),
    }
}

fn mark(file: usize, marker: &Marker) -> Mark {
    Mark::new(file, marker.line(), marker.col() + 1)
}

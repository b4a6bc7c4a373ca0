//! A document as a tree, before anything is known of its meaning.

use super::fault::Mark;
use std::fmt::Write as _;

/// Deeper than any policy or bootstrap, and recursion over a tree stays within a small stack.
pub const MAX_DEPTH: usize = 64;
pub const TOO_DEEP: &str = "nested deeper than 64 levels";

#[derive(Debug)]
#[cfg_attr(feature = "cli", derive(Clone))]
pub struct Node {
    /// Position in the order of the document: faults carry it, paths are looked up by it.
    pub id: u32,
    pub at: Option<Mark>,
    pub value: Value,
}

#[derive(Debug)]
#[cfg_attr(feature = "cli", derive(Clone))]
pub enum Value {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Node>),
    /// In the order of the text; duplicates are still here.
    Map(Vec<Entry>),
}

#[derive(Debug)]
#[cfg_attr(feature = "cli", derive(Clone))]
pub struct Entry {
    pub key: String,
    pub at: Option<Mark>,
    pub node: Node,
}

impl Node {
    pub fn new(value: Value, at: Option<Mark>) -> Self {
        Self { id: 0, at, value }
    }

    /// Gives every node its `id`; a tree is numbered once, when it is whole.
    pub fn numbered(mut self) -> Self {
        self.number(&mut 0);
        self
    }

    fn number(&mut self, next: &mut u32) {
        self.id = *next;
        *next = next.saturating_add(1);
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.number(next)),
            Value::Map(entries) => entries.iter_mut().for_each(|e| e.node.number(next)),
            _ => {}
        }
    }

    /// As a message shows it: `the number 5`, `"text"`, `a list`.
    pub fn shown(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Bool(value) => value.to_string(),
            Value::Number(value) => format!("the number {value}"),
            Value::Text(text) => quoted(text),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "an object".into(),
        }
    }

    /// The first of that name, of an object.
    pub fn field(&self, name: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        let entry = entries.iter().find(|entry| entry.key == name)?;
        Some(&entry.node)
    }

    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Cut where a long value would drown the message.
pub fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// The paths of the nodes whose ids are in `wanted`, which is sorted and without duplicates.
pub fn paths(root: &Node, wanted: &[u32]) -> Vec<(u32, String)> {
    let mut search = Search {
        wanted,
        found: Vec::with_capacity(wanted.len()),
    };
    search.visit(root, &mut String::new());
    search.found
}

struct Search<'a> {
    wanted: &'a [u32],
    found: Vec<(u32, String)>,
}

impl Search<'_> {
    fn visit(&mut self, node: &Node, path: &mut String) {
        if let Some((next, rest)) = self.wanted.split_first()
            && *next == node.id
        {
            self.found.push((node.id, named(path, node)));
            self.wanted = rest;
        }
        if self.wanted.is_empty() {
            return;
        }
        let length = path.len();
        match &node.value {
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    write!(path, "[{index}]").unwrap_or_default();
                    self.visit(item, path);
                    path.truncate(length);
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    push_key(path, &entry.key);
                    self.visit(&entry.node, path);
                    path.truncate(length);
                }
            }
            _ => {}
        }
    }
}

/// `rules[3] (orders)`: an element of a list is easier found by its name.
fn named(path: &str, node: &Node) -> String {
    let name = match &node.value {
        Value::Map(entries) if path.ends_with(']') => entries
            .iter()
            .find(|entry| entry.key == "name")
            .and_then(|entry| entry.node.text())
            .filter(|name| name.len() <= 64 && name.chars().all(|c| c.is_ascii_graphic())),
        _ => None,
    };
    match name {
        Some(name) => format!("{path} ({name})"),
        None => path.to_owned(),
    }
}

fn push_key(path: &mut String, key: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-/".contains(c);
    if key.is_empty() || key.len() > 64 || !key.chars().all(plain) {
        write!(path, "[{}]", quoted(key)).unwrap_or_default();
        return;
    }
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}

//! Where faults go: decoding does not stop at the first.

use super::fault::{Fault, Faults, Mark};
use super::node::{Node, Value, paths, quoted};
use super::suggest;
use std::cell::Cell;
use std::collections::HashSet;

/// More are counted, not kept: a megabyte of nonsense gives a readable log.
const KEPT: usize = 1000;

/// Proof that a fault was recorded. Only [`Sink`] makes it, so a value that is missing without a
/// fault, which would open what the operator closed, does not compile.
#[derive(Clone, Copy, Debug)]
pub struct Faulted(());

pub type Checked<T> = Result<T, Faulted>;

#[derive(Default)]
pub struct Sink {
    found: Cell<Vec<Found>>,
    beyond: Cell<usize>,
    #[cfg(feature = "cli")]
    pub(super) notes: super::expected::Notes,
}

struct Found {
    node: u32,
    at: Option<Mark>,
    message: String,
}

impl Sink {
    pub fn fault(&self, node: &Node, message: impl Into<String>) -> Faulted {
        self.fault_at(node, node.at, message)
    }

    /// Under the path of `node`, at another place of the text.
    pub fn fault_at(&self, node: &Node, at: Option<Mark>, message: impl Into<String>) -> Faulted {
        let mut found = self.found.take();
        if found.len() < KEPT {
            // In the order of the document, those of one node as they came.
            let place = found.partition_point(|known| known.node <= node.id);
            found.insert(
                place,
                Found {
                    node: node.id,
                    at,
                    message: message.into(),
                },
            );
        } else {
            self.beyond.set(self.beyond.get().saturating_add(1));
        }
        self.found.set(found);
        Faulted(())
    }

    /// `: did you mean X?`, or nothing.
    pub fn hint<'a>(&self, name: &str, candidates: impl Iterator<Item = &'a str>) -> String {
        if self.beyond.get() > 0 {
            return String::new();
        }
        suggest::hint(name, candidates)
    }

    /// What was found, in the order of the document, each once.
    pub fn located(self, root: &Node) -> Vec<Fault> {
        let mut found: Vec<Found> = Vec::new();
        for one in self.found.take() {
            let mut of_node = found.iter().rev().take_while(|known| known.node == one.node);
            if of_node.all(|known| known.message != one.message) {
                found.push(one);
            }
        }
        let mut wanted: Vec<u32> = found.iter().map(|found| found.node).collect();
        wanted.dedup();
        let mut paths = paths(root, &wanted).into_iter().peekable();
        let mut faults: Vec<Fault> = Vec::with_capacity(found.len());
        let mut path = String::new();
        for found in found {
            while let Some((_, next)) = paths.next_if(|(id, _)| *id <= found.node) {
                path = next;
            }
            faults.push(Fault {
                path: path.clone(),
                message: found.message,
                at: found.at,
            });
        }
        self.beyond(faults)
    }

    pub fn into_faults(self, root: &Node) -> Faults {
        Faults::of(self.located(root))
    }

    /// What is wrong with a node itself.
    #[cfg(feature = "cli")]
    pub fn messages_of(&self, node: u32) -> Vec<String> {
        let found = self.found.take();
        let of_node = found.iter().filter(|found| found.node == node);
        let messages = of_node.map(|found| found.message.clone()).collect();
        self.found.set(found);
        messages
    }

    pub fn is_empty(&self) -> bool {
        let found = self.found.take();
        let empty = found.is_empty();
        self.found.set(found);
        empty
    }

    fn beyond(&self, mut faults: Vec<Fault>) -> Vec<Fault> {
        match self.beyond.get() {
            0 => {}
            count => faults.push(Fault {
                path: String::new(),
                message: format!("and {count} more"),
                at: None,
            }),
        }
        faults
    }
}

/// Of fewer keys each is compared with each, which is quicker than a table of them.
const FEW: usize = 16;

/// A key that stands twice in one object, anywhere: which of the two holds differs between parsers.
pub fn duplicates(node: &Node, sink: &Sink) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| duplicates(item, sink)),
        Value::Map(entries) => {
            let mut seen = HashSet::new();
            for (position, entry) in entries.iter().enumerate() {
                let twice = match entries.len() < FEW {
                    true => entries.iter().take(position).any(|earlier| earlier.key == entry.key),
                    false => !seen.insert(entry.key.as_str()),
                };
                if twice {
                    let message = format!("duplicate field {}", quoted(&entry.key));
                    sink.fault_at(node, entry.at.or(node.at), message);
                }
                duplicates(&entry.node, sink);
            }
        }
        _ => {}
    }
}

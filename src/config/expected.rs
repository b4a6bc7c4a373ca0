//! What the decoder expects where, noted while it reads. The schema for editors is made of these notes, so it says what
//! the decoder does and cannot drift from it. Only the command line notes: the module has none of this.

use super::node::Node;
use super::sink::Sink;
use std::cell::RefCell;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// An object of these fields, and no others.
    Fields(&'static [&'static str]),
    /// A field without which the object has a fault.
    Required(String),
    /// One of these texts.
    Words(Vec<String>),
    /// `true` or `false`
    Flag,
    /// From, to.
    Whole(u64, u64),
    Duration,
    Size,
}

/// By the number of the node.
#[derive(Default)]
pub struct Notes(RefCell<Option<Vec<(u32, Expected)>>>);

impl Sink {
    /// From now on what is expected is noted.
    pub fn noting(self) -> Self {
        *self.notes.0.borrow_mut() = Some(vec![]);
        self
    }

    pub fn note(&self, node: &Node, expected: impl FnOnce() -> Expected) {
        if let Some(notes) = self.notes.0.borrow_mut().as_mut() {
            notes.push((node.id, expected()));
        }
    }

    /// What was expected of a node.
    pub fn noted(&self, node: u32) -> Vec<Expected> {
        let notes = self.notes.0.borrow();
        let of_node = notes.iter().flatten().filter(|(of, _)| *of == node);
        of_node.map(|(_, expected)| expected.clone()).collect()
    }
}

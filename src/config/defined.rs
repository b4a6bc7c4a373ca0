//! What a policy defines by name, and rules list.

use super::node::{Entry, Node, quoted};
use super::sink::{Checked, Faulted, Sink};
use std::sync::Arc;

/// One with faults is known, too.
pub struct Defined<'a, T> {
    /// What one of them is called in messages.
    what: &'static str,
    entries: Vec<(&'a Entry, Checked<Arc<T>>)>,
    /// None could be read: no name is unknown.
    faulted: Option<Faulted>,
}

impl<'a, T> Defined<'a, T> {
    /// At most so many, for that reason.
    pub fn read(
        sink: &Sink,
        node: Option<&'a Node>,
        (what, most, why): (&'static str, usize, &str),
        one: impl Fn(&'a Entry) -> Checked<Arc<T>>,
    ) -> Self {
        let entries = node.map_or(Ok(&[][..]), |node| {
            sink.at_most(node, most, why)?;
            sink.entries(node)
        });
        let defined = entries.unwrap_or_default().iter();
        Self {
            what,
            entries: defined.map(|entry| (entry, one(entry))).collect(),
            faulted: entries.err(),
        }
    }

    /// In the order of the policy.
    pub fn iter(&self) -> std::slice::Iter<'_, (&'a Entry, Checked<Arc<T>>)> {
        self.entries.iter()
    }

    /// Those that a rule lists. `asks`: somebody may be known there, which those have to be that go by the caller.
    pub fn listed(
        &self,
        sink: &Sink,
        node: &Node,
        asks: bool,
        goes_by_caller: impl Fn(&T) -> bool,
    ) -> Checked<Vec<Arc<T>>> {
        let names = sink.distinct(node, |item| {
            let name = sink.text(item)?;
            let found = self.find(name).ok_or_else(|| self.unknown(sink, item, name))?;
            match found {
                Ok(found) if !asks && goes_by_caller(found) => {
                    let name = quoted(name);
                    let message = format!("{name} goes by the caller, and authenticate: none asks for none");
                    Err(sink.fault(item, message))
                }
                known => known.as_ref().map(|_| name).map_err(|faulted| *faulted),
            }
        })?;
        let found = names.into_iter().filter_map(|name| self.find(name)?.as_ref().ok());
        Ok(found.cloned().collect())
    }

    fn find(&self, name: &str) -> Option<&Checked<Arc<T>>> {
        let found = self.entries.iter().find(|(entry, _)| entry.key == name)?;
        Some(&found.1)
    }

    fn unknown(&self, sink: &Sink, node: &Node, name: &str) -> Faulted {
        if let Some(faulted) = self.faulted {
            return faulted;
        }
        let hint = sink.hint(name, self.entries.iter().map(|(entry, _)| entry.key.as_str()));
        sink.fault(node, format!("no {} is named {}{hint}", self.what, quoted(name)))
    }
}

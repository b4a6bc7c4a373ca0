//! Any JSON, by way of serde.

use super::{Document, JsonFault, Node};
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeSet;
use std::fmt;

pub fn read(bytes: &[u8], max_depth: usize) -> Result<Document, JsonFault> {
    let mut document = Document::default();
    let mut fault = JsonFault::Syntax;
    let level = Level {
        below: max_depth,
        document: &mut document,
        fault: &mut fault,
    };
    let mut source = serde_json::Deserializer::from_slice(bytes);
    let read = level.deserialize(&mut source).and_then(|()| source.end());
    read.map(|()| document).map_err(|_| fault)
}

/// What may still follow; `fault` carries out what serde's error would only say in words.
struct Level<'f> {
    below: usize,
    document: &'f mut Document,
    fault: &'f mut JsonFault,
}

impl Level<'_> {
    fn below(&mut self) -> Level<'_> {
        Level {
            below: self.below,
            document: self.document,
            fault: self.fault,
        }
    }

    /// One level down; its own node is put in by [`Level::close`].
    fn open<E: Error>(&mut self) -> Result<usize, E> {
        match self.below.checked_sub(1) {
            Some(below) => self.below = below,
            None => return Err(self.fail(JsonFault::TooDeep)),
        }
        self.push(Node::Null);
        Ok(self.document.nodes.len() - 1)
    }

    fn close(self, own: usize, node: impl FnOnce(usize) -> Node) {
        let end = self.document.nodes.len();
        if let Some(opened) = self.document.nodes.get_mut(own) {
            *opened = node(end);
        }
    }

    fn push(&mut self, node: Node) {
        self.document.nodes.push(node);
    }

    fn text(&mut self, text: &str) {
        let texts = &mut self.document.texts;
        let from = texts.len();
        texts.push_str(text);
        let to = texts.len();
        self.push(Node::Text { from, to });
    }

    fn fail<E: Error>(&mut self, fault: JsonFault) -> E {
        *self.fault = fault;
        E::custom("")
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(mut self) -> Result<(), E> {
        self.push(Node::Null);
        Ok(())
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<(), E> {
        self.push(Node::Bool(value));
        Ok(())
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<(), E> {
        self.push(Node::Number(value.into()));
        Ok(())
    }

    fn visit_u64<E: Error>(mut self, value: u64) -> Result<(), E> {
        self.push(Node::Number(value.into()));
        Ok(())
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<(), E> {
        match serde_json::Number::from_f64(value) {
            Some(number) => self.push(Node::Number(number)),
            None => return Err(self.fail(JsonFault::Syntax)),
        }
        Ok(())
    }

    fn visit_str<E: Error>(mut self, value: &str) -> Result<(), E> {
        self.text(value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut source: A) -> Result<(), A::Error> {
        let own = self.open()?;
        while source.next_element_seed(self.below())?.is_some() {}
        self.close(own, |end| Node::List { end });
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut source: A) -> Result<(), A::Error> {
        let own = self.open()?;
        let mut names = BTreeSet::new();
        while let Some(name) = source.next_key::<String>()? {
            self.text(&name);
            source.next_value_seed(self.below())?;
            if !names.insert(name) {
                return Err(self.fail(JsonFault::Duplicate));
            }
        }
        self.close(own, |end| Node::Object { end });
        Ok(())
    }
}

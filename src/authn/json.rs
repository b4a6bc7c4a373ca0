//! JSON that somebody else wrote: it has one meaning, or it is refused.

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

/// A JSON value whose objects name each member once.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Json>),
    Object(Object),
}

pub type Object = BTreeMap<String, Json>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonFault {
    /// Not JSON (RFC 8259), not UTF-8, or a number that no double holds.
    Syntax,
    /// Two readers could each take another of the two (RFC 8259 section 4 leaves it open).
    Duplicate,
    TooDeep,
}

/// `max_depth`: levels of lists and objects.
pub fn read(bytes: &[u8], max_depth: usize) -> Result<Json, JsonFault> {
    let fault = Cell::new(JsonFault::Syntax);
    let level = Level {
        below: max_depth,
        fault: &fault,
    };
    let mut source = serde_json::Deserializer::from_slice(bytes);
    let read = level
        .deserialize(&mut source)
        .and_then(|value| source.end().map(|()| value));
    read.map_err(|_| fault.get())
}

impl Json {
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// What may still follow; `fault` carries out what serde's error would only say in words.
#[derive(Clone, Copy)]
struct Level<'f> {
    below: usize,
    fault: &'f Cell<JsonFault>,
}

impl Level<'_> {
    fn below<E: Error>(self) -> Result<Self, E> {
        match self.below.checked_sub(1) {
            Some(below) => Ok(Self { below, ..self }),
            None => Err(self.fail(JsonFault::TooDeep)),
        }
    }

    fn fail<E: Error>(self, fault: JsonFault) -> E {
        self.fault.set(fault);
        E::custom("")
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = Json;

    fn deserialize<D: serde::Deserializer<'de>>(self, source: D) -> Result<Json, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        let number = serde_json::Number::from_f64(value);
        number.map(Json::Number).ok_or_else(|| self.fail(JsonFault::Syntax))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<Json, A::Error> {
        let below = self.below()?;
        let mut items = Vec::new();
        while let Some(item) = source.next_element_seed(below)? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Json, A::Error> {
        let below = self.below()?;
        let mut members = Object::new();
        while let Some(name) = source.next_key::<String>()? {
            let value = source.next_value_seed(below)?;
            if members.insert(name, value).is_some() {
                return Err(self.fail(JsonFault::Duplicate));
            }
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, fault: JsonFault) {
        assert_eq!(read(text.as_bytes(), 3), Err(fault), "{text}");
    }

    #[test]
    fn one_meaning_or_none() {
        refused(r#"{"a":1,"a":1}"#, JsonFault::Duplicate);
        refused(r#"{"a":1,"\u0061":2}"#, JsonFault::Duplicate);
        refused(r#"{"b":[{"a":1,"a":2}]}"#, JsonFault::Duplicate);
        refused("[[[[]]]]", JsonFault::TooDeep);
        for text in [
            "",
            "{",
            "{} {}",
            "1e400",
            "NaN",
            "{a:1}",
            "\u{feff}{}",
            r#""\ud800""#,
            "[1,]",
        ] {
            refused(text, JsonFault::Syntax);
        }
        assert_eq!(read(b"\"\xff\"", 3), Err(JsonFault::Syntax));
        assert!(read(b" [[[1]]] ", 3).is_ok());
    }
}

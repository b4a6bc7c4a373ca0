//! JSON that somebody else wrote: it has one meaning, or it is refused.

mod full;
mod plain;

use std::collections::BTreeMap;

/// A JSON text whose objects name each member once. Kept flat, so that reading it costs two allocations however many
/// values it holds.
#[derive(Debug, Default)]
pub struct Document {
    /// Where names and texts stand.
    texts: String,
    /// In the order of the text: behind a list its elements, behind an object name and value of each member.
    nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
enum Node {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text {
        from: usize,
        to: usize,
    },
    /// `end`: where the first node stands that is not in it.
    List {
        end: usize,
    },
    Object {
        end: usize,
    },
}

/// One value of a document.
#[derive(Clone, Copy, Debug)]
pub enum Json<'d> {
    Null,
    Bool(bool),
    Number(&'d serde_json::Number),
    Text(&'d str),
    List(List<'d>),
    Object(Object<'d>),
}

#[derive(Clone, Copy, Debug)]
pub struct List<'d>(Within<'d>);

#[derive(Clone, Copy, Debug)]
pub struct Object<'d>(Within<'d>);

/// The nodes of a list or an object.
#[derive(Clone, Copy, Debug)]
struct Within<'d> {
    document: &'d Document,
    from: usize,
    end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonFault {
    /// Not JSON (RFC 8259), not UTF-8, or a number that no double holds.
    Syntax,
    /// Two readers could each take another of the two (RFC 8259 section 4 leaves it open).
    Duplicate,
    TooDeep,
}

/// `max_depth`: levels of lists and objects.
pub fn read(bytes: Vec<u8>, max_depth: usize) -> Result<Document, JsonFault> {
    match plain::nodes(&bytes, max_depth) {
        Some(nodes) => match String::from_utf8(bytes) {
            Ok(texts) => Ok(Document { texts, nodes }),
            Err(error) => full::read(error.as_bytes(), max_depth),
        },
        None => full::read(&bytes, max_depth),
    }
}

impl Document {
    pub fn value(&self) -> Json<'_> {
        self.at(0)
    }

    /// Of the object that it is; anything else has none.
    pub fn members(&self) -> Object<'_> {
        match self.value() {
            Json::Object(object) => object,
            _ => Object(Within {
                document: self,
                from: 0,
                end: 0,
            }),
        }
    }

    fn at(&self, place: usize) -> Json<'_> {
        let within = |end| Within {
            document: self,
            from: place + 1,
            end,
        };
        match self.nodes.get(place) {
            None | Some(Node::Null) => Json::Null,
            Some(Node::Bool(value)) => Json::Bool(*value),
            Some(Node::Number(number)) => Json::Number(number),
            Some(Node::Text { from, to }) => Json::Text(self.texts.get(*from..*to).unwrap_or_default()),
            Some(Node::List { end }) => Json::List(List(within(*end))),
            Some(Node::Object { end }) => Json::Object(Object(within(*end))),
        }
    }
}

impl<'d> Json<'d> {
    pub fn text(self) -> Option<&'d str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl<'d> List<'d> {
    pub fn iter(self) -> impl Iterator<Item = Json<'d>> {
        let Within { document, from, end } = self.0;
        places(&document.nodes, from, end).map(|place| document.at(place))
    }
}

impl<'d> Object<'d> {
    pub fn get(self, name: &str) -> Option<Json<'d>> {
        let Within { document, from, end } = self.0;
        let place = member(&document.nodes, document.texts.as_bytes(), (from, end), name.as_bytes())?;
        Some(document.at(place))
    }

    /// Its members by name.
    pub fn sorted(self) -> BTreeMap<&'d str, Json<'d>> {
        let Within { document, from, end } = self.0;
        let mut members = BTreeMap::new();
        let mut places = places(&document.nodes, from, end);
        while let (Some(name), Some(value)) = (places.next(), places.next()) {
            members.insert(document.at(name).text().unwrap_or_default(), document.at(value));
        }
        members
    }
}

/// Of the values that stand in a list or an object, without those in them.
fn places(nodes: &[Node], from: usize, end: usize) -> impl Iterator<Item = usize> {
    let mut next = from;
    std::iter::from_fn(move || {
        let place = next;
        next = behind(nodes, place).filter(|_| place < end)?;
        Some(place)
    })
}

/// The value of the member of that name.
fn member(nodes: &[Node], texts: &[u8], (from, end): (usize, usize), name: &[u8]) -> Option<usize> {
    let mut next = from;
    while next < end {
        let place = next + 1;
        // Most names are told apart by their length.
        if let Some(Node::Text { from, to }) = nodes.get(next)
            && to - from == name.len()
            && texts.get(*from..*to) == Some(name)
        {
            return Some(place);
        }
        next = behind(nodes, place)?;
    }
    None
}

/// Where the node stands that follows a value and all that is in it.
#[inline]
fn behind(nodes: &[Node], place: usize) -> Option<usize> {
    Some(match nodes.get(place)? {
        Node::List { end } | Node::Object { end } => *end,
        _ => place + 1,
    })
}

#[cfg(test)]
mod tests;

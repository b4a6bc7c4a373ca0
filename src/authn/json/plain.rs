//! The JSON that nearly every token is: texts without escapes, whole numbers, few members.

use super::{Node, member};

/// More are looked through by a reader with an index.
const MAX_MEMBERS: usize = 32;
/// As many as any u64 holds.
const MAX_DIGITS: usize = 19;

/// None: there is more to it, or it is no JSON; [`super::full`] tells. Whether `bytes` are UTF-8 is left to the caller.
pub fn nodes(bytes: &[u8], max_depth: usize) -> Option<Vec<Node>> {
    let mut reader = Reader {
        bytes,
        at: 0,
        // A header has three members, claims have eight or so.
        nodes: Vec::with_capacity(24),
    };
    reader.value(max_depth)?;
    match reader.peek() {
        None => Some(reader.nodes),
        Some(_) => None,
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    nodes: Vec<Node>,
}

impl Reader<'_> {
    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at)? {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                byte => return Some(*byte),
            }
        }
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn value(&mut self, below: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.text(),
            b'0'..=b'9' => self.number(),
            b'{' => self.object(below.checked_sub(1)?),
            b'[' => self.list(below.checked_sub(1)?),
            b'n' => self.word(b"null", Node::Null),
            b't' => self.word(b"true", Node::Bool(true)),
            b'f' => self.word(b"false", Node::Bool(false)),
            _ => None,
        }
    }

    fn object(&mut self, below: usize) -> Option<()> {
        let own = self.open();
        if self.peek()? == b'}' {
            self.at += 1;
            return self.close(own, |end| Node::Object { end });
        }
        let (mut count, mut met) = (0, 0_u64);
        loop {
            let place = self.nodes.len();
            self.peek()?;
            self.text()?;
            count += 1;
            let mark = self.mark(place)?;
            if count > MAX_MEMBERS || (met & mark != 0 && self.is_named(own, place)) {
                return None;
            }
            met |= mark;
            if self.next()? != b':' {
                return None;
            }
            self.value(below)?;
            match self.next()? {
                b',' => {}
                b'}' => return self.close(own, |end| Node::Object { end }),
                _ => return None,
            }
        }
    }

    fn list(&mut self, below: usize) -> Option<()> {
        let own = self.open();
        if self.peek()? == b']' {
            self.at += 1;
            return self.close(own, |end| Node::List { end });
        }
        loop {
            self.value(below)?;
            match self.next()? {
                b',' => {}
                b']' => return self.close(own, |end| Node::List { end }),
                _ => return None,
            }
        }
    }

    /// Behind its bracket.
    fn open(&mut self) -> usize {
        self.at += 1;
        self.nodes.push(Node::Null);
        self.nodes.len() - 1
    }

    fn close(&mut self, own: usize, node: impl FnOnce(usize) -> Node) -> Option<()> {
        let end = self.nodes.len();
        *self.nodes.get_mut(own)? = node(end);
        Some(())
    }

    fn name(&self, place: usize) -> Option<&[u8]> {
        match self.nodes.get(place)? {
            Node::Text { from, to } => self.bytes.get(*from..*to),
            _ => None,
        }
    }

    /// One of 64 bits: names that share none are two.
    fn mark(&self, place: usize) -> Option<u64> {
        let name = self.name(place)?;
        let byte = |byte: Option<&u8>| byte.map_or(0, |byte| u32::from(*byte));
        let mix = name.len() as u32 * 5 + byte(name.first()) * 3 + byte(name.last());
        Some(1 << (mix & 63))
    }

    /// Whether an earlier member of the object at `own` has the name that stands at `place`.
    fn is_named(&self, own: usize, place: usize) -> bool {
        let earlier = |name| member(&self.nodes, self.bytes, (own + 1, place), name);
        self.name(place).and_then(earlier).is_some()
    }

    fn text(&mut self) -> Option<()> {
        let rest = self.bytes.get(self.at..)?.strip_prefix(b"\"")?;
        let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
        if rest.get(length) != Some(&b'"') {
            return None;
        }
        let (from, to) = (self.at + 1, self.at + 1 + length);
        self.nodes.push(Node::Text { from, to });
        self.at = to + 1;
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let rest = self.bytes.get(self.at..)?;
        let mut number = 0_u64;
        let mut length = 0;
        for byte in rest {
            match byte {
                b'0'..=b'9' => number = number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')),
                b'.' | b'e' | b'E' => return None,
                _ => break,
            }
            length += 1;
        }
        if length > MAX_DIGITS || (length > 1 && rest.first() == Some(&b'0')) {
            return None;
        }
        self.nodes.push(Node::Number(number.into()));
        self.at += length;
        Some(())
    }

    fn word(&mut self, word: &[u8], node: Node) -> Option<()> {
        self.bytes.get(self.at..)?.strip_prefix(word)?;
        self.nodes.push(node);
        self.at += word.len();
        Some(())
    }
}

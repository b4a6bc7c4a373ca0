//! The headers of one message, read once.

use super::folds_alike;
use super::tag::{Marks, Tag};
use std::ops::Range;

/// Names and values in the order received, duplicates kept apart, bytes as they came. Owned, so
/// that a request can wait for an answer; one buffer, so that reading it costs two allocations.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    /// The [`Tag::bit`]s of all names: whoever asks for one that is absent mostly need not look further.
    bits: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Span {
    name_start: u32,
    name_len: u32,
    value_start: u32,
    value_len: u32,
    tag: Tag,
}

impl Headers {
    /// The proxy-wasm serialisation of a header map: a count, the lengths of each name and value
    /// (all 32 bits, little endian), then names and values, each closed by a zero byte.
    /// None where the lengths do not fit the bytes.
    pub fn from_pairs(bytes: Vec<u8>) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        // So that every place in it is one of 32 bits.
        let size = u32::try_from(bytes.len()).ok()?;
        let (count, rest) = bytes.split_first_chunk::<4>()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (lengths, texts) = rest.split_at_checked(count.checked_mul(8)?)?;
        let lengths = lengths.as_chunks::<8>().0.iter().map(|[a, b, c, d, e, f, g, h]| {
            (
                u32::from_le_bytes([*a, *b, *c, *d]),
                u32::from_le_bytes([*e, *f, *g, *h]),
            )
        });
        // Of 64 bits, so that what does not fit 32 shows, and does not wrap.
        let sizes = lengths
            .clone()
            .map(|(name, value)| u64::from(name) + u64::from(value) + 2);
        if sizes.sum::<u64>() > texts.len() as u64 {
            return None;
        }
        let (mut bits, mut at) = (0, size - texts.len() as u32);
        let spans = lengths.map(|(name_len, value_len)| {
            let (name_start, value_start) = (at, at + name_len + 1);
            at = value_start + value_len + 1;
            let name = bytes.get(name_start as usize..value_start as usize - 1);
            let tag = Tag::of(name.unwrap_or_default());
            bits |= tag.bit();
            Span {
                name_start,
                name_len,
                value_start,
                value_len,
                tag,
            }
        });
        let spans = spans.collect();
        Some(Self { bytes, spans, bits })
    }

    pub fn with_capacity(headers: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            spans: Vec::with_capacity(headers),
            bits: 0,
        }
    }

    /// `value` in pieces, so that nobody has to join them first.
    pub fn push(&mut self, name: &[u8], value: &[&[u8]]) {
        let mut add = |pieces: &[&[u8]]| {
            let start = self.bytes.len();
            for piece in pieces {
                self.bytes.extend_from_slice(piece);
            }
            (start as u32, (self.bytes.len() - start) as u32)
        };
        let ((name_start, name_len), (value_start, value_len)) = (add(&[name]), add(value));
        let tag = Tag::of(name);
        self.bits |= tag.bit();
        self.spans.push(Span {
            name_start,
            name_len,
            value_start,
            value_len,
            tag,
        });
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> + Clone {
        self.spans.iter().map(|span| (self.name(span), self.value(span)))
    }

    /// Those that a set with these marks may hold, in order.
    pub fn marked<'a>(&'a self, marks: &'a Marks) -> Marked<'a> {
        Marked {
            headers: self,
            spans: self.spans.iter(),
            marks,
        }
    }

    /// Every value under exactly this name, which hosts give in lower case.
    pub fn all<'h, 'n>(&'h self, name: &'n str) -> Values<'h, 'n> {
        self.values(name.as_bytes())
    }

    /// Names that are this one once folded, as they stand.
    pub fn alike<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        let name = name.as_bytes();
        let Values { spans, tag, .. } = self.values(name);
        spans
            .filter(move |span| span.tag == tag)
            .map(|span| self.name(span))
            .filter(move |other| folds_alike(other, name))
    }

    pub fn has(&self, name: &[u8]) -> bool {
        self.values(name).next().is_some()
    }

    fn values<'h, 'n>(&'h self, name: &'n [u8]) -> Values<'h, 'n> {
        let tag = Tag::of(name);
        let spans = match self.bits & tag.bit() {
            0 => &[],
            _ => self.spans.as_slice(),
        };
        Values {
            headers: self,
            spans: spans.iter(),
            name,
            tag,
        }
    }

    /// The first value, for names that cannot stand twice or where the first is meant.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The value, when exactly one entry carries this name.
    pub fn only(&self, name: &str) -> Option<&[u8]> {
        let mut all = self.all(name);
        let first = all.next()?;
        all.next().is_none().then_some(first)
    }

    /// Where a value of these headers, or a part of one, stands: for who keeps it beyond the borrow.
    pub fn place(&self, value: &[u8]) -> Option<Range<usize>> {
        let start = value.as_ptr().addr().checked_sub(self.bytes.as_ptr().addr())?;
        let end = start.checked_add(value.len())?;
        (end <= self.bytes.len()).then_some(start..end)
    }

    /// What stands at a [`Self::place`].
    pub fn at(&self, place: &Range<usize>) -> &[u8] {
        self.bytes.get(place.start..place.end).unwrap_or_default()
    }

    pub fn len(&self) -> usize {
        self.spans.len()
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// All of them as text, where they are UTF-8: looked at in one piece, as they lie.
    pub fn texts(&self) -> Option<Vec<(&str, &str)>> {
        let bytes = std::str::from_utf8(&self.bytes).ok()?;
        let text = |start: u32, len: u32| bytes.get(start as usize..start as usize + len as usize);
        let mut texts = Vec::with_capacity(self.spans.len());
        for span in &self.spans {
            let name = text(span.name_start, span.name_len)?;
            texts.push((name, text(span.value_start, span.value_len)?));
        }
        Some(texts)
    }

    fn name(&self, span: &Span) -> &[u8] {
        self.slice(span.name_start, span.name_len)
    }

    fn value(&self, span: &Span) -> &[u8] {
        self.slice(span.value_start, span.value_len)
    }

    fn slice(&self, start: u32, len: u32) -> &[u8] {
        // Checked when the spans were made; u32 fits usize on every target of this crate.
        let (start, len) = (start as usize, len as usize);
        self.bytes.get(start..start + len).unwrap_or_default()
    }
}

/// Values of one name, in order.
#[derive(Clone)]
pub struct Values<'h, 'n> {
    headers: &'h Headers,
    spans: std::slice::Iter<'h, Span>,
    name: &'n [u8],
    tag: Tag,
}

impl<'h> Iterator for Values<'h, '_> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        for span in &mut self.spans {
            if span.tag == self.tag && self.headers.name(span) == self.name {
                return Some(self.headers.value(span));
            }
        }
        None
    }
}

/// What [`Headers::marked`] gives.
#[derive(Clone)]
pub struct Marked<'a> {
    headers: &'a Headers,
    spans: std::slice::Iter<'a, Span>,
    marks: &'a Marks,
}

impl<'a> Iterator for Marked<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        for span in &mut self.spans {
            if self.marks.may_hold(span.tag) {
                return Some((self.headers.name(span), self.headers.value(span)));
            }
        }
        None
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut headers = Self::default();
        for (name, value) in pairs {
            headers.push(name.as_ref(), &[value.as_ref()]);
        }
        headers
    }
}

impl std::fmt::Debug for Headers {
    /// Names only: values hold credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.iter().map(|(name, _)| name.escape_ascii().to_string());
        f.debug_list().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pairs_as_the_host_writes_them() {
        let bytes = b"\x02\0\0\0\x01\0\0\0\x02\0\0\0\x01\0\0\0\0\0\0\0a\0xy\0b\0\0".to_vec();
        let headers = Headers::from_pairs(bytes).expect("well-formed");
        assert_eq!(
            headers,
            [("a", "xy"), ("b", "")].into_iter().collect::<Headers>().relaid()
        );
    }

    impl Headers {
        /// The same spans over the serialised bytes, so that equality means equal pairs.
        fn relaid(&self) -> Self {
            let mut bytes = (self.len() as u32).to_le_bytes().to_vec();
            for (name, value) in self.iter() {
                bytes.extend((name.len() as u32).to_le_bytes());
                bytes.extend((value.len() as u32).to_le_bytes());
            }
            for (name, value) in self.iter() {
                bytes.extend_from_slice(name);
                bytes.push(0);
                bytes.extend_from_slice(value);
                bytes.push(0);
            }
            Self::from_pairs(bytes).expect("what was just written")
        }
    }

    /// ASCII, a letter of two bytes, and halves of it.
    fn text_or_not() -> impl Strategy<Value = Vec<u8>> {
        let piece = proptest::sample::select(vec![&b"a"[..], b"\xc3\xa9", b"\xc3", b"\xa9"]);
        proptest::collection::vec(piece, 0..3).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn names_alike_are_those_that_fold_alike(
            names in proptest::collection::vec("[xXk][-_.~k]{0,3}[ab]?", 0..6),
            wanted in "[xk][-_k]{0,3}[ab]?",
        ) {
            let headers: Headers = names.iter().map(|name| (name, "")).collect();
            let alike = names.iter().filter(|name| folds_alike(name.as_bytes(), wanted.as_bytes()));
            prop_assert!(headers.alike(&wanted).eq(alike.map(|name| name.as_bytes())));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            if let Some(headers) = Headers::from_pairs(bytes) {
                let _ = headers.iter().count();
            }
        }

        #[test]
        fn a_value_is_found_by_its_place(pairs: Vec<(Vec<u8>, Vec<u8>)>, other: Vec<u8>) {
            let headers: Headers = pairs.iter().map(|(n, v)| (n, v)).collect();
            for (_, value) in headers.iter() {
                for part in [value, &value[value.len() / 2..], &value[..value.len() / 2]] {
                    let place = headers.place(part);
                    prop_assert!(place.is_some() || part.is_empty());
                    prop_assert_eq!(place.map_or(&[][..], |place| headers.at(&place)), part);
                }
            }
            prop_assert!(headers.place(&other).is_none() || other.is_empty());
        }

        #[test]
        fn what_is_written_is_read(pairs: Vec<(Vec<u8>, Vec<u8>)>) {
            let headers: Headers = pairs.iter().map(|(n, v)| (n, v)).collect();
            let read = headers.relaid();
            prop_assert!(read.iter().eq(pairs.iter().map(|(n, v)| (&n[..], &v[..]))));
        }

        /// Bytes that are UTF-8 only together are no text.
        #[test]
        fn texts_are_those_of_each(pairs in proptest::collection::vec((text_or_not(), text_or_not()), 0..3)) {
            let headers: Headers = pairs.into_iter().collect();
            let text = std::str::from_utf8;
            let each = headers.iter().map(|(n, v)| Some((text(n).ok()?, text(v).ok()?)));
            prop_assert_eq!(headers.texts(), each.collect::<Option<Vec<_>>>());
        }
    }
}

//! What a look at few bytes of a name says, so that most names are passed over without a second look.

use super::fold_byte;

/// Length, first, third and last byte of a name, the bytes folded: names that are one name once folded have one tag.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Tag(u32);

impl Tag {
    #[inline]
    pub fn of(name: &[u8]) -> Self {
        let folded = |byte: Option<&u8>| byte.map_or(0, |byte| fold_byte(*byte));
        // Of the length what fits; those told apart by no more than the rest are compared.
        let length = name.len() as u8;
        Self(u32::from_le_bytes([
            length,
            folded(name.first()),
            folded(name.get(2)),
            folded(name.last()),
        ]))
    }

    /// One of 64 bits, by length and last byte.
    #[inline]
    pub fn bit(self) -> u64 {
        1 << (((self.0 & 255) * 7 + (self.0 >> 24)) & 63)
    }

    fn head(self) -> u64 {
        1 << (self.0 >> 8 & 63)
    }

    fn third(self) -> u64 {
        1 << (self.0 >> 16 & 63)
    }
}

/// The tags that names of a set can have: one bit for each that occurs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    names: Parts,
    prefixes: Parts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parts {
    heads: u64,
    /// So that `x-auth-*` does not stand for all that begins with `x-`.
    thirds: u64,
    /// Length and last byte.
    ends: u64,
}

impl Parts {
    fn or(self, other: Self) -> Self {
        Self {
            heads: self.heads | other.heads,
            thirds: self.thirds | other.thirds,
            ends: self.ends | other.ends,
        }
    }

    #[inline]
    fn may_hold(&self, tag: Tag) -> bool {
        self.heads & tag.head() != 0 && self.thirds & tag.third() != 0 && self.ends & tag.bit() != 0
    }
}

impl Marks {
    pub fn add_name(&mut self, name: &[u8]) {
        let tag = Tag::of(name);
        self.names = self.names.or(Parts {
            heads: tag.head(),
            thirds: tag.third(),
            ends: tag.bit(),
        });
    }

    pub fn add_prefix(&mut self, prefix: &[u8]) {
        let tag = Tag::of(prefix);
        self.prefixes = self.prefixes.or(Parts {
            heads: if prefix.is_empty() { u64::MAX } else { tag.head() },
            thirds: if prefix.len() < 3 { u64::MAX } else { tag.third() },
            ends: u64::MAX,
        });
    }

    /// All that any name can have.
    pub fn add_any(&mut self) {
        self.add_prefix(b"");
    }

    /// Of either.
    pub fn or(self, other: &Self) -> Self {
        Self {
            names: self.names.or(other.names),
            prefixes: self.prefixes.or(other.prefixes),
        }
    }

    /// Whether a name of this tag may be in the set: never false for one that is.
    #[inline]
    pub fn may_hold(&self, tag: Tag) -> bool {
        // Few names of a request begin as those of a set.
        (self.names.heads | self.prefixes.heads) & tag.head() != 0 && (self.may_begin(tag) || self.may_name(tag))
    }

    pub fn may_name(&self, tag: Tag) -> bool {
        self.names.may_hold(tag)
    }

    pub fn may_begin(&self, tag: Tag) -> bool {
        self.prefixes.may_hold(tag)
    }
}

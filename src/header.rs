//! Header names, patterns over them, the headers of one message and the edits made to them.

mod edits;
mod map;
mod names;
mod set;
mod tag;

pub use edits::Edits;
pub use map::Headers;
pub use names::Names;
pub use set::NameSet;
pub use tag::{Marks, Tag};

use std::fmt;
use std::sync::Arc;

/// Name and value of one header.
pub type Field = (Vec<u8>, Vec<u8>);

/// A header name: an RFC 9110 token in lower case, as HTTP/2 and Envoy carry it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeaderName(Arc<str>);

impl HeaderName {
    /// Errors when `text` is empty, over 256 bytes or holds anything that is not a token character.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("empty header name".into());
        }
        if text.len() > 256 {
            return Err("header name over 256 bytes".into());
        }
        match text.chars().find(|c| !is_token(*c)) {
            Some(c) => Err(format!("unexpected character {c:?} in header name {text:?}")),
            None => Ok(Self(text.to_ascii_lowercase().into())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// RFC 9110 section 5.6.2.
pub(crate) fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// `x-auth-*`, `*-id`, `x-tenant` or `*`, compared after folding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamePattern {
    Exact(Folded),
    Prefix(Folded),
    Suffix(Folded),
    Any,
}

impl NamePattern {
    /// One `*`, at the start or the end; everything else as in a header name.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (build, literal): (fn(Folded) -> Self, &str) = if let Some(rest) = text.strip_suffix('*') {
            (Self::Prefix, rest)
        } else if let Some(rest) = text.strip_prefix('*') {
            (Self::Suffix, rest)
        } else {
            (Self::Exact, text)
        };
        if literal.contains('*') {
            return Err(format!("{text:?}: `*` may stand once, at the start or the end"));
        }
        HeaderName::parse(literal).map(|name| build(Folded::of(name.as_str().as_bytes())))
    }

    /// One name. In a name, unlike in a pattern, `*` is a character as any other (RFC 9110 section 5.6.2).
    pub fn exact(name: &HeaderName) -> Self {
        Self::Exact(Folded::of(name.as_str().as_bytes()))
    }

    /// `name` as received: it is folded while it is compared.
    pub fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Exact(other) => folds_alike(name, &other.0),
            Self::Prefix(other) => set::starts_with(name, &other.0),
            Self::Suffix(other) => set::ends_with(name, &other.0),
            Self::Any => true,
        }
    }
}

/// A header name as CGI-like servers read it: lower case, every byte that is no letter or digit
/// turned into `_`. `X-User-Id`, `x_user.id` and `x~user~id` are one name to such a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Folded(Box<[u8]>);

impl Folded {
    pub fn of(name: &[u8]) -> Self {
        Self(name.iter().map(|b| fold_byte(*b)).collect())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Whether both are one name once folded; allocates nothing.
pub(crate) fn folds_alike(name: &[u8], other: &[u8]) -> bool {
    name.len() == other.len() && name.iter().zip(other).all(|(a, b)| fold_byte(*a) == fold_byte(*b))
}

#[inline]
pub(crate) fn fold_byte(byte: u8) -> u8 {
    // An array of every byte's fold, since names of every request come through here.
    FOLDED.get(usize::from(byte)).copied().unwrap_or(b'_')
}

static FOLDED: [u8; 256] = {
    let mut folded = [b'_'; 256];
    let mut byte = 0u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() {
            #[expect(clippy::indexing_slicing, reason = "below 128, and checked by the compiler")]
            {
                folded[byte as usize] = byte.to_ascii_lowercase();
            }
        }
        byte += 1;
    }
    folded
};

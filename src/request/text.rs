//! Text of a request in the form in which it goes on.

use crate::header::Headers;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Nearly always it goes on as it came: then it is where it stands in the headers.
#[derive(Clone)]
pub(super) enum Text {
    Sent(Arc<Headers>, Range<usize>),
    Made(Box<[u8]>),
}

impl Text {
    /// A copy, where `bytes` are none of `headers`.
    pub fn as_it_came(bytes: &[u8], headers: Option<&Arc<Headers>>) -> Self {
        match headers.and_then(|headers| Some((headers, headers.place(bytes)?))) {
            Some((headers, place)) => Self::Sent(headers.clone(), place),
            None => Self::made(bytes),
        }
    }

    pub fn made(bytes: impl Into<Box<[u8]>>) -> Self {
        Self::Made(bytes.into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Sent(headers, place) => headers.at(place),
            Self::Made(bytes) => bytes,
        }
    }

    /// False where it may have come in another form.
    pub fn is_sent(&self) -> bool {
        matches!(self, Self::Sent(..))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

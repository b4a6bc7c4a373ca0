//! What a response is told on account of experiments, so that caches stay correct.

use super::step::{OfVariants, SetCookie};
use crate::cache::freshness::{is_private, may_be_shared};
use crate::header::{Field, Headers};

/// Set in place of what is there, and added beside it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ResponseEdits {
    pub set: Vec<Field>,
    pub add: Vec<Field>,
}

impl OfVariants {
    /// Whether anything of it depends on the response's own headers.
    pub fn reads_response(&self) -> bool {
        !self.vary.is_empty() || !self.cookies.is_empty() || self.private
    }

    pub fn edits(&self, response: &Headers) -> ResponseEdits {
        let mut edits = ResponseEdits {
            set: self.set.clone(),
            add: Vec::new(),
        };
        edits.set.extend(vary(&self.vary, response));
        // With what 304 brings a cache amends what it keeps.
        let cacheable = || may_be_shared(response) || response.first(":status") == Some(b"304");
        let cacheable = !self.cookies.is_empty() && cacheable();
        let given = self.cookies.iter().filter(|cookie| cookie.on_cacheable || !cacheable);
        edits.add.extend(given.map(SetCookie::field));
        let for_one = !edits.add.is_empty() && !cacheable;
        if (for_one || self.private) && !is_private(response) {
            edits.set.push(private(response, self.private));
        }
        edits
    }
}

/// What a response says of caches, less what would let others have it (`instead`), and that it is for one caller.
fn private(response: &Headers, instead: bool) -> Field {
    let mut value = match instead {
        true => Vec::new(),
        false => response.all("cache-control").collect::<Vec<_>>().join(&b", "[..]),
    };
    if !value.is_empty() {
        value.extend_from_slice(b", ");
    }
    value.extend_from_slice(b"private");
    (b"cache-control".to_vec(), value)
}

/// One header with what was there and what is missing; None where nothing is.
fn vary(names: &[impl AsRef<str>], response: &Headers) -> Option<Field> {
    let there = || response.all("vary").flat_map(|value| value.split(|b| *b == b','));
    let names = names.iter().map(AsRef::as_ref);
    let missing: Vec<&str> = names
        .filter(|name| {
            !there()
                .map(<[u8]>::trim_ascii)
                .any(|other| other == b"*" || other.eq_ignore_ascii_case(name.as_bytes()))
        })
        .collect();
    if missing.is_empty() {
        return None;
    }
    let mut value = response.all("vary").collect::<Vec<_>>().join(&b", "[..]);
    if !value.is_empty() {
        value.extend_from_slice(b", ");
    }
    value.extend_from_slice(missing.join(", ").as_bytes());
    Some((b"vary".to_vec(), value))
}

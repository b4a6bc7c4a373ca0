//! Many name patterns, asked once per header of every request.

use super::{Folded, NamePattern, fold_byte, folds_alike};
use crate::order;
use std::cmp::Ordering;

/// A set of [`NamePattern`]s. Asking allocates nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameSet {
    /// Sorted as [`compare`] does.
    exact: Vec<Folded>,
    /// One bit per length and last byte that occur together in `exact`: nearly every name of
    /// a request is passed over by it.
    marks: [u64; 4],
    /// One bit per first byte (its low six bits) in `prefixes`.
    heads: u64,
    prefixes: Vec<Folded>,
    suffixes: Vec<Folded>,
    any: bool,
}

impl FromIterator<NamePattern> for NameSet {
    fn from_iter<I: IntoIterator<Item = NamePattern>>(patterns: I) -> Self {
        Self::of(patterns.into_iter().collect())
    }
}

impl NameSet {
    fn of(patterns: Vec<NamePattern>) -> Self {
        let mut set = Self::default();
        for pattern in patterns {
            match pattern {
                NamePattern::Exact(name) => set.exact.push(name),
                NamePattern::Prefix(text) => set.prefixes.push(text),
                NamePattern::Suffix(text) => set.suffixes.push(text),
                NamePattern::Any => set.any = true,
            }
        }
        set.exact = order::distinct(set.exact, |a, b| compare(&a.0, &b.0));
        for name in &set.exact {
            let (word, bit) = mark(&name.0);
            if let Some(marks) = set.marks.get_mut(word) {
                *marks |= bit;
            }
        }
        set.heads = set.prefixes.iter().fold(0, |bits, name| bits | head_bit(&name.0));
        set
    }

    /// `name` as received: it is folded while it is compared.
    pub fn contains(&self, name: &[u8]) -> bool {
        let (word, bit) = mark(name);
        let exact = || self.exact.binary_search_by(|other| compare(&other.0, name)).is_ok();
        let prefix = || self.prefixes.iter().any(|prefix| starts_with(name, &prefix.0));
        self.any
            || (self.marks.get(word).is_some_and(|marks| marks & bit != 0) && exact())
            || (self.heads & head_bit(name) != 0 && prefix())
            || self.suffixes.iter().any(|suffix| ends_with(name, &suffix.0))
    }

    pub fn is_empty(&self) -> bool {
        !self.any && self.exact.is_empty() && self.prefixes.is_empty() && self.suffixes.is_empty()
    }
}

/// Which of 256 bits, as a word and a bit of it.
fn mark(name: &[u8]) -> (usize, u64) {
    let last = name.last().map_or(0, |last| usize::from(fold_byte(*last)));
    let mark = name.len().wrapping_mul(7).wrapping_add(last) & 255;
    (mark >> 6, 1 << (mark & 63))
}

fn head_bit(name: &[u8]) -> u64 {
    name.first().map_or(0, |head| 1 << (fold_byte(*head) & 63))
}

/// By length first: few names are as long as another.
fn compare(folded: &[u8], name: &[u8]) -> Ordering {
    let bytes = || folded.iter().copied().cmp(name.iter().map(|b| fold_byte(*b)));
    folded.len().cmp(&name.len()).then_with(bytes)
}

pub(super) fn starts_with(name: &[u8], folded: &[u8]) -> bool {
    name.get(..folded.len()).is_some_and(|head| folds_alike(head, folded))
}

pub(super) fn ends_with(name: &[u8], folded: &[u8]) -> bool {
    let Some(start) = name.len().checked_sub(folded.len()) else {
        return false;
    };
    name.get(start..).is_some_and(|tail| folds_alike(tail, folded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_equal_once_folded() {
        let patterns = ["x-user-id", "x-internal-*", "*-secret"];
        let set: NameSet = patterns
            .iter()
            .map(|text| NamePattern::parse(text).expect("fine"))
            .collect();
        for name in [
            "x-user-id",
            "X_USER.ID",
            "x~user~id",
            "x.internal.",
            "x_internal_a",
            "my.secret",
        ] {
            assert!(set.contains(name.as_bytes()), "{name}");
        }
        for name in ["x-user", "x-user-id2", "xx-user-id", "x-interna", "secret", ""] {
            assert!(!set.contains(name.as_bytes()), "{name}");
        }
    }
}

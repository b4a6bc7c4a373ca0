//! Many name patterns, asked once per header of every request.

use super::tag::{Marks, Tag};
use super::{Folded, NamePattern, fold_byte, folds_alike};
use crate::order;
use std::cmp::Ordering;

/// A set of [`NamePattern`]s. Asking allocates nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameSet {
    /// Sorted as [`compare`] does.
    exact: Vec<Folded>,
    prefixes: Vec<Folded>,
    suffixes: Vec<Folded>,
    any: bool,
    /// Nearly every name of a request is passed over by it.
    marks: Marks,
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
        set.exact.iter().for_each(|name| set.marks.add_name(&name.0));
        set.prefixes.iter().for_each(|prefix| set.marks.add_prefix(&prefix.0));
        if set.any || !set.suffixes.is_empty() {
            set.marks.add_any();
        }
        set
    }

    /// `name` as received: it is folded while it is compared.
    pub fn contains(&self, name: &[u8]) -> bool {
        let tag = Tag::of(name);
        let exact = || self.exact.binary_search_by(|other| compare(&other.0, name)).is_ok();
        let prefix = || self.prefixes.iter().any(|prefix| starts_with(name, &prefix.0));
        self.any
            || (self.marks.may_begin(tag) && prefix())
            || (self.marks.may_name(tag) && exact())
            || self.suffixes.iter().any(|suffix| ends_with(name, &suffix.0))
    }

    /// Which tags its names can have, for who looks at many names.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    pub fn is_empty(&self) -> bool {
        !self.any && self.exact.is_empty() && self.prefixes.is_empty() && self.suffixes.is_empty()
    }
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

    proptest::proptest! {
        /// What is passed over by its tag is in no set.
        #[test]
        fn a_first_look_loses_nothing(
            patterns in proptest::collection::vec("[*]?[a-zA-Z0-9_.~-]{1,6}|[a-zA-Z0-9_.~-]{1,6}[*]|[*]", 0..6),
            names in proptest::collection::vec("[a-zA-Z0-9_.~-]{0,6}", 1..40),
        ) {
            let patterns: Vec<_> = patterns.iter().filter_map(|text| NamePattern::parse(text).ok()).collect();
            let set: NameSet = patterns.iter().cloned().collect();
            let union = Marks::default().or(set.marks());
            for name in names.iter().map(|name| name.as_bytes()) {
                let holds = patterns.iter().any(|pattern| pattern.matches(name));
                proptest::prop_assert_eq!(set.contains(name), holds, "{:?}", name.escape_ascii().to_string());
                proptest::prop_assert!(union.may_hold(Tag::of(name)) || !holds);
            }
        }
    }
}

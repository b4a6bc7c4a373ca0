//! What changes in a message on its way.

use super::{Field, Names};
use std::sync::Arc;

/// Removals come first, then sets, then additions: a removed name may be set again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    pub remove: Names,
    /// Replaces every value of the name.
    pub set: Vec<Field>,
    /// Set as well: what says who calls, made once for many requests of one caller.
    pub identity: Option<Arc<[Field]>>,
    /// Set as well: how the request is carried, the same for many requests of one rule.
    pub carried: Option<Arc<[Field]>>,
    /// Set as well: what variants say, made once with the policy.
    pub variants: Vec<Arc<[Field]>>,
    /// Stands beside what is there.
    pub add: Vec<Field>,
}

impl Edits {
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many single changes these are.
    pub fn len(&self) -> usize {
        let set: usize = self.parts().map(<[Field]>::len).sum();
        self.remove.len() + set + self.add.len()
    }

    pub fn remove(&mut self, name: &[u8]) {
        self.remove.add(name);
    }

    /// All that is set.
    pub fn sets(&self) -> impl Iterator<Item = &Field> + Clone {
        self.parts().flatten()
    }

    /// The same, as it was made.
    pub fn parts(&self) -> impl Iterator<Item = &[Field]> + Clone {
        let made = |fields| Option::<&Arc<[Field]>>::map_or(fields, &[][..], |fields| &**fields);
        let parts = [&self.set[..], made(self.identity.as_ref()), made(self.carried.as_ref())];
        parts.into_iter().chain(self.variants.iter().map(|fields| &**fields))
    }

    pub fn is_set(&self, name: &[u8]) -> bool {
        self.sets().any(|(other, _)| other == name)
    }

    /// The last value set under a name stands.
    pub fn set(&mut self, name: &[u8], value: impl Into<Vec<u8>>) {
        self.set.retain(|(other, _)| other != name);
        self.set.push((name.to_vec(), value.into()));
    }

    /// The whole message after the edits, for a host that sets all headers in one call.
    pub fn apply<'a>(&'a self, headers: &'a super::Headers) -> Vec<(&'a [u8], &'a [u8])> {
        let gone = |name: &[u8]| self.remove.contains(name) || self.is_set(name);
        let kept = headers.iter().filter(|(name, _)| !gone(name));
        let new = self.sets().chain(&self.add);
        kept.chain(new.map(|(name, value)| (&name[..], &value[..]))).collect()
    }
}

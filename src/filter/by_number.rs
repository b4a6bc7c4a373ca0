//! A map by the numbers that the proxy gives to streams and calls.

use crate::rule::PolicyMap;

/// One table of places serves every type of value: a hash map is compiled for each, some 4 KB.
pub struct ByNumber<T> {
    /// Unkeyed, as the proxy counts and no caller chooses a number.
    at: PolicyMap<u32, usize>,
    values: Vec<Option<(u32, T)>>,
    free: Vec<usize>,
}

impl<T> Default for ByNumber<T> {
    fn default() -> Self {
        Self {
            at: PolicyMap::default(),
            values: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> ByNumber<T> {
    pub fn get(&self, number: u32) -> Option<&T> {
        let slot = self.values.get(*self.at.get(&number)?)?;
        slot.as_ref().map(|(_, value)| value)
    }

    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let slot = self.values.get_mut(*self.at.get(&number)?)?;
        slot.as_mut().map(|(_, value)| value)
    }

    /// In place of what stood there.
    pub fn insert(&mut self, number: u32, value: T) {
        drop(self.remove(number));
        let at = self.free.pop().unwrap_or(self.values.len());
        self.at.insert(number, at);
        match self.values.get_mut(at) {
            Some(slot) => *slot = Some((number, value)),
            None => self.values.push(Some((number, value))),
        }
    }

    pub fn remove(&mut self, number: u32) -> Option<T> {
        let at = self.at.remove(&number)?;
        let (_, value) = self.values.get_mut(at)?.take()?;
        self.free.push(at);
        Some(value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.values.iter().flatten().map(|(number, value)| (*number, value))
    }
}

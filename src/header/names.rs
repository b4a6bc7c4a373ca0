//! A few names, each once, in one buffer: a request that loses two headers pays for one allocation.

/// Names as they stand in a message, in the order in which they came.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Each name behind its length: 32 bits, little endian.
    bytes: Vec<u8>,
}

impl Names {
    pub fn add(&mut self, name: &[u8]) {
        // No message holds a longer one (see `Headers::from_pairs`).
        let Ok(length) = u32::try_from(name.len()) else {
            return;
        };
        if !self.contains(name) {
            if self.bytes.capacity() == 0 {
                // Room for the two or three that a usual request loses.
                self.bytes = Vec::with_capacity(64);
            }
            self.bytes.extend_from_slice(&length.to_le_bytes());
            self.bytes.extend_from_slice(name);
        }
    }

    pub fn contains(&self, name: &[u8]) -> bool {
        self.iter().any(|other| other == name)
    }

    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.bytes)
    }

    pub fn len(&self) -> usize {
        self.iter().count()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

#[derive(Clone)]
pub struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let (name, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        self.0 = rest;
        Some(name)
    }
}

impl<'a> IntoIterator for &'a Names {
    type Item = &'a [u8];
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|name| name.escape_ascii().to_string()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_name_once_in_order(added: Vec<Vec<u8>>) {
            let mut names = Names::default();
            let mut expected: Vec<&[u8]> = Vec::new();
            for name in &added {
                names.add(name);
                if !expected.contains(&&name[..]) {
                    expected.push(name);
                }
            }
            prop_assert_eq!(names.iter().collect::<Vec<_>>(), expected);
        }
    }
}

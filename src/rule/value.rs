//! One value of a header, cookie or query parameter.

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueMatch {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    /// `present: true` or `false`
    Present(bool),
}

impl ValueMatch {
    /// Whether any of the values under a name is as wanted.
    pub fn holds<V: AsRef<[u8]>>(&self, mut values: impl Iterator<Item = V>) -> bool {
        match self {
            Self::Present(wanted) => values.next().is_some() == *wanted,
            Self::Exact(text) => values.any(|value| value.as_ref() == text.as_bytes()),
            Self::Prefix(text) => values.any(|value| value.as_ref().starts_with(text.as_bytes())),
            Self::Suffix(text) => values.any(|value| value.as_ref().ends_with(text.as_bytes())),
            Self::Contains(text) => values.any(|value| contains(value.as_ref(), text.as_bytes())),
        }
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || haystack.windows(needle.len()).any(|window| window == needle)
}

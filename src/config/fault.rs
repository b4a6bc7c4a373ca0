//! What is wrong with a policy, and where.

use std::fmt;

/// One thing that is wrong: `rules[2].require: unknown field "group": did you mean groups?`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `rules[2].require`; empty for the document as a whole.
    pub path: String,
    /// Lower case, no full stop: what, which, where.
    pub message: String,
    /// Where in the text; JSON has no marks.
    pub at: Option<Mark>,
}

/// Line and column from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Of a folder, in its order; 0 where there is one file. The module's Envoy sees one document.
    #[cfg(feature = "cli")]
    pub file: usize,
    pub line: usize,
    pub column: usize,
}

/// Everything that is wrong, in the order of the document; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }

    pub(super) fn one(message: impl Into<String>, at: Option<Mark>) -> Self {
        Self(vec![Fault {
            path: String::new(),
            message: message.into(),
            at,
        }])
    }

    /// `faults` holds at least one.
    pub(super) fn of(faults: Vec<Fault>) -> Self {
        Self(faults)
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, fault) in self.0.iter().enumerate() {
            if count > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
impl std::error::Error for Faults {}

//! What is wrong with a policy, and where.

use std::fmt;
use std::num::NonZeroU32;

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
    #[cfg(feature = "cli")]
    file: u32,
    line: NonZeroU32,
    column: u32,
}

/// In 12 bytes, and in no more where there may be none: every node of a tree has one, and what `explain` takes for
/// thousands of rules is mostly the memory that it goes through.
#[cfg(feature = "cli")]
impl Mark {
    pub(super) fn new(file: usize, line: usize, column: usize) -> Self {
        // A text is at most MAX_BYTES long.
        let short = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            file: short(file),
            line: NonZeroU32::new(short(line)).unwrap_or(NonZeroU32::MIN),
            column: short(column),
        }
    }

    /// Of a folder, in its order; 0 where there is one file.
    pub fn file(self) -> usize {
        long(self.file)
    }

    pub fn line(self) -> usize {
        long(self.line.get())
    }

    pub fn column(self) -> usize {
        long(self.column)
    }

    /// By file, line and column.
    pub fn order(self) -> (usize, usize, usize) {
        (self.file(), self.line(), self.column())
    }
}

#[cfg(feature = "cli")]
fn long(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
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

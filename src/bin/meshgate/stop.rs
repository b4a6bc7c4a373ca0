//! How a command ends.

use std::io::Write;
use std::process::ExitCode;

const FAULTS: u8 = 1;
const UNUSABLE: u8 = 2;

/// What a command has to say on standard output.
pub struct Done {
    pub output: String,
    /// False where the output tells of faults: the exit status is 1.
    pub fine: bool,
}

/// What ends a command early.
pub enum Stop {
    /// To be printed as they are.
    Faults(Vec<String>),
    /// A file, standard input or output.
    Unusable(String),
    Usage(String),
}

impl Done {
    pub fn fine(output: String) -> Self {
        Self { output, fine: true }
    }

    pub fn status(&self) -> ExitCode {
        match self.fine {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(FAULTS),
        }
    }
}

impl Stop {
    /// For standard error, and the exit status.
    pub fn told(self) -> (String, ExitCode) {
        match self {
            Self::Faults(lines) => (lines.join("\n"), ExitCode::from(FAULTS)),
            Self::Unusable(message) => (format!("meshgate: {message}"), ExitCode::from(UNUSABLE)),
            Self::Usage(message) => {
                let text = format!("meshgate: {message}\nmeshgate --help says what is understood");
                (text, ExitCode::from(UNUSABLE))
            }
        }
    }
}

/// A closed standard error is nobody's concern.
pub fn complain(line: &str) {
    writeln!(std::io::stderr(), "{line}").unwrap_or_default();
}

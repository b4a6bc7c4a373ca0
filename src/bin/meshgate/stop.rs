//! How a command ends.

use crate::report::{Report, complain};
use std::process::ExitCode;

const FAULTS: u8 = 1;
const UNUSABLE: u8 = 2;

/// What a command has to say on standard output.
pub struct Done {
    pub output: String,
    /// False where the output tells of faults: the exit status is 1.
    pub fine: bool,
    /// In place of both.
    pub status: Option<u8>,
}

/// What ends a command early.
pub enum Stop {
    /// Of what was given.
    Faults(Report),
    /// The same, to be printed as it is.
    Told(String),
    /// A file, standard input or output.
    Unusable(String),
    Usage(String),
}

impl Done {
    pub fn fine(output: String) -> Self {
        Self {
            output,
            fine: true,
            status: None,
        }
    }

    /// With a status of the command's own.
    pub fn ending(output: String, status: u8) -> Self {
        Self {
            status: Some(status),
            ..Self::fine(output)
        }
    }

    /// Faults, or nothing to complain of.
    pub fn with(output: String, fine: bool) -> Self {
        Self {
            fine,
            ..Self::fine(output)
        }
    }

    pub fn status(&self) -> ExitCode {
        match (self.status, self.fine) {
            (Some(status), _) => ExitCode::from(status),
            (None, true) => ExitCode::SUCCESS,
            (None, false) => ExitCode::from(FAULTS),
        }
    }
}

impl Stop {
    /// Tells it on standard error.
    pub fn told(&self) -> ExitCode {
        match self {
            Self::Faults(report) => {
                report.complain();
                ExitCode::from(FAULTS)
            }
            Self::Told(text) => {
                complain(text);
                ExitCode::from(FAULTS)
            }
            Self::Unusable(message) => {
                complain(&format!("meshgate: {message}"));
                ExitCode::from(UNUSABLE)
            }
            Self::Usage(message) => {
                complain(&format!("meshgate: {message}\nmeshgate --help says what is understood"));
                ExitCode::from(UNUSABLE)
            }
        }
    }
}

//! Request bodies: those that the service is shown, and those that only wait for its verdict.
mod held_back;
mod shown;

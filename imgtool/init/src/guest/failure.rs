//! Why PID 1 can't go on, as one line for the console.

use std::fmt;
use std::io;

/// One line that says what could not be done, and why.
#[derive(Debug)]
pub(crate) struct Failure(String);

/// With a [`Failure`] as its error.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what was being done when a system call failed.
pub(crate) trait Context<T> {
    /// `what` reads "can't read /etc/x"; the system's reason follows it.
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Failure(format!("{}: {}", what(), error.into())))
    }
}

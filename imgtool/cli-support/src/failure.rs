//! How a failed command is reported: the error and its causes once, a hint, and the exit code.

use std::error::Error;
use std::io;

use error_class::{Chain, Class, Classified};
use serde::{Deserialize, Serialize};

use crate::say;

/// Exit code of a command that a signal ended.
const INTERRUPTED: u8 = 130;

/// Why a command failed: what it prints, and its exit code.
///
/// Every [`Classified`] error becomes one by `?`. It can be serialized, so that a child process can
/// hand its own to the program that the user called.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    exit_code: u8,
    message: String,
    hint: Option<String>,
    /// Everything there is to say was printed already, or nobody is left to read it.
    silent: bool,
}

impl Failure {
    /// A failure that is only a sentence.
    pub fn new(class: Class, message: impl Into<String>) -> Failure {
        Failure {
            exit_code: class.exit_code(),
            message: message.into(),
            hint: None,
            silent: false,
        }
    }

    /// An error and its causes, in a class that the caller knows.
    pub fn of(class: Class, error: &dyn Error) -> Failure {
        Failure::new(class, Chain(error).to_string())
    }

    /// A failure that prints nothing, because the command's output says it.
    pub fn silent(exit_code: u8) -> Failure {
        Failure {
            exit_code,
            message: String::new(),
            hint: None,
            silent: true,
        }
    }

    /// Ctrl-C. It prints nothing: only the command knows what was left, and how to go on.
    pub fn interrupted() -> Failure {
        Failure {
            message: "interrupted".to_owned(),
            ..Failure::silent(INTERRUPTED)
        }
    }

    /// Standard output can't be written. That its reader has gone, as in `uploader vault list | head`,
    /// is no failure: the exit code is 0.
    pub fn stdout(error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::silent(0);
        }
        Failure::new(Class::Failed, format!("standard output: {error}"))
    }

    /// Adds what a person can do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Rewrites the hint, if there is one.
    pub fn map_hint(mut self, rewrite: impl FnOnce(String) -> String) -> Failure {
        self.hint = self.hint.map(rewrite);
        self
    }

    /// Whether a signal ended the command.
    pub fn is_interrupt(&self) -> bool {
        self.exit_code == INTERRUPTED
    }

    /// The error and its causes, without the hint.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The exit code of a command that fails with it.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// Prints it on standard error in `program`'s name, and returns the exit code.
    pub fn report(&self, program: &str) -> u8 {
        if !self.silent {
            say!("{program}: {}", self.message);
            if let Some(hint) = &self.hint {
                say!("hint: {hint}");
            }
        }
        self.exit_code
    }
}

impl<E: Classified> From<E> for Failure {
    fn from(error: E) -> Failure {
        if error.is_interrupt() {
            return Failure::interrupted();
        }
        Failure {
            hint: error.hint(),
            ..Failure::of(error.class(), &error)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct NoQemu {
        interrupted: bool,
    }

    impl fmt::Display for NoQemu {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("QEMU is not installed")
        }
    }

    impl Error for NoQemu {}

    impl Classified for NoQemu {
        fn class(&self) -> Class {
            Class::Surroundings
        }

        fn hint(&self) -> Option<String> {
            Some("install it".to_owned())
        }

        fn is_interrupt(&self) -> bool {
            self.interrupted
        }
    }

    #[test]
    fn a_classified_error_brings_its_exit_code_and_hint() {
        let failure = Failure::from(NoQemu { interrupted: false });
        assert_eq!(failure.exit_code(), 3);
        assert_eq!(failure.message(), "QEMU is not installed");
        assert_eq!(failure.hint.as_deref(), Some("install it"));
        assert!(!failure.is_interrupt());
    }

    #[test]
    fn an_interrupt_is_silent_whatever_its_error() {
        let failure = Failure::from(NoQemu { interrupted: true });
        assert_eq!(failure.exit_code(), 130);
        assert!(failure.is_interrupt() && failure.silent);
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        let gone = Failure::stdout(io::ErrorKind::BrokenPipe.into());
        assert_eq!((gone.exit_code(), gone.silent), (0, true));
        let full = Failure::stdout(io::ErrorKind::StorageFull.into());
        assert_eq!((full.exit_code(), full.silent), (1, false));
        assert!(full.message().starts_with("standard output: "));
    }
}

//! How a failed command is told: the chain of causes once, a hint, and the exit code.

use super::{init::InitError, inspect::InspectCommandError, ls::LsError, run::RunError};
use error_class::Chain;
use imgtool::Class;
use imgtool::build::BuildError;
use imgtool::lock::LockError;
use imgtool::pack::PackError;
use imgtool::pass::PassError;
use imgtool::spec::SpecError;
use std::error::Error;
use std::io;

/// Why a command failed.
pub(crate) struct Failure {
    class: Class,
    error: Box<dyn Error>,
    hint: Option<String>,
    interrupted: bool,
}

impl Failure {
    /// Standard output can't be written.
    pub(crate) fn stdout(error: io::Error) -> Failure {
        Failure {
            class: Class::Failed,
            error: error.into(),
            hint: None,
            interrupted: false,
        }
    }

    /// A failure that is only a sentence.
    pub(crate) fn new(class: Class, message: String) -> Failure {
        Failure {
            class,
            error: message.into(),
            hint: None,
            interrupted: false,
        }
    }

    fn from_parts(class: Class, hint: Option<String>, error: impl Error + 'static) -> Failure {
        Failure {
            class,
            error: Box::new(error),
            hint,
            interrupted: false,
        }
    }

    /// Tells it on standard error and gives the exit code.
    pub(crate) fn report(&self) -> u8 {
        if self.is_broken_pipe() {
            // The reader has gone, as in `imgtool inspect … | head`: nothing to say.
            return 0;
        }
        if self.interrupted {
            say!("imgtool: interrupted; nothing was left");
            return 130;
        }
        say!("imgtool: {}", Chain(self.error.as_ref()));
        if let Some(hint) = &self.hint {
            say!("hint: {hint}");
        }
        self.class.exit_code()
    }

    fn is_broken_pipe(&self) -> bool {
        let mut error: Option<&(dyn Error + 'static)> = Some(self.error.as_ref());
        while let Some(e) = error {
            if e.downcast_ref::<io::Error>()
                .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
            {
                return true;
            }
            error = e.source();
        }
        false
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Failure {
        let interrupted = matches!(
            error,
            BuildError::Pass(PassError::Interrupted) | BuildError::Pack(PackError::Interrupted)
        );
        let mut failure = Failure::from_parts(error.class(), error.hint(), error);
        failure.interrupted = interrupted;
        failure
    }
}

/// Errors that know their class and a hint.
macro_rules! failures {
    ($($error:ty),+) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                Failure::from_parts(error.class(), error.hint(), error)
            }
        }
    )+};
}

failures!(
    SpecError,
    LockError,
    InitError,
    InspectCommandError,
    LsError,
    PackError,
    RunError
);

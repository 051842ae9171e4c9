//! How a failed command is told: the chain of causes once, a hint, and the exit code.

use emulator_localstack::StartError;
use emulator_tests::emulator::EmulatorError;
use error_class::Chain;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::io;

/// Whose fault it is, which is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Class {
    /// The work failed.
    Failed,
    /// The input is wrong.
    Input,
    /// Something is missing on this host.
    Host,
    /// Ctrl-C.
    Interrupted,
    /// Whoever read standard output has gone.
    BrokenPipe,
}

/// Why a command failed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    class: Class,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// A failure that is only a sentence.
    pub(crate) fn new(class: Class, message: impl Into<String>) -> Failure {
        Failure {
            class,
            message: message.into(),
            hint: None,
        }
    }

    /// What a person can do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// An error with its causes.
    pub(crate) fn of(class: Class, error: &dyn Error) -> Failure {
        Failure::new(class, Chain(error).to_string())
    }

    /// Standard output can't be written.
    pub(crate) fn stdout(error: io::Error) -> Failure {
        let class = match error.kind() {
            io::ErrorKind::BrokenPipe => Class::BrokenPipe,
            _ => Class::Failed,
        };
        Failure::new(class, format!("standard output: {error}"))
    }

    /// Tells it on standard error and gives the exit code.
    pub(crate) fn report(&self) -> u8 {
        match self.class {
            // As in `emulator status | head`: nothing to say.
            Class::BrokenPipe => return 0,
            Class::Interrupted => {
                say!("emulator: interrupted; nothing was left");
                return 130;
            }
            Class::Failed | Class::Input | Class::Host => {}
        }
        say!("emulator: {}", self.message);
        if let Some(hint) = &self.hint {
            say!("hint: {hint}");
        }
        match self.class {
            Class::Input => 2,
            Class::Host => 3,
            _ => 1,
        }
    }
}

impl From<EmulatorError> for Failure {
    fn from(error: EmulatorError) -> Failure {
        let class = match &error {
            EmulatorError::Interrupted => Class::Interrupted,
            EmulatorError::PortInUse(_)
            | EmulatorError::NoMachines(_)
            | EmulatorError::Host { .. }
            | EmulatorError::Lease(_)
            | EmulatorError::LocalStack(
                StartError::NoPython(_)
                | StartError::NoEngine(_)
                | StartError::NoImage(_)
                | StartError::Spawn { .. }
                | StartError::File { .. },
            ) => Class::Host,
            _ => Class::Failed,
        };
        let failure = Failure::of(class, &error);
        match &error {
            EmulatorError::LocalStack(error) => match error.hint() {
                Some(hint) => failure.hint(hint),
                None => failure,
            },
            EmulatorError::NoMachines("setpriv") => failure.hint("it is in util-linux"),
            EmulatorError::NoMachines(_) => {
                failure.hint("install it: apt-get install qemu-system-x86; or use --no-guests")
            }
            EmulatorError::PortInUse(_) => failure.hint("choose another with --port"),
            _ => failure,
        }
    }
}

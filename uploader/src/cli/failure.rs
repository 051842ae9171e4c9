//! How a failed command is told: the chain of causes once, a hint, and the exit code.

use error_class::Chain;
use imgtool::build::BuildError;
use imgtool::spec::SpecError;
use std::error::Error;
use std::io;
use uploader::Class;
use uploader::agent::AgentError;
use uploader::agent::journal::JournalError;
use uploader::agent::queue::QueueError;
use uploader::aws::{AwsError, ConnectError, MetadataError};
use uploader::converter_ami::ConverterError;
use uploader::converter_ami::program::ProgramError;
use uploader::fleet::FleetError;
use uploader::launch::LaunchError;
use uploader::push::{ImageError, PushError};
use uploader::regions::CopyError;
use uploader::request::SendError;
use uploader::vault::images::StoreError;
use uploader::vault::{NameError, VaultError};
use uploader::verify::VerifyError;

/// Exit code after Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Why a command failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    class: Class,
    message: String,
    hint: Option<String>,
    /// Said already, or nobody is there to be told.
    silent: Option<u8>,
}

impl Failure {
    /// A failure that is only a sentence.
    pub(crate) fn new(class: Class, message: impl Into<String>) -> Failure {
        Failure {
            class,
            message: message.into(),
            hint: None,
            silent: None,
        }
    }

    /// An error with its causes.
    pub(crate) fn of(class: Class, error: &dyn Error) -> Failure {
        Failure::new(class, Chain(error).to_string())
    }

    /// What a person can do about it.
    pub(crate) fn hint(mut self, hint: Option<String>) -> Failure {
        self.hint = hint;
        self
    }

    /// The same for somebody who calls by a profile, which has to be named to sign in again.
    pub(crate) fn of_profile(mut self, profile: Option<&str>) -> Failure {
        if let (Some(profile), Some(hint)) = (profile, &mut self.hint) {
            let named = format!("aws sso login --profile {profile}");
            *hint = hint.replace("aws sso login", &named);
        }
        self
    }

    /// Ctrl-C; what there is to say is said by whoever knows what is left.
    pub(crate) fn interrupted() -> Failure {
        let mut failure = Failure::new(Class::Failed, "interrupted");
        failure.silent = Some(INTERRUPTED);
        failure
    }

    /// A thread that ended early.
    pub(crate) fn lost(error: &tokio::task::JoinError) -> Failure {
        Failure::new(Class::Failed, format!("a thread is gone: {error}"))
    }

    /// What there is to say was said on standard output.
    pub(crate) fn said(code: u8) -> Failure {
        let mut failure = Failure::new(Class::Failed, "");
        failure.silent = Some(code);
        failure
    }

    /// Standard output can't be written.
    pub(crate) fn stdout(error: io::Error) -> Failure {
        let mut failure = Failure::new(Class::Failed, format!("standard output: {error}"));
        // As in `uploader vault list | head`: the reader has gone, and has what it wanted.
        failure.silent = (error.kind() == io::ErrorKind::BrokenPipe).then_some(0);
        failure
    }

    /// Whether it is Ctrl-C.
    pub(crate) fn is_interrupt(&self) -> bool {
        self.silent == Some(INTERRUPTED)
    }

    /// What it says.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The exit code of a command that fails with it.
    pub(crate) fn exit_code(&self) -> u8 {
        self.silent.unwrap_or_else(|| self.class.exit_code())
    }

    /// Tells it on standard error and gives the exit code.
    pub(crate) fn report(&self) -> u8 {
        if self.silent.is_none() {
            say!("uploader: {}", self.message);
            if let Some(hint) = &self.hint {
                say!("hint: {hint}");
            }
        }
        self.exit_code()
    }
}

/// Errors that know their class and a hint.
macro_rules! failures {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                Failure::of(error.class(), &error).hint(error.hint())
            }
        }
    )+};
}

failures!(
    AgentError,
    AwsError,
    BuildError,
    ConnectError,
    CopyError,
    FleetError,
    JournalError,
    LaunchError,
    MetadataError,
    ProgramError,
    QueueError,
    SendError,
    SpecError,
    StoreError,
    VerifyError,
    ImageError,
);

impl From<PushError> for Failure {
    fn from(error: PushError) -> Failure {
        match error.is_interrupt() {
            true => Failure::interrupted(),
            false => Failure::of(error.class(), &error).hint(error.hint()),
        }
    }
}

impl From<ConverterError> for Failure {
    fn from(error: ConverterError) -> Failure {
        match error {
            ConverterError::Interrupted => Failure::interrupted(),
            error => Failure::of(error.class(), &error).hint(error.hint()),
        }
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Failure {
        if matches!(error, VaultError::Cancelled) {
            say!("uploader: interrupted: run it again, it goes on from there");
            return Failure::interrupted();
        }
        Failure::of(error.class(), &error).hint(error.hint())
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Failure {
        Failure::of(Class::Input, &error)
    }
}

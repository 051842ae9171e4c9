//! The errors that commands end with, as a program sees them: their classes, hints, and which of them
//! mean that a signal ended the work.

use error_class::{Class, Classified, classified};

use crate::agent::AgentError;
use crate::agent::journal::JournalError;
use crate::agent::queue::QueueError;
use crate::aws::{AwsError, ConnectError, MetadataError};
use crate::converter_ami::ConverterError;
use crate::converter_ami::image::ImageError as ConverterImageError;
use crate::converter_ami::program::ProgramError;
use crate::fleet::FleetError;
use crate::fleet::userdata::UserDataError;
use crate::launch::LaunchError;
use crate::push::{ImageError, PushError};
use crate::regions::CopyError;
use crate::request::SendError;
use crate::vault::{NameError, StoreError, VaultError};
use crate::verify::VerifyError;

classified!(
    AgentError,
    AwsError,
    ConnectError,
    CopyError,
    FleetError,
    ImageError,
    JournalError,
    LaunchError,
    MetadataError,
    ProgramError,
    QueueError,
    SendError,
    StoreError,
    VerifyError,
);

impl Classified for ConverterError {
    fn class(&self) -> Class {
        self.class()
    }

    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn is_interrupt(&self) -> bool {
        matches!(self, ConverterError::Interrupted)
    }
}

impl Classified for PushError {
    fn class(&self) -> Class {
        self.class()
    }

    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn is_interrupt(&self) -> bool {
        self.is_interrupt()
    }
}

impl Classified for VaultError {
    fn class(&self) -> Class {
        self.class()
    }

    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn is_interrupt(&self) -> bool {
        matches!(self, VaultError::Cancelled)
    }
}

impl Classified for ConverterImageError {
    fn class(&self) -> Class {
        match self {
            ConverterImageError::Spec(error) => error.class(),
            ConverterImageError::Build(error) => error.class(),
            ConverterImageError::Temporary { .. } => Class::Surroundings,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ConverterImageError::Spec(error) => error.hint(),
            ConverterImageError::Build(error) => error.hint(),
            ConverterImageError::Temporary { .. } => None,
        }
    }
}

impl Classified for NameError {
    fn class(&self) -> Class {
        Class::Input
    }
}

impl Classified for UserDataError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        self.hint()
    }
}

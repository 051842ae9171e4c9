//! What the errors of all stages have in common.

use error_class::{Class, Classified, classified};

use crate::build::BuildError;
use crate::extract::ExtractError;
use crate::inspect::InspectError;
use crate::lock::LockError;
use crate::pack::PackError;
use crate::pass::PassError;
use crate::spec::SpecError;

classified!(InspectError, LockError, PackError, SpecError);

impl Classified for ExtractError {
    fn class(&self) -> Class {
        ExtractError::class(self)
    }

    fn hint(&self) -> Option<String> {
        ExtractError::hint(self)
    }

    fn is_interrupt(&self) -> bool {
        matches!(self, ExtractError::Interrupted)
    }
}

impl Classified for BuildError {
    fn class(&self) -> Class {
        self.class()
    }

    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn is_interrupt(&self) -> bool {
        matches!(
            self,
            BuildError::Pass(PassError::Interrupted) | BuildError::Pack(PackError::Interrupted)
        )
    }
}

/// The same error without the path of a temporary file, whose random name helps nobody.
pub(crate) fn without_temporary(error: std::io::Error) -> std::io::Error {
    let text = error.to_string();
    match text.split_once(" at path ") {
        Some((cause, _)) => std::io::Error::new(error.kind(), cause),
        None => error,
    }
}

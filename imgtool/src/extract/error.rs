//! Why files can't be extracted.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::Class;
use crate::inspect::{FileKind, InspectError};

/// Why files can't be extracted. Paths of what is made are escaped, because an image names them.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The image can't be read, or what is asked for is not in it.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The directory that files go to is none, or can't be made.
    #[error("{}: can't be opened as a directory", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Something is there that was not to be replaced.
    #[error("{0}: is there already")]
    Exists(String),
    /// A directory is never replaced by anything else.
    #[error("{path}: is a directory there, and a {kind} in the image")]
    IsDirectory {
        /// Where.
        path: String,
        /// What it is in the image.
        kind: FileKind,
    },
    /// A file can't be made or written.
    #[error("{path}: can't be written")]
    Write {
        /// The file.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// Asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl ExtractError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            ExtractError::Inspect(e) => e.class(),
            ExtractError::Interrupted => Class::Failed,
            _ => Class::Input,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            ExtractError::Inspect(e) => e.hint(),
            ExtractError::Exists(_) => {
                Some("--force replaces files; another directory is the safer choice".to_owned())
            }
            // chown(2) of somebody who is not root, and of owners that a user namespace has not.
            ExtractError::Write { source, .. }
                if [Errno::PERM, Errno::INVAL]
                    .iter()
                    .any(|e| source.raw_os_error() == Some(e.raw_os_error())) =>
            {
                Some("--no-owners makes all files your own".to_owned())
            }
            _ => None,
        }
    }
}

//! Why an image can't be inspected.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::select::Missing;
use crate::Class;
use crate::pack::PackError;

/// Why a file can't be inspected. `Display` never repeats its source.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The file can't be read.
    #[error("{}: can't be read", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// It is a directory, a device or the like.
    #[error("{}: not a regular file, so not an image", .0.display())]
    NotAFile(PathBuf),
    /// The pack or its manifest.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// It is no image, or a damaged one.
    #[error("{}: not an intact disk image", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ImageError,
    },
    /// What is asked for is not in it.
    #[error("{}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What is not there.
        source: Missing,
    },
}

impl InspectError {
    /// That of the image at `path`. What is wrong with a pack's blocks is told as such, where it
    /// comes out of a read.
    pub(super) fn of(path: &Path, source: ImageError) -> InspectError {
        let source = match source {
            ImageError::Read(error) => match error.downcast::<PackError>() {
                Ok(error) => return InspectError::Pack(error),
                Err(error) => ImageError::Read(error),
            },
            source => source,
        };
        InspectError::Image {
            path: path.to_owned(),
            source,
        }
    }

    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            InspectError::Image {
                source: ImageError::Read(_),
                ..
            } => Class::Failed,
            InspectError::Pack(e) => e.class(),
            _ => Class::Input,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            InspectError::Image {
                source: ImageError::NoTable,
                ..
            } => Some("raw disk images are read, as imgtool build writes".to_owned()),
            InspectError::Missing { source, .. } => source.hint(),
            InspectError::Pack(PackError::Read { path, source })
                if source.kind() == io::ErrorKind::NotFound
                    && path.extension().is_some_and(|e| e == "json") =>
            {
                Some("a pack's manifest is beside it, with .json behind its name".to_owned())
            }
            _ => None,
        }
    }
}

/// What is wrong with an image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It can't be read.
    #[error("reading failed")]
    Read(#[source] io::Error),
    /// There is no GUID partition table.
    #[error("no GUID partition table")]
    NoTable,
    /// The partition table is damaged.
    #[error("partition table: {0}")]
    Table(String),
    /// What a partition holds is damaged.
    #[error("partition {number} ({name:?}): {why}")]
    Partition {
        /// Its number, from 1.
        number: u32,
        /// Its name in the partition table.
        name: String,
        /// What is wrong.
        why: String,
    },
}

/// What goes wrong inside a partition, before it is known which.
#[derive(Debug)]
pub(super) enum Fault {
    /// The image can't be read.
    Read(io::Error),
    /// What was read is wrong.
    Bad(String),
}

impl Fault {
    pub(super) fn in_partition(self, number: u32, name: &str) -> ImageError {
        match self {
            Fault::Read(e) => ImageError::Read(e),
            Fault::Bad(why) => ImageError::Partition {
                number,
                name: name.to_owned(),
                why,
            },
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Read(e) => e.fmt(f),
            Fault::Bad(why) => f.write_str(why),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(e: io::Error) -> Fault {
        // A window ends where its partition does: content that points past it is wrong.
        if e.kind() == io::ErrorKind::UnexpectedEof {
            Fault::Bad("content lies beyond the partition's end".to_owned())
        } else {
            Fault::Read(e)
        }
    }
}

/// `Err(Fault::Bad)` of a text.
pub(super) fn bad<T>(why: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Bad(why.into()))
}

//! Why an image can't be inspected.

use std::io;
use std::path::PathBuf;

use crate::error::Class;
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
}

impl InspectError {
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
            } => Some("imgtool inspect reads raw disk images, as imgtool build writes".to_owned()),
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

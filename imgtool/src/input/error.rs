//! Why an input is refused.

use crate::Class;
use crate::tree::{ContentError, TreeError};
use std::path::Path;

/// Why an input is refused. Each message names the file, and within it the entry.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A file of the host can't be opened or read.
    #[error("{path}: can't be read")]
    Io {
        /// The file.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A temporary file can't be written.
    #[error("{dir}: can't hold a temporary file")]
    Spool {
        /// The directory for temporary files.
        dir: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A file or directory of the host that an image can't be made from.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// Something in an archive, at an entry whose name is known.
    #[error("{archive}: entry {entry:?}: {why}")]
    Entry {
        /// The archive.
        archive: String,
        /// The entry's name, lossily decoded.
        entry: String,
        /// What is wrong with it.
        why: String,
    },
    /// Something in an archive, at a byte offset.
    #[error("{archive}: at byte {offset}: {why}")]
    Offset {
        /// The archive.
        archive: String,
        /// Where in it (after decompression).
        offset: u64,
        /// What is wrong there.
        why: String,
    },
    /// Compressed data that does not decompress.
    #[error("{name}: its {format} data is corrupt or cut off")]
    Decompress {
        /// The archive.
        name: String,
        /// Its compression.
        format: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// More content than `--max-size`.
    #[error("{name}: more than {limit} bytes of content (--max-size)")]
    TooLarge {
        /// The input.
        name: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// More files than [`Options::max_files`](super::Options::max_files).
    #[error("{name}: more than {limit} files")]
    TooManyFiles {
        /// The input.
        name: String,
        /// The limit.
        limit: u64,
    },
    /// A container image that is not one.
    #[error("{image}: {why}")]
    Image {
        /// The image.
        image: String,
        /// What is wrong with it.
        why: String,
    },
    /// A blob of a container image.
    #[error("{image}: blob {blob}: {why}")]
    Blob {
        /// The image.
        image: String,
        /// The blob's digest or path.
        blob: String,
        /// What is wrong with it.
        why: String,
    },
    /// A document of a container image that does not parse.
    #[error("{image}: {document} is not what it should be")]
    Json {
        /// The image.
        image: String,
        /// The document.
        document: String,
        /// The cause.
        source: serde_json::Error,
    },
    /// Libraries of a dynamic executable that are not on this host.
    #[error("{path}: needs {}, not found on this host", missing.join(", "))]
    Libraries {
        /// The executable.
        path: String,
        /// What is missing, and what needs it.
        missing: Vec<String>,
    },
    /// A user or group that the image does not have.
    #[error("user {user:?}: {why}")]
    User {
        /// As asked for.
        user: String,
        /// What is wrong with it.
        why: String,
    },
    /// A change that the tree refuses.
    #[error("{name}: can't become part of the image")]
    Tree {
        /// The input.
        name: String,
        /// The cause.
        source: TreeError,
    },
    /// Content that can't be read.
    #[error(transparent)]
    Content(#[from] ContentError),
}

impl InputError {
    /// Whose fault it is: always the input's, for a person chose it and its size.
    pub fn class(&self) -> Class {
        Class::Input
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            InputError::Spool { .. } => "free some room there, or name another directory",
            InputError::TooLarge { .. } => {
                "if that much is right, raise --max-size; an archive that grows without end is a bomb"
            }
            InputError::TooManyFiles { .. } => {
                "an image has one file system, and this is the most that it may hold"
            }
            InputError::Libraries { .. } => {
                "install them here, or link the program statically \
                 (RUSTFLAGS=\"-C target-feature=+crt-static\", CGO_ENABLED=0, cc -static)"
            }
            InputError::User { .. } => {
                "name one that the image has, or give numbers, which need no names: --user UID:GID"
            }
            InputError::Decompress { .. } => "fetch or make the archive again",
            InputError::Io { source, .. }
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                "make it readable to you, or leave it out of the input"
            }
            _ => return None,
        };
        Some(hint.to_string())
    }

    pub(super) fn io(path: &Path, source: std::io::Error) -> InputError {
        InputError::Io {
            path: path.display().to_string(),
            source,
        }
    }

    pub(super) fn file(path: &Path, why: impl Into<String>) -> InputError {
        InputError::File {
            path: path.display().to_string(),
            why: why.into(),
        }
    }
}

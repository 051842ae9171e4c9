//! What goes wrong with packs and manifests.

use crate::Class;
use std::io;
use std::path::PathBuf;

/// What goes wrong with packs and manifests.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The pack or manifest can't be written.
    #[error("{path}: can't be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The pack or manifest can't be read.
    #[error("{path}: can't be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// zstd refused.
    #[error("zstd compression failed")]
    Compress(#[source] io::Error),
    /// The manifest is not one.
    #[error("{path}: not a manifest of a pack: {why}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A block of the pack is not what the manifest says.
    #[error(
        "{path}: block {index}: {why}; the pack and its manifest do not belong together, or one is damaged"
    )]
    Block {
        /// The pack.
        path: PathBuf,
        /// Index of the block on the disk.
        index: u64,
        /// What is wrong.
        why: String,
    },
    /// Asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl PackError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            PackError::Compress(_) | PackError::Interrupted => Class::Failed,
            _ => Class::Input,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            PackError::Read { path, source }
                if source.kind() == io::ErrorKind::NotFound
                    && path.extension().is_some_and(|e| e == "json") =>
            {
                Some("a pack's manifest is beside it; --manifest names another file".to_owned())
            }
            PackError::Manifest { .. } => {
                Some("take the manifest that `imgtool build --pack` wrote with the pack".to_owned())
            }
            _ => None,
        }
    }
}

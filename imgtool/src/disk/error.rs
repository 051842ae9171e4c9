//! Why a disk can't be laid out.

use crate::Class;

/// Why a disk can't be laid out.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The tree holds something the root file system can't.
    #[error("{path}: {why}")]
    Unrepresentable {
        /// Path in the image.
        path: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// The content does not fit.
    #[error(
        "the content needs a disk of {needed} bytes, and --size allows {allowed}: \
         give at least {needed}, or leave --size out for an exact fit"
    )]
    TooSmall {
        /// Bytes the disk must have.
        needed: u64,
        /// Bytes it may have.
        allowed: u64,
    },
    /// The disk would be larger than the formats allow.
    #[error("a disk of {0} bytes is larger than the 16 TiB that the root file system can have")]
    TooLarge(u64),
    /// The boot files are larger than a FAT32 file can be.
    #[error("the boot files take {0} bytes, more than a FAT32 file can hold (4 GiB)")]
    BootFilesTooLarge(u64),
    /// The ext4 writer refused the plan.
    #[error("the root file system can't be laid out")]
    Ext4(#[source] mkext4::Error),
    /// The partition table writer refused the plan.
    #[error("the partition table can't be written")]
    Gpt(#[source] gpt::GptError),
    /// The boot stage refused its parameters.
    #[error("the BIOS boot stage can't be made: {0}")]
    Bios(String),
    /// Two parts of the plan claim the same bytes: a defect of ours.
    #[error("the disk plan contradicts itself (please report this)")]
    Overlap(#[from] super::OverlapError),
    /// A writer did not keep to what we rely on: a defect of ours.
    #[error("{0} (please report this)")]
    Internal(String),
}

impl DiskError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            DiskError::Unrepresentable { .. }
            | DiskError::TooSmall { .. }
            | DiskError::TooLarge(_)
            | DiskError::BootFilesTooLarge(_)
            | DiskError::Bios(_)
            | DiskError::Ext4(_) => Class::Input,
            DiskError::Gpt(_) | DiskError::Overlap(_) | DiskError::Internal(_) => Class::Failed,
        }
    }
}

//! Which partition of an image is meant, and what is asked for that is not there.

use std::fmt;

use super::entry::FileKind;
use super::error::ImageError;
use super::ext4::{self, NotFound};
use super::report::PartitionReport;
use super::table::ROOT_X86_64;
use super::window::Window;

/// What is asked for, and not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// No partition has an ext4 file system.
    #[error("no root file system: no partition has ext4")]
    Root,
    /// Partitions of these numbers have one, and nothing says which is the root.
    #[error("which root file system? Partitions {} have ext4", Numbers(.0))]
    OneRoot(Vec<u32>),
    /// No partition has this number or name.
    #[error("no partition {0:?}")]
    Partition(String),
    /// A partition has neither ext4 nor, by its type, FAT.
    #[error("{0}: neither ext4 nor FAT")]
    FileSystem(String),
    /// A path.
    #[error("{path}: {why} in {partition}")]
    Path {
        /// The path, escaped.
        path: String,
        /// Where it was looked for.
        partition: String,
        /// What it is instead.
        why: NotFound,
    },
    /// What is at a path has no content.
    #[error("{path}: a {kind}, not a file, in {partition}")]
    NotAFile {
        /// The path, escaped.
        path: String,
        /// Where it is.
        partition: String,
        /// What it is.
        kind: FileKind,
    },
}

impl Missing {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Missing::Path { .. } | Missing::NotAFile { .. } => None,
            _ => Some(
                "`imgtool inspect` shows the partitions; --partition lists the one of a number or \
                 name"
                    .to_owned(),
            ),
        }
    }
}

struct Numbers<'a>(&'a [u32]);

impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<_> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&numbers.join(", "))
    }
}

/// The partition of a number or name.
pub(super) fn named(
    partitions: Vec<PartitionReport>,
    wanted: &str,
) -> Result<PartitionReport, Missing> {
    let number: Option<u32> = wanted.parse().ok();
    let at = partitions
        .iter()
        .position(|p| Some(p.number) == number)
        .or_else(|| partitions.iter().position(|p| p.name == wanted));
    at.and_then(|at| partitions.into_iter().nth(at))
        .ok_or_else(|| Missing::Partition(wanted.to_owned()))
}

/// The partition with the root file system: by its type, or the only one with ext4.
pub(super) fn root(
    disk: &Window,
    partitions: Vec<PartitionReport>,
) -> Result<Result<PartitionReport, Missing>, ImageError> {
    let mut found = Vec::new();
    for partition in partitions {
        let window = disk.part(partition.start, partition.size);
        let mut window = window.map_err(ImageError::Read)?;
        let is_ext4 = ext4::is_ext4(&mut window)
            .map_err(|fault| fault.in_partition(partition.number, &partition.name))?;
        if is_ext4 {
            found.push(partition);
        }
    }
    let typed = |p: &PartitionReport| p.type_guid == ROOT_X86_64;
    if found.iter().filter(|p| typed(p)).count() == 1 {
        found.retain(typed);
    }
    let numbers = found.iter().map(|p| p.number).collect();
    Ok(match (found.pop(), found.is_empty()) {
        (None, _) => Err(Missing::Root),
        (Some(partition), true) => Ok(partition),
        (Some(_), false) => Err(Missing::OneRoot(numbers)),
    })
}

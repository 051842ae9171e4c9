//! The files in a file system of an image, one after the other.

use std::path::Path;

use super::ReadSeek;
use super::entry::Entry;
use super::error::InspectError;
use super::file_system::{FileSystem, Files};
use super::report::PartitionReport;

/// What is to be listed.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Number or name of the partition; by default the one with the root file system.
    pub partition: Option<String>,
    /// A directory, with all below it, or another file. A slash in front makes no difference; the
    /// empty path is the root directory.
    pub path: Vec<u8>,
}

/// The files, sorted by the bytes of their paths. Ends after an error.
pub struct Listing {
    file_system: FileSystem,
    files: Files,
}

impl Listing {
    fn new(mut file_system: FileSystem, path: &[u8]) -> Result<Listing, InspectError> {
        let files = file_system.files(path)?;
        Ok(Listing { file_system, files })
    }

    /// The partition that the files are in.
    pub fn in_partition(&self) -> &PartitionReport {
        self.file_system.in_partition()
    }

    /// The kind of its file system: `ext4` or `fat`, as [`Content`](super::Content) has it.
    pub fn file_system(&self) -> &'static str {
        self.file_system.kind()
    }
}

impl Iterator for Listing {
    type Item = Result<Entry, InspectError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.file_system.next(&mut self.files)
    }
}

/// Lists files of the image at `path`: a raw disk, or a pack with its manifest beside it.
pub fn list_image(path: &Path, query: &Query) -> Result<Listing, InspectError> {
    let file_system = FileSystem::open(path, query.partition.as_deref())?;
    Listing::new(file_system, &query.path)
}

/// Lists files of an image behind any reader, which messages call `path`.
pub fn list(image: impl ReadSeek, path: &Path, query: &Query) -> Result<Listing, InspectError> {
    let file_system = FileSystem::new(image, path, query.partition.as_deref())?;
    Listing::new(file_system, &query.path)
}

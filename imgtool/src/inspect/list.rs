//! The files in a file system of an image, one after the other.

use std::fmt;
use std::path::{Path, PathBuf};
use std::vec;

use super::entry::{Entry, FileKind};
use super::error::{Fault, ImageError, InspectError};
use super::escape::Escaped;
use super::ext4::{self, Ext4, NotFound, Walk};
use super::fat::Fat;
use super::report::PartitionReport;
use super::table::{self, ROOT_X86_64};
use super::window::Window;
use super::{Image, ReadSeek};

/// What is to be listed.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Number or name of the partition; by default the one with the root file system.
    pub partition: Option<String>,
    /// A directory, with all below it, or another file. A slash in front makes no difference; the
    /// empty path is the root directory.
    pub path: Vec<u8>,
}

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
}

impl Missing {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Missing::Path { .. } => None,
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

/// The files, sorted by the bytes of their paths. Ends after an error.
///
/// The image is read as it goes: memory is for the names in the directories on the way to the
/// present one, and, of a pack, for a few of its blocks.
pub struct Listing {
    image: PathBuf,
    partition: PartitionReport,
    files: Files,
}

enum Files {
    Ext4(Box<Walk>),
    Fat(vec::IntoIter<Entry>),
    Ended,
}

impl Listing {
    /// The partition that the files are in.
    pub fn in_partition(&self) -> &PartitionReport {
        &self.partition
    }

    /// The kind of its file system: `ext4` or `fat`, as [`Content`](super::Content) has it.
    pub fn file_system(&self) -> &'static str {
        match self.files {
            Files::Fat(_) => "fat",
            _ => "ext4",
        }
    }
}

impl Iterator for Listing {
    type Item = Result<Entry, InspectError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = match &mut self.files {
            Files::Ext4(walk) => walk.next().transpose(),
            Files::Fat(entries) => entries.next().map(Ok),
            Files::Ended => None,
        }?;
        Some(found.map_err(|fault| {
            self.files = Files::Ended;
            let fault = fault.in_partition(self.partition.number, &self.partition.name);
            InspectError::of(&self.image, fault)
        }))
    }
}

/// Lists files of the image at `path`: a raw disk, or a pack with its manifest beside it.
pub fn list_image(path: &Path, query: &Query) -> Result<Listing, InspectError> {
    match Image::open(path)? {
        Image::Raw(file) => list(file, path, query),
        Image::Pack(disk) => list(*disk, path, query),
    }
}

/// Lists files of an image behind any reader, which messages call `path`.
pub fn list(image: impl ReadSeek, path: &Path, query: &Query) -> Result<Listing, InspectError> {
    let failed = |error| InspectError::of(path, error);
    let missing = |missing| InspectError::Missing {
        path: path.to_owned(),
        source: missing,
    };
    let mut disk = Window::whole(image).map_err(|e| failed(ImageError::Read(e)))?;
    let table = table::read(&mut disk).map_err(failed)?;
    let partition = match &query.partition {
        Some(wanted) => named(table.partitions, wanted),
        None => root(&disk, table.partitions).map_err(failed)?,
    }
    .map_err(missing)?;
    let damaged = |fault: Fault| failed(fault.in_partition(partition.number, &partition.name));
    let not_found = |why| {
        missing(Missing::Path {
            path: Escaped(&query.path).to_string(),
            partition: partition.label(),
            why,
        })
    };
    let mut window = disk
        .part(partition.start, partition.size)
        .map_err(|e| failed(ImageError::Read(e)))?;
    let files = if ext4::is_ext4(&mut window).map_err(damaged)? {
        let mut fs = Ext4::open(window).map_err(damaged)?;
        let found = fs.find(&query.path, false).map_err(damaged)?;
        let found = found.map_err(not_found)?;
        Files::Ext4(Box::new(Walk::new(fs, found)))
    } else if partition.is_fat() {
        let entries = fat(window, &query.path).map_err(damaged)?;
        Files::Fat(entries.map_err(not_found)?.into_iter())
    } else {
        return Err(missing(Missing::FileSystem(partition.label())));
    };
    Ok(Listing {
        image: path.to_owned(),
        partition,
        files,
    })
}

/// The partition of a number or name.
fn named(partitions: Vec<PartitionReport>, wanted: &str) -> Result<PartitionReport, Missing> {
    let number: Option<u32> = wanted.parse().ok();
    let at = partitions
        .iter()
        .position(|p| Some(p.number) == number)
        .or_else(|| partitions.iter().position(|p| p.name == wanted));
    at.and_then(|at| partitions.into_iter().nth(at))
        .ok_or_else(|| Missing::Partition(wanted.to_owned()))
}

/// The partition with the root file system: by its type, or the only one with ext4.
fn root(
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

/// What a FAT volume has at and below `path`. Case makes no difference in `path`.
fn fat(volume: Window, path: &[u8]) -> Result<Result<Vec<Entry>, NotFound>, Fault> {
    // Paths as the volume's: without slashes at the ends; the root's is empty.
    let mut wanted: Vec<&[u8]> = Vec::new();
    for name in path.split(|&b| b == b'/') {
        match name {
            b"" | b"." => {}
            b".." => drop(wanted.pop()),
            name => wanted.push(name),
        }
    }
    let wanted = wanted.join(&b'/');
    let mut entries = vec![(String::new(), FileKind::Directory, 0)];
    for file in Fat::open(volume)?.report()?.files {
        let (path, kind) = match file.path.strip_suffix('/') {
            Some(path) => (path.to_owned(), FileKind::Directory),
            None => (file.path, FileKind::File),
        };
        entries.push((path, kind, file.size));
    }
    let is = |path: &str| path.as_bytes().eq_ignore_ascii_case(&wanted);
    let below = |path: &str| {
        wanted.is_empty()
            || path
                .as_bytes()
                .split_at_checked(wanted.len())
                .is_some_and(|(start, rest)| {
                    start.eq_ignore_ascii_case(&wanted) && rest.first() == Some(&b'/')
                })
    };
    let only_directory = path.ends_with(b"/") || path.ends_with(b"/.");
    entries.retain(|(path, ..)| is(path) || below(path));
    match entries.as_slice() {
        [] => return Ok(Err(NotFound::NoEntry)),
        [(_, FileKind::File, _)] if only_directory => return Ok(Err(NotFound::NotADirectory)),
        _ => {}
    }
    entries.sort_unstable_by(|(a, ..), (b, ..)| a.cmp(b));
    let entries = entries.into_iter().map(|(path, kind, size)| Entry {
        path: format!("/{path}").into_bytes(),
        kind,
        size,
        unix: None,
        target: None,
        device: None,
    });
    Ok(Ok(entries.collect()))
}

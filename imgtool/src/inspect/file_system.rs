//! The file system in a partition of an image: what is at a path, all files below it, and a file's
//! content and attributes.

use std::path::{Path, PathBuf};

use super::entry::{Attributes, Entry, FileKind};
use super::error::{Fault, ImageError, InspectError};
use super::escape::Escaped;
use super::ext4::{self, Ext4, NotFound};
use super::fat::{self, Fat};
use super::report::PartitionReport;
use super::select::{Missing, named, root};
use super::table;
use super::window::Window;
use super::{Image, ReadSeek};

/// An opened file system, ext4 or FAT.
///
/// The image is read as it goes: memory is for the names in the directories on the way to the
/// present one, and, of a pack, for a few of its blocks.
pub struct FileSystem {
    image: PathBuf,
    partition: PartitionReport,
    volume: Volume,
}

enum Volume {
    Ext4(Box<Ext4>),
    Fat(Box<Fat>, Vec<FatFile>),
}

/// A file of a FAT volume. They are sorted by path; the root directory, which has no entry, is the
/// first one.
struct FatFile {
    path: String,
    kind: FileKind,
    entry: Option<fat::Entry>,
}

/// Files that are gone through by [`FileSystem::next`], sorted by the bytes of their paths.
pub struct Files(Step);

enum Step {
    Ext4(Box<ext4::Walk>),
    Fat(std::vec::IntoIter<Entry>),
    Ended,
}

/// The content of a file, read by [`FileSystem::read`].
pub struct FileContent {
    path: Vec<u8>,
    reader: Reader,
}

enum Reader {
    Ext4(Box<ext4::Content>),
    Fat(fat::Content),
}

impl FileSystem {
    /// Bytes of a buffer that [`FileSystem::read`] takes: the largest cluster of FAT, and eight of
    /// the largest blocks of ext4.
    pub const BUFFER: usize = 512 << 10;

    /// Opens that of the image at `path`, a raw disk or a pack with its manifest beside it: of the
    /// partition of this number or name, by default the one with the root file system.
    pub fn open(path: &Path, partition: Option<&str>) -> Result<FileSystem, InspectError> {
        match Image::open(path)? {
            Image::Raw(file) => FileSystem::new(file, path, partition),
            Image::Pack(disk) => FileSystem::new(*disk, path, partition),
        }
    }

    /// The same of an image behind any reader, which messages call `path`.
    pub fn new(
        image: impl ReadSeek,
        path: &Path,
        partition: Option<&str>,
    ) -> Result<FileSystem, InspectError> {
        let failed = |error| InspectError::of(path, error);
        let missing = |source| InspectError::Missing {
            path: path.to_owned(),
            source,
        };
        let mut disk = Window::whole(image).map_err(|e| failed(ImageError::Read(e)))?;
        let table = table::read(&mut disk).map_err(failed)?;
        let partition = match partition {
            Some(wanted) => named(table.partitions, wanted),
            None => root(&disk, table.partitions).map_err(failed)?,
        }
        .map_err(missing)?;
        let damaged = |fault: Fault| failed(fault.in_partition(partition.number, &partition.name));
        let mut window = disk
            .part(partition.start, partition.size)
            .map_err(|e| failed(ImageError::Read(e)))?;
        let volume = if ext4::is_ext4(&mut window).map_err(damaged)? {
            Volume::Ext4(Box::new(Ext4::open(window).map_err(damaged)?))
        } else if partition.is_fat() {
            let mut fat = Fat::open(window).map_err(damaged)?;
            let files = fat_files(&mut fat).map_err(damaged)?;
            Volume::Fat(Box::new(fat), files)
        } else {
            return Err(missing(Missing::FileSystem(partition.label())));
        };
        Ok(FileSystem {
            image: path.to_owned(),
            partition,
            volume,
        })
    }

    /// The partition that it is in.
    pub fn in_partition(&self) -> &PartitionReport {
        &self.partition
    }

    /// Its kind: `ext4` or `fat`, as [`Content`](super::report::Content) has it.
    pub fn kind(&self) -> &'static str {
        match self.volume {
            Volume::Ext4(_) => "ext4",
            Volume::Fat(..) => "fat",
        }
    }

    /// What is at `path`. Symbolic links on the way are followed, as from the root of the file
    /// system; the last name's only if `follow` says so or a slash is behind it. A slash in front
    /// makes no difference; the empty path is the root directory.
    pub fn entry(&mut self, path: &[u8], follow: bool) -> Result<Entry, InspectError> {
        let found = match &mut self.volume {
            Volume::Ext4(fs) => match fs.find(path, follow) {
                Ok(Ok(found)) => ext4::entry(fs, &found.path, &found.inode).map(Ok),
                Ok(Err(why)) => Ok(Err(why)),
                Err(fault) => Err(fault),
            },
            Volume::Fat(_, files) => Ok(fat_at(files, path).map(|mut found| found.remove(0))),
        };
        found
            .map_err(|fault| self.damaged(fault))?
            .map_err(|why| self.not_found(path, why))
    }

    /// What is at `path`, as [`FileSystem::entry`] says without following the last link, and all
    /// below it.
    pub fn files(&mut self, path: &[u8]) -> Result<Files, InspectError> {
        let found = match &mut self.volume {
            Volume::Ext4(fs) => fs
                .find(path, false)
                .map(|found| found.map(|found| Step::Ext4(Box::new(ext4::Walk::new(found))))),
            Volume::Fat(_, files) => {
                Ok(fat_at(files, path).map(|found| Step::Fat(found.into_iter())))
            }
        };
        found
            .map_err(|fault| self.damaged(fault))?
            .map_err(|why| self.not_found(path, why))
            .map(Files)
    }

    /// The next one of `files`, which are of this file system. Ends after an error.
    pub fn next(&mut self, files: &mut Files) -> Option<Result<Entry, InspectError>> {
        let found = match (&mut files.0, &mut self.volume) {
            (Step::Ext4(walk), Volume::Ext4(fs)) => walk.next(fs).transpose(),
            (Step::Fat(entries), _) => entries.next().map(Ok),
            _ => None,
        }?;
        Some(found.map_err(|fault| {
            files.0 = Step::Ended;
            self.damaged(fault)
        }))
    }

    /// When a file was changed, and its extended attributes.
    pub fn attributes(&mut self, entry: &Entry) -> Result<Attributes, InspectError> {
        let found = match (&mut self.volume, &entry.unix) {
            (Volume::Ext4(fs), Some(unix)) => fs.inode(unix.inode).and_then(|inode| {
                Ok(Attributes {
                    modified: inode.mtime,
                    nanoseconds: inode.mtime_nanoseconds,
                    extended: fs.attributes(&inode)?,
                })
            }),
            (Volume::Fat(_, files), _) => Ok(Attributes {
                modified: fat_entry(files, &entry.path).map_or(0, |entry| entry.modified),
                ..Attributes::default()
            }),
            _ => Ok(Attributes::default()),
        };
        found.map_err(|fault| self.damaged_at(&entry.path, fault))
    }

    /// Begins to read a file.
    pub fn content(&mut self, entry: &Entry) -> Result<FileContent, InspectError> {
        let reader = match (&mut self.volume, &entry.unix) {
            _ if entry.kind != FileKind::File => None,
            (Volume::Ext4(fs), Some(unix)) => Some(
                fs.inode(unix.inode)
                    .and_then(|inode| fs.open_content(inode))
                    .map(|content| Reader::Ext4(Box::new(content))),
            ),
            (Volume::Fat(_, files), _) => {
                fat_entry(files, &entry.path).map(|entry| Ok(Reader::Fat(fat::Content::new(entry))))
            }
            _ => None,
        };
        match reader {
            Some(Ok(reader)) => Ok(FileContent {
                path: entry.path.clone(),
                reader,
            }),
            Some(Err(fault)) => Err(self.damaged_at(&entry.path, fault)),
            None => Err(self.missing(Missing::NotAFile {
                path: Escaped(&entry.path).to_string(),
                partition: self.partition.label(),
                kind: entry.kind,
            })),
        }
    }

    /// Reads the next piece of a file's content into `buf`, which has [`FileSystem::BUFFER`] bytes:
    /// where in the file it is, and its length. `None` at the end. Between pieces, and up to the
    /// file's size, are holes.
    pub fn read(
        &mut self,
        content: &mut FileContent,
        buf: &mut [u8],
    ) -> Result<Option<(u64, usize)>, InspectError> {
        let piece = match (&mut content.reader, &mut self.volume) {
            (Reader::Ext4(reader), Volume::Ext4(fs)) => reader.next(fs, buf),
            (Reader::Fat(reader), Volume::Fat(fat, _)) => reader.next(fat, buf),
            _ => Ok(None),
        };
        piece.map_err(|fault| self.damaged_at(&content.path, fault))
    }

    fn damaged(&self, fault: Fault) -> InspectError {
        let fault = fault.in_partition(self.partition.number, &self.partition.name);
        InspectError::of(&self.image, fault)
    }

    fn damaged_at(&self, path: &[u8], fault: Fault) -> InspectError {
        self.damaged(match fault {
            Fault::Bad(why) => Fault::Bad(format!("{}: {why}", Escaped(path))),
            fault => fault,
        })
    }

    fn missing(&self, source: Missing) -> InspectError {
        InspectError::Missing {
            path: self.image.clone(),
            source,
        }
    }

    fn not_found(&self, path: &[u8], why: NotFound) -> InspectError {
        self.missing(Missing::Path {
            path: Escaped(path).to_string(),
            partition: self.partition.label(),
            why,
        })
    }
}

/// All files of a volume.
fn fat_files(fat: &mut Fat) -> Result<Vec<FatFile>, Fault> {
    let mut files = vec![FatFile {
        path: String::new(),
        kind: FileKind::Directory,
        entry: None,
    }];
    for entry in fat.files()? {
        let (path, kind) = match entry.path.strip_suffix('/') {
            Some(path) => (path.to_owned(), FileKind::Directory),
            None => (entry.path.clone(), FileKind::File),
        };
        files.push(FatFile {
            path,
            kind,
            entry: Some(entry),
        });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// What a FAT volume has at and below `path`. Case makes no difference in `path`.
fn fat_at(files: &[FatFile], path: &[u8]) -> Result<Vec<Entry>, NotFound> {
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
    let found: Vec<&FatFile> = files
        .iter()
        .filter(|file| is(&file.path) || below(&file.path))
        .collect();
    match found.as_slice() {
        [] => return Err(NotFound::NoEntry),
        [file] if only_directory && file.kind == FileKind::File => {
            return Err(NotFound::NotADirectory);
        }
        _ => {}
    }
    let entries = found.into_iter().map(|file| Entry {
        path: format!("/{}", file.path).into_bytes(),
        kind: file.kind,
        size: file.entry.as_ref().map_or(0, |entry| entry.size),
        unix: None,
        target: None,
        device: None,
    });
    Ok(entries.collect())
}

/// The directory entry of the file at `path`, which [`fat_at`] gave.
fn fat_entry<'a>(files: &'a [FatFile], path: &[u8]) -> Option<&'a fat::Entry> {
    let path = path.strip_prefix(b"/")?;
    let found = files.binary_search_by(|file| file.path.as_bytes().cmp(path));
    files.get(found.ok()?)?.entry.as_ref()
}

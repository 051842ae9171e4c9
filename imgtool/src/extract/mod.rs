//! Files of an image, made in a directory of this machine.
//!
//! The image is hostile: what it is read by (`inspect`) does not trust it, and what files are made
//! by (`destination`) never leaves the directory.

mod destination;
mod error;
mod losses;
mod metadata;

pub use error::ExtractError;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FileType, Mode, OFlags, makedev, mknodat, openat, symlinkat};
use rustix::io::Errno;
use serde::Serialize;

use crate::inspect::{Attributes, Device, Entry, Escaped, FileKind, FileSystem};
use crate::pass::Progress;
use destination::{Destination, Place};
use losses::Losses;
use metadata::Target;

/// What is to be extracted, and how.
#[derive(Debug)]
pub struct Request<'a> {
    /// The raw disk or pack.
    pub image: &'a Path,
    /// Number or name of the partition; by default the one with the root file system.
    pub partition: Option<&'a str>,
    /// Files, and directories with all below them; if there is none, everything.
    pub paths: &'a [Vec<u8>],
    /// Where they go. It is made if it is not there.
    pub directory: &'a Path,
    /// Whether files get their owners; otherwise they are the caller's, without set-user-ID,
    /// set-group-ID and capabilities.
    pub owners: bool,
    /// Whether devices are made.
    pub devices: bool,
    /// Whether files that are there are replaced, and directories changed.
    pub force: bool,
}

/// What was extracted.
#[derive(Debug, Default, Serialize)]
pub struct Extracted {
    /// Regular files, each once.
    pub files: u64,
    /// Their bytes, holes among them.
    pub bytes: u64,
    /// Further names of files.
    pub hard_links: u64,
    /// Directories, also those that were there.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Devices, named pipes and sockets.
    pub special: u64,
    /// What the destination does not have of it, in sentences.
    pub warnings: Vec<String>,
}

/// Extracts files. What was extracted before an error stays, every file of it whole.
pub fn extract(
    request: &Request,
    progress: &dyn Progress,
    cancel: &AtomicBool,
) -> Result<Extracted, ExtractError> {
    let mut fs = FileSystem::open(request.image, request.partition)?;
    let paths = real_paths(&mut fs, request.paths)?;
    let destination =
        Destination::open(request.directory).map_err(|source| ExtractError::Directory {
            path: request.directory.into(),
            source,
        })?;
    let mut extraction = Extraction {
        request,
        fs,
        destination,
        progress,
        cancel,
        buf: vec![0; FileSystem::BUFFER],
        directories: BTreeMap::new(),
        first_names: BTreeMap::new(),
        extracted: Extracted::default(),
        losses: Losses::default(),
    };
    let result = extraction.paths(&paths);
    // Directories are closed to all others until then.
    let finished = extraction.finish_directories();
    result.and(finished)?;
    extraction.extracted.warnings = extraction.losses.warnings();
    Ok(extraction.extracted)
}

/// Where paths lead, sorted, without those that lie below another one.
fn real_paths(fs: &mut FileSystem, paths: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, ExtractError> {
    let mut real = Vec::new();
    for path in paths {
        real.push(fs.entry(path, false)?.path);
    }
    if real.is_empty() {
        real.push(b"/".to_vec());
    }
    real.sort();
    let all = real.clone();
    real.retain(|path| {
        !all.iter()
            .any(|above| path != above && is_below(path, above))
    });
    real.dedup();
    Ok(real)
}

fn is_below(path: &[u8], above: &[u8]) -> bool {
    above == b"/"
        || path
            .strip_prefix(above)
            .is_some_and(|rest| rest.first() == Some(&b'/'))
}

struct Extraction<'a> {
    request: &'a Request<'a>,
    fs: FileSystem,
    destination: Destination,
    progress: &'a dyn Progress,
    cancel: &'a AtomicBool,
    buf: Vec<u8>,
    /// Directories of the image that are there now, and those that get mode and times at the end,
    /// when nothing is made in them any more.
    directories: BTreeMap<Vec<u8>, Option<(Entry, Attributes)>>,
    /// Of files with several names, by inode, the one that was made.
    first_names: BTreeMap<u32, Vec<u8>>,
    extracted: Extracted,
    losses: Losses,
}

impl Extraction<'_> {
    /// Extracts these paths, each with its parents.
    fn paths(&mut self, paths: &[Vec<u8>]) -> Result<(), ExtractError> {
        for path in paths {
            let slashes = path.iter().enumerate().filter(|(_, b)| **b == b'/');
            for (end, _) in slashes.filter(|_| path.len() > 1) {
                let parent = if end == 0 { &b"/"[..] } else { &path[..end] };
                let entry = self.fs.entry(parent, false)?;
                self.one(&entry)?;
            }
            let mut files = self.fs.files(path)?;
            while let Some(entry) = self.fs.next(&mut files) {
                self.one(&entry?)?;
            }
        }
        Ok(())
    }

    /// Extracts a file.
    fn one(&mut self, entry: &Entry) -> Result<(), ExtractError> {
        self.check_cancel()?;
        if entry.kind == FileKind::Directory {
            return self.directory(entry);
        }
        let is_device = matches!(
            entry.kind,
            FileKind::CharacterDevice | FileKind::BlockDevice
        );
        if is_device && !self.request.devices {
            self.losses.device(&entry.path);
            return Ok(());
        }
        let place = self
            .destination
            .place(&entry.path)
            .and_then(|place| place.ok_or(io::ErrorKind::IsADirectory.into()))
            .map_err(|e| self.failed(entry, e))?;
        match place.kind().map_err(|e| self.failed(entry, e))? {
            Some(FileType::Directory) => {
                return Err(ExtractError::IsDirectory {
                    path: self.shown(&entry.path),
                    kind: entry.kind,
                });
            }
            Some(_) if !self.request.force => {
                return Err(ExtractError::Exists(self.shown(&entry.path)));
            }
            _ => {}
        }
        let several = entry.unix.filter(|unix| unix.links > 1);
        if let Some(first) = several.and_then(|unix| self.first_names.get(&unix.inode)) {
            let first = first.clone();
            self.hard_link(entry, &place, &first)?;
            self.extracted.hard_links += 1;
            return Ok(());
        }
        match entry.kind {
            FileKind::File => {
                self.file(entry, &place)?;
                self.extracted.files += 1;
                self.extracted.bytes += entry.size;
            }
            FileKind::Symlink => {
                let target = entry.target.clone().unwrap_or_default();
                self.node(entry, &place, |directory, name| {
                    symlinkat(target.as_slice(), directory, name)
                })?;
                self.extracted.symlinks += 1;
            }
            kind => {
                let Some(made) = self.special(entry, &place, kind)? else {
                    return Ok(());
                };
                self.extracted.special += made;
            }
        }
        if let Some(unix) = several {
            self.first_names.insert(unix.inode, entry.path.clone());
        }
        Ok(())
    }

    /// A directory is open to nobody else until all is in it.
    fn directory(&mut self, entry: &Entry) -> Result<(), ExtractError> {
        if self.directories.contains_key(&entry.path) {
            return Ok(());
        }
        let made = self.make_directory(entry).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => ExtractError::Exists(self.shown(&entry.path)),
            _ => self.failed(entry, e),
        })?;
        let later = if made {
            let attributes = self.fs.attributes(entry)?;
            Some((entry.clone(), attributes))
        } else {
            None
        };
        self.directories.insert(entry.path.clone(), later);
        self.extracted.directories += 1;
        Ok(())
    }

    /// Whether it is to get what the image says of it: not if it was there before, unless files are
    /// replaced, too. The destination itself stays as it was.
    fn make_directory(&mut self, entry: &Entry) -> io::Result<bool> {
        let Some(place) = self.destination.place(&entry.path)? else {
            return Ok(!self.destination.existed);
        };
        match place.kind()? {
            Some(FileType::Directory) => return Ok(self.request.force),
            Some(_) if self.request.force => {
                place.remove()?;
                self.destination.forget();
            }
            Some(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            None => {}
        }
        // FAT has no modes: as mkdir(1) makes any directory, less the umask.
        let mode = match entry.unix {
            Some(_) => Mode::RWXU,
            None => Mode::from_raw_mode(0o777),
        };
        place.make_directory(mode)?;
        Ok(true)
    }

    /// Mode, times and so on of directories, from the lowest to the highest: a directory that is
    /// closed does not keep those below it from being changed.
    fn finish_directories(&mut self) -> Result<(), ExtractError> {
        let mut result = Ok(());
        while let Some((path, later)) = self.directories.pop_last() {
            let Some((entry, attributes)) = later else {
                continue;
            };
            let finished = self.destination.directory(&path).and_then(|directory| {
                let target = Target::Open(directory.as_fd());
                let owners = self.request.owners;
                metadata::apply(target, &entry, &attributes, owners, &mut self.losses)
            });
            if let Err(e) = finished
                && result.is_ok()
            {
                result = Err(self.failed(&entry, e));
            }
        }
        result
    }

    fn hard_link(
        &mut self,
        entry: &Entry,
        place: &Place,
        first: &[u8],
    ) -> Result<(), ExtractError> {
        let linked = self.destination.place(first).and_then(|first| {
            let first = first.ok_or(io::ErrorKind::NotFound)?;
            let made = self
                .destination
                .make(place, |directory, name| first.link(directory, name));
            let (pending, ()) = made?;
            pending.finish(place, self.request.force)
        });
        linked.map_err(|e| self.failed(entry, e))
    }

    fn file(&mut self, entry: &Entry, place: &Place) -> Result<(), ExtractError> {
        let attributes = self.fs.attributes(entry)?;
        let mut content = self.fs.content(entry)?;
        // FAT has no modes: as open(2) makes any file, less the umask.
        let mode = match entry.unix {
            Some(_) => Mode::RUSR | Mode::WUSR,
            None => Mode::from_raw_mode(0o666),
        };
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = self.destination.make(place, |directory, name| {
            openat(directory, name, flags, mode)
        });
        let (pending, file) = made.map_err(|e| self.failed(entry, e))?;
        let file = File::from(file);
        file.set_len(entry.size)
            .map_err(|e| self.failed(entry, e))?;
        while let Some((at, len)) = self.fs.read(&mut content, &mut self.buf)? {
            self.check_cancel()?;
            let written = file.write_all_at(&self.buf[..len], at);
            written.map_err(|e| self.failed(entry, e))?;
            self.progress.advance(len as u64);
        }
        let target = Target::Open(file.as_fd());
        let owners = self.request.owners;
        metadata::apply(target, entry, &attributes, owners, &mut self.losses)
            .and_then(|()| pending.finish(place, self.request.force))
            .map_err(|e| self.failed(entry, e))
    }

    /// Devices, named pipes and sockets: how many were made, or `None`.
    fn special(
        &mut self,
        entry: &Entry,
        place: &Place,
        kind: FileKind,
    ) -> Result<Option<u64>, ExtractError> {
        let kind = match kind {
            FileKind::CharacterDevice => FileType::CharacterDevice,
            FileKind::BlockDevice => FileType::BlockDevice,
            FileKind::Fifo => FileType::Fifo,
            _ => FileType::Socket,
        };
        let Device { major, minor } = entry.device.unwrap_or(Device { major: 0, minor: 0 });
        let mode = Mode::RUSR | Mode::WUSR;
        let made = self.node(entry, place, |directory, name| {
            mknodat(directory, name, kind, mode, makedev(major, minor))
        });
        match made {
            // Root of a container may not either.
            Err(ExtractError::Write { source, .. })
                if entry.device.is_some()
                    && source.raw_os_error() == Some(Errno::PERM.raw_os_error()) =>
            {
                self.losses.device(&entry.path);
                Ok(None)
            }
            made => made.map(|()| Some(1)),
        }
    }

    /// What is made by one system call.
    fn node(
        &mut self,
        entry: &Entry,
        place: &Place,
        make: impl Fn(std::os::fd::BorrowedFd, &str) -> rustix::io::Result<()>,
    ) -> Result<(), ExtractError> {
        let attributes = self.fs.attributes(entry)?;
        let made = self
            .destination
            .make(place, make)
            .and_then(|(pending, ())| {
                let (directory, name) = pending.at();
                let target = Target::Named(directory, name);
                let owners = self.request.owners;
                metadata::apply(target, entry, &attributes, owners, &mut self.losses)?;
                pending.finish(place, self.request.force)
            });
        made.map_err(|e| self.failed(entry, e))
    }

    fn check_cancel(&self) -> Result<(), ExtractError> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(ExtractError::Interrupted);
        }
        Ok(())
    }

    fn failed(&self, entry: &Entry, source: io::Error) -> ExtractError {
        ExtractError::Write {
            path: self.shown(&entry.path),
            source,
        }
    }

    /// Where a path of the image is, safe to print.
    fn shown(&self, path: &[u8]) -> String {
        let directory = self.request.directory.as_os_str().as_bytes();
        let directory = directory.strip_suffix(b"/").unwrap_or(directory);
        match path {
            b"/" => Escaped(directory).to_string(),
            path => Escaped(&[directory, path].concat()).to_string(),
        }
    }
}

#[cfg(test)]
mod tests;

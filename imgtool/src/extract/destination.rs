//! The directory that files are extracted to. Nothing is ever made outside of it.
//!
//! Every path is looked up name by name from the directory itself, relative to open directories,
//! and no symbolic link is followed, be it the image's or one that was there before. A name with a
//! slash, `.` and `..` are refused. (`openat2(2)` with `RESOLVE_BENEATH` does the same in one call,
//! but not where a container's filter of system calls does not know it, nor for paths longer than
//! `PATH_MAX`.)

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, linkat, mkdirat, openat, renameat_with,
    statat, unlinkat,
};
use rustix::io::Errno;

/// What is opened only to look up names in it.
const LOOK_UP: OFlags = OFlags::PATH;

/// A directory that files are made in.
pub(super) struct Destination {
    root: Rc<OwnedFd>,
    /// Whether it was there before.
    pub(super) existed: bool,
    /// The directory that was used last, by its path: files of one directory follow each other.
    last: Option<(Vec<u8>, Rc<OwnedFd>)>,
    /// Number of the next temporary name.
    temporary: u64,
}

/// The place of a file: an open directory, and a name in it.
pub(super) struct Place {
    directory: Rc<OwnedFd>,
    name: Vec<u8>,
}

/// A file under a temporary name, which goes with it unless it gets another.
pub(super) struct Pending {
    directory: Rc<OwnedFd>,
    name: Option<String>,
}

impl Destination {
    /// Opens the directory, or makes it.
    pub(super) fn open(path: &Path) -> io::Result<Destination> {
        let bytes = path.as_os_str().as_bytes();
        let existed = match mkdirat(CWD, bytes, Mode::RWXU) {
            Ok(()) => false,
            Err(Errno::EXIST) => true,
            Err(e) => return Err(e.into()),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, bytes, flags, Mode::empty())?;
        Ok(Destination {
            root: Rc::new(root),
            existed,
            last: None,
            temporary: 0,
        })
    }

    /// The directory at a path of the image, to be changed itself.
    pub(super) fn directory(&mut self, path: &[u8]) -> io::Result<Rc<OwnedFd>> {
        match split(path)? {
            None => Ok(Rc::clone(&self.root)),
            Some((parent, name)) => {
                let parent = self.look_up(parent)?;
                open_directory(&*parent, name, OFlags::RDONLY)
            }
        }
    }

    /// The place of a path of the image; `None` for the root directory.
    pub(super) fn place(&mut self, path: &[u8]) -> io::Result<Option<Place>> {
        let Some((parent, name)) = split(path)? else {
            return Ok(None);
        };
        Ok(Some(Place {
            directory: self.look_up(parent)?,
            name: name.to_vec(),
        }))
    }

    fn look_up(&mut self, path: &[u8]) -> io::Result<Rc<OwnedFd>> {
        if let Some((last, directory)) = &self.last
            && last == path
        {
            return Ok(Rc::clone(directory));
        }
        let mut directory = Rc::clone(&self.root);
        for name in names(path) {
            directory = open_directory(&*directory, checked(name)?, LOOK_UP)?;
        }
        self.last = Some((path.to_vec(), Rc::clone(&directory)));
        Ok(directory)
    }

    /// Forgets the directory that was used last, because one was replaced.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    /// Makes something beside `place` under a name that nothing has.
    pub(super) fn make<T>(
        &mut self,
        place: &Place,
        make: impl Fn(BorrowedFd, &str) -> rustix::io::Result<T>,
    ) -> io::Result<(Pending, T)> {
        loop {
            // Another process' files may be there, too, and whatever the image has.
            let name = format!(".imgtool-{}-{}", std::process::id(), self.temporary);
            self.temporary += 1;
            match make(place.directory.as_fd(), &name) {
                Ok(made) => {
                    let pending = Pending {
                        directory: Rc::clone(&place.directory),
                        name: Some(name),
                    };
                    return Ok((pending, made));
                }
                Err(Errno::EXIST) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl Place {
    /// What is there, a symbolic link as one.
    pub(super) fn kind(&self) -> io::Result<Option<FileType>> {
        match statat(
            &self.directory,
            self.name.as_slice(),
            AtFlags::SYMLINK_NOFOLLOW,
        ) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Makes a directory.
    pub(super) fn make_directory(&self, mode: Mode) -> io::Result<()> {
        Ok(mkdirat(&self.directory, self.name.as_slice(), mode)?)
    }

    /// Removes what is no directory.
    pub(super) fn remove(&self) -> io::Result<()> {
        Ok(unlinkat(
            &self.directory,
            self.name.as_slice(),
            AtFlags::empty(),
        )?)
    }

    /// Gives what is here another name.
    pub(super) fn link(&self, to: BorrowedFd, name: &str) -> rustix::io::Result<()> {
        let own = self.name.as_slice();
        linkat(&self.directory, own, to, name, AtFlags::empty())
    }
}

impl Pending {
    /// The directory and the name in it.
    pub(super) fn at(&self) -> (BorrowedFd<'_>, &str) {
        let name = self.name.as_deref().unwrap_or_default();
        (self.directory.as_fd(), name)
    }

    /// Gives it its own name, which it replaces only if `replace` says so.
    pub(super) fn finish(mut self, place: &Place, replace: bool) -> io::Result<()> {
        let (directory, name) = self.at();
        let own = place.name.as_slice();
        let flags = if replace {
            RenameFlags::empty()
        } else {
            RenameFlags::NOREPLACE
        };
        match renameat_with(directory, name, directory, own, flags) {
            // This file system has no such flag. A link replaces nothing either, and the temporary
            // name goes when this is dropped.
            Err(Errno::INVAL | Errno::NOSYS) if !replace => {
                return Ok(linkat(directory, name, directory, own, AtFlags::empty())?);
            }
            renamed => renamed?,
        }
        // Two links of one file: they are left as they are.
        let _ = unlinkat(directory, name, AtFlags::empty());
        self.name = None;
        Ok(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            let _ = unlinkat(&self.directory, name, AtFlags::empty());
        }
    }
}

fn open_directory(parent: impl AsFd, name: &[u8], how: OFlags) -> io::Result<Rc<OwnedFd>> {
    let flags = how | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(Rc::new(openat(parent, name, flags, Mode::empty())?))
}

/// The names of a path of the image, which begins with a slash.
fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    path.split(|&b| b == b'/').filter(move |_| !path.is_empty())
}

/// The path's directory, and its last name; `None` for the root.
fn split(path: &[u8]) -> io::Result<Option<(&[u8], &[u8])>> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    if path.is_empty() {
        return Ok(None);
    }
    let (parent, name) = match path.iter().rposition(|&b| b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&path[..0], path),
    };
    Ok(Some((parent, checked(name)?)))
}

/// A name that stays in its directory.
fn checked(name: &[u8]) -> io::Result<&[u8]> {
    if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') {
        let why = "a name that leads out of its directory";
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(name)
}

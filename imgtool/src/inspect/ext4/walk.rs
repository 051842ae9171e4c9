//! All files below a directory, in the order of their paths' bytes.

use super::directory::{Child, Directory, MAX_DIRECTORY};
use super::{Ext4, Fault, Found, Inode, bad};
use crate::inspect::entry::{Entry, FileKind, Unix};
use crate::inspect::escape::Escaped;

/// Directories in directories: a path that Linux opens (`PATH_MAX`) has no more.
const MAX_DEPTH: usize = 2048;
/// Files that are listed: enough for an image of several terabytes.
const MAX_ENTRIES: u64 = 1 << 26;

/// The files at and below a path.
///
/// What is held is the names in the directories on the way to the present one, at most
/// [`MAX_DIRECTORY`] bytes of directories; that is less than 512 MiB of memory at worst.
pub(in crate::inspect) struct Walk {
    /// What is found first, until it was given.
    start: Option<Found>,
    /// The path of what was given last.
    path: Vec<u8>,
    levels: Vec<Level>,
    /// Bytes of directories that may still be held.
    room: u64,
    entries: u64,
}

/// A directory that is being gone through.
struct Level {
    inode: u32,
    path_len: usize,
    size: u64,
    directory: Directory,
    steps: Vec<Step>,
    next: usize,
}

/// What is to be done with a child, by its place in its directory. A directory is given, and later
/// gone into: `a-b` comes after `a` and before `a/b`.
#[derive(Clone, Copy)]
struct Step {
    child: u32,
    go_into: bool,
}

impl Walk {
    /// What `start` is, and all below it.
    pub(in crate::inspect) fn new(start: Found) -> Walk {
        Walk {
            start: Some(start),
            path: Vec::new(),
            levels: Vec::new(),
            room: MAX_DIRECTORY,
            entries: 0,
        }
    }

    /// The next file in `fs`, always the same one; `None` after the last.
    pub(in crate::inspect) fn next(&mut self, fs: &mut Ext4) -> Result<Option<Entry>, Fault> {
        let found = self.step(fs);
        let named = found.map_err(|fault| match fault {
            Fault::Bad(why) => Fault::Bad(format!("{}: {why}", Escaped(shown(&self.path)))),
            fault => fault,
        });
        if named.is_err() {
            self.levels.clear();
        }
        named
    }

    fn step(&mut self, fs: &mut Ext4) -> Result<Option<Entry>, Fault> {
        if let Some(start) = self.start.take() {
            self.path = start.path;
            let entry = self.entry(fs, &start.inode)?;
            if start.inode.kind == FileKind::Directory {
                self.go_into(fs, &start.inode, start.parent)?;
            }
            return Ok(Some(entry));
        }
        while let Some(level) = self.levels.last_mut() {
            self.path.truncate(level.path_len);
            let Some(step) = level.steps.get(level.next).copied() else {
                self.room += level.size;
                self.levels.pop();
                continue;
            };
            level.next += 1;
            let child = level.directory.children[step.child as usize];
            self.path.push(b'/');
            self.path.extend_from_slice(level.directory.name(&child));
            let parent = level.inode;
            let inode = self.child(fs, &child)?;
            if step.go_into {
                self.go_into(fs, &inode, parent)?;
            } else {
                return self.entry(fs, &inode).map(Some);
            }
        }
        Ok(None)
    }

    fn child(&self, fs: &mut Ext4, child: &Child) -> Result<Inode, Fault> {
        let inode = fs.inode(child.inode)?;
        if inode.kind != child.kind {
            return bad(format!(
                "ext4: inode {} is of another kind than its directory says",
                inode.number
            ));
        }
        Ok(inode)
    }

    fn go_into(&mut self, fs: &mut Ext4, inode: &Inode, parent: u32) -> Result<(), Fault> {
        if self.levels.len() >= MAX_DEPTH {
            return bad(format!("more than {MAX_DEPTH} directories in each other"));
        }
        self.room = match self.room.checked_sub(inode.size) {
            Some(room) => room,
            None => {
                return bad(format!(
                    "it and the directories that it is in have more than {MAX_DIRECTORY} bytes"
                ));
            }
        };
        let directory = fs.directory(inode, parent)?;
        let steps = steps(&directory);
        self.levels.push(Level {
            inode: inode.number,
            path_len: self.path.len(),
            size: inode.size,
            directory,
            steps,
            next: 0,
        });
        Ok(())
    }

    fn entry(&mut self, fs: &mut Ext4, inode: &Inode) -> Result<Entry, Fault> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return bad(format!("more than {MAX_ENTRIES} files"));
        }
        entry(fs, &self.path, inode)
    }
}

/// What `inode` is, by the path that it was found at.
pub(in crate::inspect) fn entry(fs: &mut Ext4, path: &[u8], inode: &Inode) -> Result<Entry, Fault> {
    let target = match inode.kind {
        FileKind::Symlink => Some(fs.target(inode)?),
        _ => None,
    };
    let device = matches!(
        inode.kind,
        FileKind::CharacterDevice | FileKind::BlockDevice
    );
    Ok(Entry {
        path: shown(path).to_vec(),
        kind: inode.kind,
        size: inode.size,
        unix: Some(Unix {
            mode: inode.mode,
            uid: inode.uid,
            gid: inode.gid,
            links: inode.links,
            inode: inode.number,
            mtime: inode.mtime,
        }),
        target,
        device: device.then(|| inode.device()),
    })
}

/// The root has a slash of its own.
fn shown(path: &[u8]) -> &[u8] {
    if path.is_empty() { b"/" } else { path }
}

fn steps(directory: &Directory) -> Vec<Step> {
    let mut steps = Vec::with_capacity(directory.children.len());
    for (n, child) in directory.children.iter().enumerate() {
        for go_into in [false, true] {
            if !go_into || child.kind == FileKind::Directory {
                // A directory has fewer than 2^32 bytes.
                let child = n as u32;
                steps.push(Step { child, go_into });
            }
        }
    }
    let slash = |step: &Step| step.go_into.then_some(&b'/');
    let name = |step: &Step| directory.name(&directory.children[step.child as usize]);
    steps.sort_unstable_by(|a, b| {
        let (left, right) = (
            name(a).iter().chain(slash(a)),
            name(b).iter().chain(slash(b)),
        );
        left.cmp(right)
    });
    steps
}

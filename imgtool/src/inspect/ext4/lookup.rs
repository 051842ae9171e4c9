//! Paths to inodes.

use super::{Ext4, Fault, Inode, ROOT};
use crate::inspect::entry::FileKind;

/// Symbolic links on the way to a file, as Linux has it.
const MAX_LINKS: u32 = 40;

/// What a path leads to.
#[derive(Debug)]
pub(in crate::inspect) struct Found {
    /// The path without links, `.` and `..`: empty for the root, else `/`, a name, and so on.
    pub(in crate::inspect) path: Vec<u8>,
    pub(in crate::inspect) inode: Inode,
    /// The inode of the directory that it is in.
    pub(in crate::inspect) parent: u32,
}

/// Why a path leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// A name on the way, or the last one, is not there.
    #[error("no such file or directory")]
    NoEntry,
    /// A name on the way is no directory, or the last one with a slash behind it.
    #[error("not a directory")]
    NotADirectory,
    /// More symbolic links than Linux follows.
    #[error("too many symbolic links")]
    TooManyLinks,
}

impl Ext4 {
    /// What is at `path`, from the root. Links on the way are followed; the last name's only if
    /// `follow` says so or a slash is behind it.
    pub(in crate::inspect) fn find(
        &mut self,
        path: &[u8],
        follow: bool,
    ) -> Result<Result<Found, NotFound>, Fault> {
        // Names that are still to be looked up, the next one last. An empty one is what a slash at
        // the end leaves.
        let mut names: Vec<Vec<u8>> = Vec::new();
        let put = |names: &mut Vec<Vec<u8>>, path: &[u8]| {
            names.extend(path.split(|&b| b == b'/').rev().map(<[u8]>::to_vec));
        };
        put(&mut names, path);
        // From the root's child on.
        let mut trail: Vec<(Vec<u8>, u32)> = Vec::new();
        let mut links = 0;
        let mut at = self.inode(ROOT)?;
        if at.kind != FileKind::Directory {
            return Err(Fault::Bad("ext4: the root is not a directory".to_owned()));
        }
        while let Some(name) = names.pop() {
            if at.kind != FileKind::Directory {
                return Ok(Err(NotFound::NotADirectory));
            }
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    trail.pop();
                    at = self.inode(trail.last().map_or(ROOT, |(_, inode)| *inode))?;
                    continue;
                }
                _ => {}
            }
            let parent = |trail: &[(Vec<u8>, u32)]| match trail {
                [.., (_, parent), _] => *parent,
                _ => ROOT,
            };
            let directory = self.directory(&at, parent(&trail))?;
            let Some(child) = directory.get(&name) else {
                return Ok(Err(NotFound::NoEntry));
            };
            let inode = self.inode(child.inode)?;
            if inode.kind == FileKind::Symlink && (follow || !names.is_empty()) {
                links += 1;
                if links > MAX_LINKS {
                    return Ok(Err(NotFound::TooManyLinks));
                }
                let target = self.target(&inode)?;
                if target.first() == Some(&b'/') {
                    trail.clear();
                    at = self.inode(ROOT)?;
                }
                put(&mut names, &target);
                continue;
            }
            trail.push((name, child.inode));
            at = inode;
        }
        let parent = match trail.as_slice() {
            [.., (_, parent), _] => *parent,
            _ => ROOT,
        };
        let path = trail
            .iter()
            .flat_map(|(name, _)| [b"/", name.as_slice()].concat());
        Ok(Ok(Found {
            path: path.collect(),
            inode: at,
            parent,
        }))
    }
}

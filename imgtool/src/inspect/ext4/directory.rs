//! Directories: which names are in one, and that it is one of a tree.

use super::format::{FLAG_ENCRYPT, FLAG_INDEX, crc32c, le16, le32};
use super::{Ext4, Fault, Inode, ROOT, bad};
use crate::inspect::entry::FileKind;
use crate::inspect::escape::Escaped;

/// Bytes of the largest directory that is read: three million files with names of usual length.
pub(super) const MAX_DIRECTORY: u64 = 128 << 20;
/// Bytes of an entry before its name.
const HEADER: usize = 8;

/// A directory's names, less `.` and `..`.
#[derive(Debug)]
pub(super) struct Directory {
    /// All names, one after the other.
    names: Vec<u8>,
    /// Sorted by name.
    pub(super) children: Vec<Child>,
}

/// An entry of a directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Child {
    pub(super) inode: u32,
    pub(super) kind: FileKind,
    start: u32,
    len: u8,
}

impl Directory {
    /// The name of one of its children.
    pub(super) fn name(&self, child: &Child) -> &[u8] {
        name(&self.names, child)
    }

    /// The child of that name.
    pub(super) fn get(&self, wanted: &[u8]) -> Option<Child> {
        let found = self
            .children
            .binary_search_by(|child| self.name(child).cmp(wanted));
        self.children.get(found.ok()?).copied()
    }
}

fn name<'a>(names: &'a [u8], child: &Child) -> &'a [u8] {
    let start = child.start as usize;
    names
        .get(start..start + usize::from(child.len))
        .unwrap_or_default()
}

impl Ext4 {
    /// Reads the directory `inode`, which lies in the directory `parent`.
    ///
    /// It has to say so itself: a directory has one parent, and so nobody comes back to one that
    /// he has been in, nor comes to one twice. The root lies in itself.
    pub(super) fn directory(&mut self, inode: &Inode, parent: u32) -> Result<Directory, Fault> {
        let number = inode.number;
        let damaged = |why: &str| Fault::Bad(format!("ext4: directory, inode {number}: {why}"));
        if inode.flags & FLAG_ENCRYPT != 0 {
            return Err(damaged("encrypted"));
        }
        let block_size = u64::from(self.block_size);
        let blocks = inode.size / block_size;
        if blocks == 0 || !inode.size.is_multiple_of(block_size) {
            return Err(damaged(&format!("a size of {} bytes", inode.size)));
        }
        if inode.size > MAX_DIRECTORY {
            return Err(damaged(&format!(
                "{} bytes, where {MAX_DIRECTORY} are the most that is read",
                inode.size
            )));
        }
        self.directory_blocks = match self.directory_blocks.checked_sub(blocks) {
            Some(left) => left,
            None => return bad("ext4: directories have more blocks than are read"),
        };
        let runs = self.runs(inode, blocks)?;
        let mut entries = Entries {
            number,
            parent,
            seen: 0,
            directory: Directory {
                names: Vec::new(),
                children: Vec::new(),
            },
        };
        let mut next = 0;
        for run in runs {
            if u64::from(run.logical) != next || !run.written {
                return Err(damaged("a hole"));
            }
            for n in 0..u64::from(run.len).min(blocks - next) {
                let block = self.block(run.physical + n)?;
                if !checksum_is_right(&block, inode, next + n == 0) {
                    return Err(damaged("the checksum of a block is wrong"));
                }
                entries.add(&block).map_err(|why| damaged(&why))?;
            }
            next += u64::from(run.len);
            if next >= blocks {
                break;
            }
        }
        if next < blocks {
            return Err(damaged("a hole"));
        }
        entries.finish().map_err(|why| damaged(&why))
    }
}

/// What was read of a directory.
struct Entries {
    number: u32,
    parent: u32,
    /// Entries in use so far, `.` and `..` among them.
    seen: u64,
    directory: Directory,
}

impl Entries {
    /// Adds the entries of a block.
    fn add(&mut self, block: &[u8]) -> Result<(), String> {
        let mut at = 0;
        while at < block.len() {
            let rest = &block[at..];
            let mut len = usize::from(le16(rest, 4));
            // What a block of 64 KiB has as its length does not fit 16 bits.
            if block.len() == 1 << 16 && matches!(len, 0 | 0xffff) {
                len = block.len();
            }
            if rest.len() < HEADER || len < HEADER || len % 4 != 0 || len > rest.len() {
                return Err(format!("an entry of {len} bytes at byte {at} of a block"));
            }
            at += len;
            let inode = le32(rest, 0);
            // Free room, a checksum, or part of the index.
            if inode == 0 {
                continue;
            }
            let (name_len, kind) = (rest[6], rest[7]);
            let Some(name) = rest[HEADER..len].get(..usize::from(name_len)) else {
                return Err(format!("a name of {name_len} bytes in an entry of {len}"));
            };
            self.entry(inode, kind, name)?;
        }
        Ok(())
    }

    fn entry(&mut self, inode: u32, kind: u8, name: &[u8]) -> Result<(), String> {
        let shown = Escaped(name);
        self.seen += 1;
        let own: Option<(&[u8], u32)> = match self.seen {
            1 => Some((b".", self.number)),
            2 => Some((b"..", self.parent)),
            _ => None,
        };
        if let Some(own) = own {
            return match own == (name, inode) {
                true => Ok(()),
                false => Err(format!(
                    "\"{shown}\" is inode {inode}, where \"{}\" is inode {} (a loop, or two parents)",
                    Escaped(own.0),
                    own.1
                )),
            };
        }
        if name.is_empty()
            || matches!(name, b"." | b"..")
            || name.contains(&b'/')
            || name.contains(&0)
        {
            return Err(format!("the name \"{shown}\""));
        }
        if inode == ROOT {
            return Err(format!("\"{shown}\" is the root directory (a loop)"));
        }
        let kind = match kind {
            1 => FileKind::File,
            2 => FileKind::Directory,
            3 => FileKind::CharacterDevice,
            4 => FileKind::BlockDevice,
            5 => FileKind::Fifo,
            6 => FileKind::Socket,
            7 => FileKind::Symlink,
            _ => return Err(format!("\"{shown}\" is of no known kind")),
        };
        // A directory has fewer than 2^32 bytes, and a name at most 255.
        self.directory.children.push(Child {
            inode,
            kind,
            start: self.directory.names.len() as u32,
            len: name.len() as u8,
        });
        self.directory.names.extend_from_slice(name);
        Ok(())
    }

    /// All of it, sorted, if no name and no directory is in it twice.
    fn finish(self) -> Result<Directory, String> {
        if self.seen < 2 {
            return Err("neither . nor ..".to_owned());
        }
        let Directory {
            names,
            mut children,
        } = self.directory;
        children.sort_unstable_by(|a, b| name(&names, a).cmp(name(&names, b)));
        let twice = children
            .windows(2)
            .find(|pair| name(&names, &pair[0]) == name(&names, &pair[1]));
        if let Some(pair) = twice {
            let shown = Escaped(name(&names, &pair[0]));
            return Err(format!("the name \"{shown}\" twice"));
        }
        let directories = children.iter().filter(|c| c.kind == FileKind::Directory);
        let mut directories: Vec<u32> = directories.map(|child| child.inode).collect();
        directories.sort_unstable();
        if let Some(pair) = directories.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("two names of one directory, inode {}", pair[0]));
        }
        Ok(Directory { names, children })
    }
}

/// Whether a block's checksum is right. What has an index has blocks of three forms: the index's
/// root, which is the first, its other nodes, which one empty entry fills, and those with names.
fn checksum_is_right(block: &[u8], inode: &Inode, first: bool) -> bool {
    let Some(seed) = inode.seed else { return true };
    let fills = le32(block, 0) == 0 && usize::from(le16(block, 4)) == block.len();
    let counts = match (inode.flags & FLAG_INDEX, first) {
        (0, _) => None,
        (_, true) => Some(32),
        (_, false) => fills.then_some(8),
    };
    let Some(counts) = counts else {
        // An entry without a name, of 12 bytes, whose last four are the checksum.
        let tail = block.len() - 12;
        return le16(block, tail + 4) == 12
            && crc32c(seed, &block[..tail]) == le32(block, tail + 8);
    };
    // Room for entries and their number, in units of an entry, then four reserved bytes.
    let limit = counts + 8 * usize::from(le16(block, counts));
    let end = counts + 8 * usize::from(le16(block, counts + 2));
    if end > limit || limit + 8 > block.len() {
        return false;
    }
    let mut sum = crc32c(seed, &block[..end]);
    sum = crc32c(sum, &block[limit..limit + 4]);
    crc32c(sum, &[0; 4]) == le32(block, limit + 4)
}

//! Extents: where a file's blocks are.

use super::format::{crc32c, le16, le32};
use super::{Ext4, Fault, Inode, bad};

const MAGIC: u16 = 0xf30a;
/// Bytes of a node's header, and of each of its entries.
const ENTRY: usize = 12;
/// Levels below the root that a tree of 2^32 blocks needs.
const MAX_DEPTH: u16 = 5;
/// Longer extents are allocated and not written: they read as zeros.
const MAX_WRITTEN: u16 = 1 << 15;

/// Blocks of a file that follow each other on the disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// The first one in the file.
    pub(super) logical: u32,
    /// The first one on the disk.
    pub(super) physical: u64,
    pub(super) len: u32,
    pub(super) written: bool,
}

/// A node of the tree, and how far it was read.
struct Node {
    bytes: Vec<u8>,
    depth: u16,
    entries: usize,
    next: usize,
}

impl Node {
    /// The node that `bytes` begin with, `above` levels above the leaves if that is known.
    fn new(bytes: Vec<u8>, above: Option<u16>) -> Option<Node> {
        let (entries, max) = (usize::from(le16(&bytes, 2)), usize::from(le16(&bytes, 4)));
        let depth = le16(&bytes, 6);
        let fits = (1 + max) * ENTRY <= bytes.len() && entries <= max;
        let expected = match above {
            // A node without an entry is nowhere but in an inode: what has no end is read nowhere.
            Some(above) => depth == above && entries > 0,
            None => depth <= MAX_DEPTH,
        };
        (le16(&bytes, 0) == MAGIC && fits && expected).then_some(Node {
            bytes,
            depth,
            entries,
            next: 0,
        })
    }

    fn next(&mut self) -> Option<&[u8]> {
        if self.next == self.entries {
            return None;
        }
        self.next += 1;
        self.bytes.get(self.next * ENTRY..(self.next + 1) * ENTRY)
    }
}

/// The runs of a file, in order; blocks between are holes. Of the tree only the way to the present
/// one is held.
///
/// Every node gives a block at least, and blocks only ascend: it takes no more steps than `wanted`
/// and the levels of the tree are.
pub(super) struct Runs {
    path: Vec<Node>,
    /// The block after the run that was given last.
    end: u64,
    /// Blocks of the file that are asked for.
    wanted: u64,
}

impl Runs {
    /// Those of the first `wanted` blocks of a file.
    pub(super) fn new(inode: &Inode, wanted: u64) -> Result<Runs, Fault> {
        inode.check_extents()?;
        let root = Node::new(inode.block.to_vec(), None).ok_or_else(|| damaged(inode))?;
        Ok(Runs {
            path: vec![root],
            end: 0,
            wanted,
        })
    }

    /// The next one of the file `inode`; `None` after the last.
    pub(super) fn next(&mut self, fs: &mut Ext4, inode: &Inode) -> Result<Option<Run>, Fault> {
        while let Some(node) = self.path.last_mut() {
            let depth = node.depth;
            let Some(entry) = node.next() else {
                self.path.pop();
                continue;
            };
            if depth > 0 {
                let child = u64::from(le16(entry, 8)) << 32 | u64::from(le32(entry, 4));
                let bytes = fs.block(child)?;
                let node = Node::new(bytes, Some(depth - 1)).ok_or_else(|| damaged(inode))?;
                if !checksum_is_right(&node.bytes, inode) {
                    return bad(format!(
                        "ext4: inode {}: the checksum of block {child} is wrong",
                        inode.number
                    ));
                }
                self.path.push(node);
                continue;
            }
            let run = run(entry);
            if u64::from(run.logical) < self.end || run.len == 0 || run.physical == 0 {
                return Err(damaged(inode));
            }
            if run.physical + u64::from(run.len) > fs.blocks {
                return bad(format!(
                    "ext4: inode {}: block {} and the {} after it are not in the file system",
                    inode.number,
                    run.physical,
                    run.len - 1
                ));
            }
            if u64::from(run.logical) >= self.wanted {
                self.path.clear();
                break;
            }
            self.end = u64::from(run.logical) + u64::from(run.len);
            return Ok(Some(run));
        }
        Ok(None)
    }
}

impl Ext4 {
    /// All runs of the first `wanted` blocks of a file.
    pub(super) fn runs(&mut self, inode: &Inode, wanted: u64) -> Result<Vec<Run>, Fault> {
        let mut runs = Runs::new(inode, wanted)?;
        let mut all = Vec::new();
        while let Some(run) = runs.next(self, inode)? {
            all.push(run);
        }
        Ok(all)
    }
}

/// What a leaf's entry says.
fn run(entry: &[u8]) -> Run {
    let len = le16(entry, 4);
    let written = len <= MAX_WRITTEN;
    Run {
        logical: le32(entry, 0),
        physical: u64::from(le16(entry, 6)) << 32 | u64::from(le32(entry, 8)),
        len: u32::from(if written { len } else { len - MAX_WRITTEN }),
        written,
    }
}

fn damaged(inode: &Inode) -> Fault {
    Fault::Bad(format!(
        "ext4: inode {}: a damaged tree of extents",
        inode.number
    ))
}

/// A node that is a block has its checksum behind the room for entries.
fn checksum_is_right(block: &[u8], inode: &Inode) -> bool {
    let Some(seed) = inode.seed else { return true };
    let at = (1 + usize::from(le16(block, 4))) * ENTRY;
    match block.get(..at).filter(|_| at + 4 <= block.len()) {
        Some(covered) => crc32c(seed, covered) == le32(block, at),
        None => false,
    }
}

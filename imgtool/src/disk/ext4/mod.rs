//! The root file system, through `mkext4`: it freezes all metadata before any content arrives, so
//! every byte's place is known when the first file is opened.

mod acl;
mod declare;
mod metadata;

use super::{ALIGN, DiskError, Extent, ExtentMap, ExtentSource};
use crate::tree::{Content, NodeId, Tree};
use declare::Declared;
use metadata::{BLOCK, Metadata};
use std::sync::Arc;

/// Inodes per block group: one for every 16 KiB of a whole group, as `mke2fs` has it, so that a
/// small image grown to a large volume has as many as one made for that volume.
const INODES_PER_GROUP: u64 = 8192;
/// As many as one bitmap block has bits.
const MAX_INODES_PER_GROUP: u64 = 8 * BLOCK;
const GROUP_LEN: u64 = 8 * BLOCK * BLOCK;
/// The smallest file system that can have a journal: its 1024 blocks are a quarter at most.
const MIN_LEN: u64 = 4096 * BLOCK;
/// Without the `64bit` feature, block numbers have 32 bits.
const MAX_LEN: u64 = (u32::MAX as u64) * BLOCK;
/// File content starts at a multiple of this. The journal is made that much larger: a few more
/// directory entries then do not move every block behind them, and a new version of an image
/// differs from the last only where its content does.
const CONTENT_ALIGN: u64 = 4 << 20;
/// Shorter file systems are left as they are: the journal would be most of them.
const ALIGNED_FROM: u64 = 16 * CONTENT_ALIGN;

/// How the file system is labelled and sized.
#[derive(Debug, Clone)]
pub struct Ext4Spec {
    /// `s_uuid`.
    pub uuid: [u8; 16],
    /// `s_hash_seed`.
    pub hash_seed: [u32; 4],
    /// Every time in the file system: seconds since 1970.
    pub timestamp: u32,
    /// Volume label, at most 16 bytes.
    pub label: String,
    /// How long it is.
    pub len: Len,
}

/// How long a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Len {
    /// As long as the content takes, and this many bytes more.
    Fit {
        /// Bytes of room.
        extra: u64,
    },
    /// Just so many bytes.
    Exact(u64),
}

/// A planned file system.
#[derive(Debug)]
pub struct Ext4Plan {
    /// Length in bytes, a multiple of [`ALIGN`].
    pub len: u64,
    /// What lies where, from the file system's start.
    pub extents: ExtentMap,
    /// Bytes that are neither content nor metadata.
    pub free: u64,
    /// Inodes in use.
    pub inodes: u64,
}

/// Plans the file system that holds `tree`.
pub fn plan(tree: &Tree, spec: &Ext4Spec) -> Result<Ext4Plan, DiskError> {
    let declared = Declared::new(tree)?;
    match spec.len {
        Len::Exact(len) => {
            let shape = Shape {
                len: len / ALIGN * ALIGN,
                journal_pad: 0,
            };
            match aligned(&declared, spec, shape) {
                Ok(sealed) => sealed.emit(&declared),
                Err(DiskError::Ext4(_)) => {
                    let needed = fit(&declared, spec)?.len;
                    Err(DiskError::TooSmall {
                        needed,
                        allowed: shape.len,
                    })
                }
                Err(e) => Err(e),
            }
        }
        Len::Fit { extra: 0 } => {
            let shape = fit(&declared, spec)?;
            settle(&declared, spec, shape)?.emit(&declared)
        }
        Len::Fit { extra } => {
            let fit = fit(&declared, spec)?;
            let len = fit
                .len
                .checked_add(extra)
                .ok_or(DiskError::TooLarge(u64::MAX))?;
            let shape = Shape {
                len: align_up(len)?,
                journal_pad: 0,
            };
            aligned(&declared, spec, shape)?.emit(&declared)
        }
    }
}

/// What is decided before a layout is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    /// Length in bytes.
    len: u64,
    /// Blocks that the journal is larger than usual, so that content starts aligned.
    journal_pad: u64,
}

/// The shortest shape that holds everything. The writer allocates in ascending order, so nothing
/// is lost by cutting the file system off behind the last content; a shorter one has fewer groups
/// and so less metadata, which moves the content: hence again, until nothing changes.
fn fit(declared: &Declared<'_>, spec: &Ext4Spec) -> Result<Shape, DiskError> {
    let shortest = shortest(declared);
    let mut shape = Shape {
        len: align_up(declared.upper_bound())?.max(shortest),
        journal_pad: 0,
    };
    for _ in 0..6 {
        let sealed = seal(declared, spec, shape, true)?;
        let end = sealed
            .content_end()
            .saturating_sub(shape.journal_pad * BLOCK);
        let mut next = Shape {
            len: align_up(end)?.max(shortest),
            journal_pad: 0,
        };
        if next.len >= ALIGNED_FROM {
            next.journal_pad = sealed.journal_pad_wanted();
            next.len = align_up(end + next.journal_pad * BLOCK)?.max(shortest);
        }
        if next == shape {
            break;
        }
        shape = next;
    }
    Ok(shape)
}

/// Seals `shape`, or the next longer one that can be: the last group may be too short for what
/// the format puts into it.
fn settle(declared: &Declared<'_>, spec: &Ext4Spec, mut shape: Shape) -> Result<Sealed, DiskError> {
    for _ in 0..64 {
        match seal(declared, spec, shape, false) {
            Err(DiskError::Ext4(_)) => shape.len = align_up(shape.len + 1)?,
            done => return done,
        }
    }
    seal(declared, spec, shape, false)
}

/// Seals `shape` with its content aligned, or, where the longer journal leaves no room, as it is.
fn aligned(declared: &Declared<'_>, spec: &Ext4Spec, shape: Shape) -> Result<Sealed, DiskError> {
    let plain = seal(declared, spec, shape, false)?;
    let journal_pad = plain.journal_pad_wanted();
    if journal_pad == 0 || shape.len < ALIGNED_FROM {
        return Ok(plain);
    }
    match seal(
        declared,
        spec,
        Shape {
            journal_pad,
            ..shape
        },
        false,
    ) {
        Err(DiskError::Ext4(_)) => Ok(plain),
        done => done,
    }
}

/// The shortest length that can have a journal, and as many groups as the inodes need.
fn shortest(declared: &Declared<'_>) -> u64 {
    let groups = inodes_wanted(declared).div_ceil(MAX_INODES_PER_GROUP);
    MIN_LEN.max(groups.saturating_sub(1) * GROUP_LEN + ALIGN)
}

/// 11 inodes are reserved; one in 64 stays free where the content needs more than the usual ratio.
fn inodes_wanted(declared: &Declared<'_>) -> u64 {
    (declared.inodes() + 11) * 65 / 64 + 16
}

fn align_up(len: u64) -> Result<u64, DiskError> {
    len.checked_next_multiple_of(ALIGN)
        .filter(|&l| l < MAX_LEN)
        .ok_or(DiskError::TooLarge(len))
}

/// Journal blocks for a file system of `blocks`: the steps of `mke2fs`.
fn journal_blocks(blocks: u64) -> u64 {
    match blocks {
        0..32_768 => 1024,
        32_768..262_144 => 4096,
        262_144..524_288 => 8192,
        524_288..4_194_304 => 16_384,
        4_194_304..8_388_608 => 32_768,
        8_388_608..16_777_216 => 65_536,
        16_777_216..33_554_432 => 131_072,
        _ => 262_144,
    }
}

/// A sealed layout.
struct Sealed {
    layout: mkext4::Layout,
    files: Vec<(NodeId, mkext4::InodeHandle)>,
    sentinel: Option<mkext4::InodeHandle>,
    shape: Shape,
    inodes: u64,
}

fn seal(
    declared: &Declared<'_>,
    spec: &Ext4Spec,
    shape: Shape,
    sentinel: bool,
) -> Result<Sealed, DiskError> {
    if shape.len >= MAX_LEN {
        return Err(DiskError::TooLarge(shape.len));
    }
    let groups = shape.len.div_ceil(GROUP_LEN);
    let inodes = (groups * INODES_PER_GROUP).max(inodes_wanted(declared));
    let journal = journal_blocks(shape.len / BLOCK) + shape.journal_pad;
    let mut options = mkext4::Options::new(shape.len, spec.uuid, i64::from(spec.timestamp));
    options.hash_seed = spec.hash_seed;
    options.label = Some(spec.label.clone());
    options.inodes = mkext4::InodeCount::Exact(u32::try_from(inodes).unwrap_or(u32::MAX));
    // The room that was asked for is the application's, not root's reserve.
    options.reserved_percent = 0;
    options.journal_blocks = Some(journal as u32);
    let declare::Declaration {
        fs,
        files,
        sentinel,
    } = declared.declare(options, sentinel)?;
    let layout = fs.seal().map_err(DiskError::Ext4)?;
    Ok(Sealed {
        layout,
        files,
        sentinel,
        shape,
        inodes: declared.inodes(),
    })
}

impl Sealed {
    /// Where the content ends; only known of a layout with a sentinel.
    fn content_end(&self) -> u64 {
        let extents = self
            .sentinel
            .map(|s| self.layout.extents(s))
            .unwrap_or_default();
        extents.last().map_or(self.shape.len, |&(at, len)| at + len)
    }

    /// How much longer than usual the journal has to be for content to start aligned.
    fn journal_pad_wanted(&self) -> u64 {
        let first = self
            .files
            .iter()
            .find_map(|&(_, f)| self.layout.extents(f).first().copied());
        let Some((start, _)) = first else { return 0 };
        let pad = (start.next_multiple_of(CONTENT_ALIGN) - start) / BLOCK;
        (self.shape.journal_pad + pad) % (CONTENT_ALIGN / BLOCK)
    }

    /// Every extent of the file system.
    fn emit(self, declared: &Declared<'_>) -> Result<Ext4Plan, DiskError> {
        let len = self.shape.len;
        let mut metadata = Metadata::default();
        // Metadata and free space are emitted at once; the writer is not needed after that,
        // because content goes where `extents` says without passing through it.
        drop(self.layout.writer(&mut metadata).map_err(DiskError::Ext4)?);
        let free = metadata.free_space(len).ok_or_else(|| {
            DiskError::Internal("a block bitmap is not where it should be".into())
        })?;
        let mut all: Vec<Extent> = Vec::new();
        zeros(&metadata.zeros, &free, &mut all);
        for &(node, handle) in &self.files {
            if let Some(content) = declared.content(node) {
                file_extents(content, &self.layout.extents(handle), &mut all)?;
            }
        }
        let bytes: Arc<[u8]> = metadata.bytes.into();
        for (offset, len, at) in metadata.data {
            let source = ExtentSource::Bytes {
                bytes: bytes.clone(),
                at,
            };
            all.push(Extent {
                offset,
                len,
                source,
            });
        }
        all.sort_by_key(|extent| extent.offset);
        let covered: u64 = all.iter().map(|e| e.len).sum();
        let mut extents = ExtentMap::default();
        for extent in all {
            extents.push(extent.offset, extent.len, extent.source)?;
        }
        if covered != len || extents.end() != len {
            return Err(DiskError::Internal("the ext4 layout has a gap".into()));
        }
        let free = free.iter().map(|&(_, n)| n).sum();
        Ok(Ext4Plan {
            len,
            extents,
            free,
            inodes: self.inodes,
        })
    }
}

/// Splits runs of zeros into free space and the rest.
fn zeros(zeros: &[(u64, u64)], free: &[(u64, u64)], out: &mut Vec<Extent>) {
    let mut free = free.iter().copied().peekable();
    for &(start, n) in zeros {
        let (mut at, end) = (start, start + n);
        while at < end {
            while free.next_if(|&(s, n)| s + n <= at).is_some() {}
            let (to, source) = match free.peek() {
                Some(&(s, n)) if s <= at => (end.min(s + n), ExtentSource::Free),
                Some(&(s, _)) => (end.min(s), ExtentSource::Zero),
                None => (end, ExtentSource::Zero),
            };
            out.push(Extent {
                offset: at,
                len: to - at,
                source,
            });
            at = to;
        }
    }
}

/// Maps a file's data segments, in order, onto the runs the layout gave it; the rest of its last
/// block is zero.
fn file_extents(
    content: &Content,
    runs: &[(u64, u64)],
    out: &mut Vec<Extent>,
) -> Result<(), DiskError> {
    let mismatch = || DiskError::Internal("a file's extents do not add up".into());
    let mut runs = runs.iter().copied();
    let (mut at, mut room) = (0, 0);
    for segment in &content.segments {
        let mut done = 0;
        while done < segment.len {
            if room == 0 {
                (at, room) = runs.next().ok_or_else(mismatch)?;
            }
            let len = room.min(segment.len - done);
            let source = ExtentSource::Content {
                source: segment.source.clone(),
                at: segment.at + done,
            };
            out.push(Extent {
                offset: at,
                len,
                source,
            });
            (at, room, done) = (at + len, room - len, done + len);
        }
        let pad = at.next_multiple_of(BLOCK) - at;
        if pad > 0 {
            // Only a file's last block can be short of content.
            out.push(Extent {
                offset: at,
                len: pad,
                source: ExtentSource::Zero,
            });
        }
    }
    if room > 0 || runs.next().is_some() {
        Err(mismatch())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;

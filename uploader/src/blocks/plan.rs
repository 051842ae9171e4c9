//! Which blocks are put, in the order of the disk, and the checksum that the snapshot has then.
//!
//! A manifest is hostile here: nothing that it says is allocated, requested or made a key of before
//! it has been held against what an image can be.

use crate::Class;
use imgtool::pack::Manifest;
use imgtool::pass::BLOCK_LEN;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// SHA-256 of a block of zeros.
pub(crate) static ZERO_SHA256: LazyLock<[u8; 32]> =
    LazyLock::new(|| Sha256::digest(vec![0; BLOCK_LEN]).into());

/// Longest frame: a block that does not compress, with what zstd adds to it. Longer ones can't be
/// frames of one block.
pub const MAX_FRAME: u32 = (BLOCK_LEN + 4096) as u32;
/// Most blocks of a disk: 64 TiB, the largest volume.
const MAX_BLOCKS: u64 = (64 << 40) / BLOCK_LEN as u64;
/// Most blocks that are put: 1 TiB of content. A line of a manifest can claim any number of zeros,
/// and each block of the plan takes memory.
const MAX_PUTS: u64 = (1 << 40) / BLOCK_LEN as u64;

/// A block that the snapshot gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedPut {
    /// Which block of the disk.
    pub index: u32,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
    /// Where its content is. `None`: it is all zero.
    pub frame: Option<Frame>,
}

/// A frame of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Which of the manifest's packs.
    pub pack: u32,
    /// Where in it, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u32,
}

impl Frame {
    /// Where it ends.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(self.len.into())
    }
}

/// What is put into a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockPlan {
    /// Ascending by index. Their number is `ChangedBlocksCount`.
    pub puts: Vec<PlannedPut>,
    /// SHA-256 over the digests of all puts, in this order.
    pub linear_checksum: [u8; 32],
}

/// A manifest can't be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The disk is larger than any volume.
    #[error("the manifest's disk has {blocks} blocks: a volume has at most {MAX_BLOCKS}")]
    Size {
        /// So many blocks.
        blocks: u64,
    },
    /// There is more to put than fits the converter's memory.
    #[error("the manifest has more than {MAX_PUTS} blocks to put (1 TiB)")]
    TooMany,
    /// Blocks are not in order, or lie outside of the disk.
    #[error("the manifest's block {index} is listed twice, out of order or outside of the disk")]
    Order {
        /// The block.
        index: u64,
    },
    /// A digest is not one.
    #[error("the manifest's digest of {what} is not 64 hexadecimal digits in lower case")]
    Digest {
        /// Of what: a block or a pack, by number.
        what: String,
    },
    /// A block's frame can't be where the manifest says.
    #[error("the manifest's block {index} can't be where it says: {why}")]
    Frame {
        /// The block.
        index: u64,
        /// Why not.
        why: String,
    },
    /// `snapshot` does not follow from the blocks.
    #[error("the manifest's snapshot.{field} is not that of its blocks")]
    Snapshot {
        /// Which field.
        field: &'static str,
    },
}

impl PlanError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        Class::Input
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        Some("build the image again: this manifest is not as imgtool writes it".to_owned())
    }
}

/// Every block that is data or meaningful zero, less those that the parent's manifest has with the
/// same content. What the parent has *free* may hold anything, so a zero block over it is put.
///
/// # Errors
/// The manifest or the parent's is not one that `imgtool` writes. If the manifest alone gives a plan,
/// it is the parent's.
pub fn plan(manifest: &Manifest, parent: Option<&Manifest>) -> Result<BlockPlan, PlanError> {
    let mut had = match parent {
        Some(parent) => Some(Contents::of(parent)?.peekable()),
        None => None,
    };
    let mut all = Linear::default();
    let mut changed = Linear::default();
    let mut puts = Vec::new();
    for block in Contents::of(manifest)? {
        let block = block?;
        all.add(&block.sha256);
        if let Some(had) = &mut had {
            let is_before = |it: &Result<PlannedPut, PlanError>| {
                it.as_ref().is_ok_and(|it| it.index < block.index)
            };
            while had.next_if(is_before).is_some() {}
            match had.peek() {
                Some(Err(error)) => return Err(error.clone()),
                Some(Ok(it)) if (it.index, it.sha256) == (block.index, block.sha256) => continue,
                _ => {}
            }
        }
        changed.add(&block.sha256);
        puts.push(block);
    }
    if all.count != manifest.snapshot.changed_blocks_count {
        return Err(PlanError::Snapshot {
            field: "changed_blocks_count",
        });
    }
    if hex::encode(all.hash.finalize()) != manifest.snapshot.linear_checksum {
        return Err(PlanError::Snapshot {
            field: "linear_checksum",
        });
    }
    Ok(BlockPlan {
        puts,
        linear_checksum: changed.hash.finalize().into(),
    })
}

/// The digest over blocks' digests.
#[derive(Default)]
struct Linear {
    hash: Sha256,
    count: u64,
}

impl Linear {
    fn add(&mut self, sha256: &[u8; 32]) {
        self.hash.update(sha256);
        self.count += 1;
    }
}

/// A manifest's data and zero blocks, merged, each checked when it comes.
struct Contents<'m> {
    manifest: &'m Manifest,
    blocks: u64,
    /// How many of the data blocks were given.
    data: usize,
    /// How many of the runs of zeros, and how many blocks of the next.
    run: usize,
    in_run: u64,
    /// No block below this may come.
    next: u64,
    count: u64,
}

impl<'m> Contents<'m> {
    fn of(manifest: &'m Manifest) -> Result<Contents<'m>, PlanError> {
        let blocks = manifest.size / BLOCK_LEN as u64;
        if blocks > MAX_BLOCKS {
            return Err(PlanError::Size { blocks });
        }
        for (number, pack) in manifest.packs.iter().enumerate() {
            // It becomes a part of a key.
            digest(&pack.digest, || format!("pack {number}"))?;
        }
        Ok(Contents {
            manifest,
            blocks,
            data: 0,
            run: 0,
            in_run: 0,
            next: 0,
            count: 0,
        })
    }

    fn block(&mut self) -> Result<Option<PlannedPut>, PlanError> {
        let data = self.manifest.blocks.data.get(self.data);
        let zero = self.manifest.blocks.zero.get(self.run);
        if let Some(&(index, 0)) = zero {
            return Err(PlanError::Order { index });
        }
        let zero = zero.map(|&(first, count)| (first.saturating_add(self.in_run), count));
        let (index, sha256, frame) = match (data, zero) {
            (Some((index, text, pack, offset, len)), zero)
                if zero.is_none_or(|(zero, _)| *index <= zero) =>
            {
                self.data += 1;
                let sha256 = digest(text, || format!("block {index}"))?;
                let frame = self.frame(*index, *pack, *offset, *len)?;
                (*index, sha256, Some(frame))
            }
            (_, Some((index, count))) => {
                self.in_run += 1;
                if self.in_run >= count {
                    (self.run, self.in_run) = (self.run + 1, 0);
                }
                (index, *ZERO_SHA256, None)
            }
            _ => return Ok(None),
        };
        let small = u32::try_from(index).ok().filter(|_| index < self.blocks);
        let Some(small) = small.filter(|_| index >= self.next) else {
            return Err(PlanError::Order { index });
        };
        self.next = index + 1;
        self.count += 1;
        if self.count > MAX_PUTS {
            return Err(PlanError::TooMany);
        }
        Ok(Some(PlannedPut {
            index: small,
            sha256,
            frame,
        }))
    }

    fn frame(&self, index: u64, pack: u32, offset: u64, len: u32) -> Result<Frame, PlanError> {
        let refused = |why| Err(PlanError::Frame { index, why });
        let Some(record) = self.manifest.packs.get(pack as usize) else {
            return refused(format!("there is no pack {pack}"));
        };
        if len == 0 || len > MAX_FRAME {
            return refused(format!(
                "a frame of {len} bytes, where 1 to {MAX_FRAME} can be"
            ));
        }
        if offset
            .checked_add(len.into())
            .is_none_or(|end| end > record.size)
        {
            return refused(format!(
                "{len} bytes from {offset} are behind the end of its pack of {} bytes",
                record.size
            ));
        }
        Ok(Frame { pack, offset, len })
    }
}

impl Iterator for Contents<'_> {
    type Item = Result<PlannedPut, PlanError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.block().transpose()
    }
}

fn digest(text: &str, what: impl FnOnce() -> String) -> Result<[u8; 32], PlanError> {
    let mut bytes = [0; 32];
    let lower = !text.bytes().any(|it| it.is_ascii_uppercase());
    match hex::decode_to_slice(text, &mut bytes) {
        Ok(()) if lower => Ok(bytes),
        _ => Err(PlanError::Digest { what: what() }),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;

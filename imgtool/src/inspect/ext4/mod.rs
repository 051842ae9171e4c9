//! An ext4 file system, read only.
//!
//! Not the ext4-view crate, which tests use as an oracle: it gives neither device numbers nor
//! inode numbers, by which a directory that contains itself is told from one that does not; it
//! allocates what a symbolic link's inode says and panics on some directory indexes; and it takes
//! times from 2038 on for damage. Here every number is checked against the volume before use, and
//! work and memory are limited.

mod acl;
mod attributes;
mod content;
mod directory;
mod extents;
mod format;
mod inode;
mod lookup;
mod report;
mod walk;

use zerocopy::FromBytes;

use super::error::{Fault, bad};
use super::window::Window;
use format::{
    INCOMPAT_64BIT, INCOMPAT_CSUM_SEED, INCOMPAT_FILETYPE, INCOMPAT_HARMLESS, INCOMPAT_LARGEDIR,
    INCOMPAT_RECOVER, MAGIC, RO_COMPAT_METADATA_CSUM, SUPERBLOCK, Superblock, crc32c, le16, le32,
};

pub use lookup::NotFound;

pub(super) use content::Content;
pub(super) use inode::Inode;
pub(super) use lookup::Found;
pub(super) use report::look;
pub(super) use walk::{Walk, entry};

/// The root directory's inode.
const ROOT: u32 = 2;
/// Bytes of directories that are read, a directory that is read twice counted twice. A million files
/// take about 50 MiB.
const MAX_DIRECTORIES: u64 = 4 << 30;

/// An opened file system.
pub(super) struct Ext4 {
    volume: Window,
    block_size: u32,
    blocks: u64,
    inodes: u32,
    inodes_per_group: u32,
    inode_size: u16,
    /// First byte of the group descriptors.
    descriptors: u64,
    descriptor_size: u16,
    is_64bit: bool,
    large_directories: bool,
    /// Where the checksums of metadata start from; none if there are none.
    seed: Option<u32>,
    /// Blocks of directories that may still be read.
    directory_blocks: u64,
    /// Blocks of files that may still be read.
    content_blocks: u64,
}

/// Whether a superblock is where ext4 has it.
pub(super) fn is_ext4(partition: &mut Window) -> Result<bool, Fault> {
    if partition.len() < SUPERBLOCK + 1024 {
        return Ok(false);
    }
    Ok(partition.array::<2>(SUPERBLOCK + 0x38)? == MAGIC.to_le_bytes())
}

/// Bytes of a block, and blocks: a whole number of blocks lies in `len` bytes.
fn geometry(sb: &Superblock, len: u64) -> Result<(u32, u64), Fault> {
    let block_size = match sb.log_block_size.get() {
        log @ 0..=6 => 1024u32 << log,
        log => return bad(format!("ext4: a block size of 2^(10 + {log})")),
    };
    let upper = match sb.feature_incompat.get() & INCOMPAT_64BIT {
        0 => 0,
        _ => sb.blocks_count_hi.get(),
    };
    let blocks = u64::from(upper) << 32 | u64::from(sb.blocks_count_lo.get());
    match blocks.checked_mul(block_size.into()) {
        Some(bytes) if bytes <= len => Ok((block_size, blocks)),
        _ => bad(format!(
            "ext4: {blocks} blocks of {block_size} bytes don't fit the partition"
        )),
    }
}

impl Ext4 {
    /// Opens the file system that begins with `volume`.
    pub(super) fn open(mut volume: Window) -> Result<Ext4, Fault> {
        let bytes = volume.array::<1024>(SUPERBLOCK)?;
        let Ok(sb) = Superblock::ref_from_bytes(&bytes) else {
            return bad("ext4: no superblock");
        };
        let (block_size, blocks) = geometry(sb, volume.len())?;
        let (incompat, ro_compat) = (sb.feature_incompat.get(), sb.feature_ro_compat.get());
        if ro_compat & RO_COMPAT_METADATA_CSUM != 0
            && crc32c(!0, &bytes[..0x3fc]) != sb.checksum.get()
        {
            return bad("ext4: the superblock's checksum is wrong");
        }
        if incompat & INCOMPAT_RECOVER != 0 {
            return bad(
                "ext4: not unmounted, so its journal has to be replayed first (e2fsck does)",
            );
        }
        let known = INCOMPAT_FILETYPE | INCOMPAT_64BIT | INCOMPAT_CSUM_SEED | INCOMPAT_HARMLESS;
        let unknown = incompat & !known;
        if unknown != 0 || incompat & INCOMPAT_FILETYPE == 0 {
            return bad(format!(
                "ext4: features {incompat:#x}, which are not read here"
            ));
        }
        let is_64bit = incompat & INCOMPAT_64BIT != 0;
        let descriptor_size = match is_64bit {
            true => sb.desc_size.get(),
            false => 32,
        };
        let (inode_size, per_group) = (sb.inode_size.get(), sb.inodes_per_group.get());
        let first_data_block = sb.first_data_block.get();
        let groups = match sb.blocks_per_group.get() {
            0 => 0,
            per_group => blocks
                .saturating_sub(first_data_block.into())
                .div_ceil(per_group.into()),
        };
        if sb.rev_level.get() != 1
            || !(32..=1024).contains(&descriptor_size)
            || is_64bit && descriptor_size < 64
            || !descriptor_size.is_power_of_two()
            || !inode_size.is_power_of_two()
            || inode_size < 128
            || u32::from(inode_size) > block_size
            || per_group == 0
            || u64::from(sb.inodes_count.get()) > groups.saturating_mul(per_group.into())
            || first_data_block != u32::from(block_size == 1024)
        {
            return bad("ext4: the superblock's numbers contradict each other");
        }
        let seed = match (
            ro_compat & RO_COMPAT_METADATA_CSUM,
            incompat & INCOMPAT_CSUM_SEED,
        ) {
            (0, _) => None,
            (_, 0) => Some(crc32c(!0, &sb.uuid)),
            _ => Some(sb.checksum_seed.get()),
        };
        // No two directories share a block. What is looked up may be read again, so that there is
        // some room even on the smallest volume.
        let directory_blocks = blocks
            .max(1024)
            .min(MAX_DIRECTORIES / u64::from(block_size));
        Ok(Ext4 {
            block_size,
            blocks,
            inodes: sb.inodes_count.get(),
            inodes_per_group: per_group,
            inode_size,
            descriptors: u64::from(first_data_block + 1) * u64::from(block_size),
            descriptor_size,
            is_64bit,
            large_directories: incompat & INCOMPAT_LARGEDIR != 0,
            seed,
            directory_blocks,
            content_blocks: blocks,
            volume,
        })
    }

    /// The block `number`.
    fn block(&mut self, number: u64) -> Result<Vec<u8>, Fault> {
        if number == 0 || number >= self.blocks {
            return bad(format!("ext4: block {number} is not in the file system"));
        }
        let mut block = vec![0; self.block_size as usize];
        // `number < blocks`, and all blocks fit the partition.
        let at = number * u64::from(self.block_size);
        self.volume.read_at(at, &mut block)?;
        Ok(block)
    }

    /// The first block of the inode table of a group.
    fn inode_table(&mut self, group: u32) -> Result<u64, Fault> {
        let size = usize::from(self.descriptor_size);
        let mut descriptor = vec![0; size];
        let at = self.descriptors + u64::from(group) * u64::from(self.descriptor_size);
        self.volume.read_at(at, &mut descriptor)?;
        if let Some(seed) = self.seed {
            let mut sum = crc32c(seed, &group.to_le_bytes());
            sum = crc32c(sum, &descriptor[..0x1e]);
            sum = crc32c(sum, &[0; 2]);
            sum = crc32c(sum, &descriptor[0x20..]);
            if sum as u16 != le16(&descriptor, 0x1e) {
                return bad(format!("ext4: the checksum of group {group} is wrong"));
            }
        }
        let upper = if self.is_64bit {
            le32(&descriptor, 0x28)
        } else {
            0
        };
        Ok(u64::from(upper) << 32 | u64::from(le32(&descriptor, 0x8)))
    }
}

#[cfg(test)]
mod tests;

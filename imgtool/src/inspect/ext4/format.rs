//! ext4 on disk (kernel documentation, "ext4 Data Structures and Algorithms").

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// Where the superblock is, in bytes.
pub(super) const SUPERBLOCK: u64 = 1024;
pub(super) const MAGIC: u16 = 0xef53;

/// The block group descriptors and block numbers have upper halves.
pub(super) const INCOMPAT_64BIT: u32 = 0x80;
/// The checksums' seed is in the superblock.
pub(super) const INCOMPAT_CSUM_SEED: u32 = 0x2000;
/// The journal has changes that are not where they belong yet.
pub(super) const INCOMPAT_RECOVER: u32 = 0x4;
/// Directory entries say what kind of file they name.
pub(super) const INCOMPAT_FILETYPE: u32 = 0x2;
/// Features with which everything is where this reader looks for it: extents, flexible groups,
/// multiple mount protection, attribute values in inodes, large directories.
pub(super) const INCOMPAT_HARMLESS: u32 = 0x40 | 0x200 | 0x100 | 0x400 | 0x4000;
/// Metadata has checksums.
pub(super) const RO_COMPAT_METADATA_CSUM: u32 = 0x400;
/// Directories and symbolic links may be longer than 4 GiB.
pub(super) const INCOMPAT_LARGEDIR: u32 = 0x4000;

/// The superblock, as far as it is read here.
#[derive(Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Superblock {
    pub(super) inodes_count: U32,
    pub(super) blocks_count_lo: U32,
    r_blocks_count_lo: U32,
    pub(super) free_blocks_count_lo: U32,
    pub(super) free_inodes_count: U32,
    pub(super) first_data_block: U32,
    pub(super) log_block_size: U32,
    log_cluster_size: U32,
    pub(super) blocks_per_group: U32,
    clusters_per_group: U32,
    pub(super) inodes_per_group: U32,
    unused_2c: [u8; 0x38 - 0x2c],
    magic: U16,
    unused_3a: [u8; 0x4c - 0x3a],
    pub(super) rev_level: U32,
    unused_50: [u8; 0x58 - 0x50],
    pub(super) inode_size: U16,
    unused_5a: [u8; 0x60 - 0x5a],
    pub(super) feature_incompat: U32,
    pub(super) feature_ro_compat: U32,
    pub(super) uuid: [u8; 16],
    pub(super) volume_name: [u8; 16],
    unused_88: [u8; 0xfe - 0x88],
    pub(super) desc_size: U16,
    unused_100: [u8; 0x150 - 0x100],
    pub(super) blocks_count_hi: U32,
    r_blocks_count_hi: U32,
    pub(super) free_blocks_count_hi: U32,
    unused_15c: [u8; 0x270 - 0x15c],
    pub(super) checksum_seed: U32,
    unused_274: [u8; 0x3fc - 0x274],
    pub(super) checksum: U32,
}

const _: () = assert!(size_of::<Superblock>() == 1024);

/// An inode's first 128 bytes, which every inode has.
#[derive(Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct RawInode {
    pub(super) mode: U16,
    pub(super) uid_lo: U16,
    pub(super) size_lo: U32,
    atime: U32,
    ctime: U32,
    pub(super) mtime: U32,
    dtime: U32,
    pub(super) gid_lo: U16,
    pub(super) links_count: U16,
    blocks_lo: U32,
    pub(super) flags: U32,
    version: U32,
    pub(super) block: [u8; 60],
    pub(super) generation: U32,
    pub(super) file_acl_lo: U32,
    pub(super) size_hi: U32,
    unused_70: [u8; 0x76 - 0x70],
    pub(super) file_acl_hi: U16,
    pub(super) uid_hi: U16,
    pub(super) gid_hi: U16,
    pub(super) checksum_lo: U16,
    unused_7e: [u8; 2],
}

const _: () = assert!(size_of::<RawInode>() == 128);

/// Where an inode's checksum is, in two halves, and its time of modification's upper bits.
pub(super) const INODE_CHECKSUM_LO: usize = 0x7c;
pub(super) const INODE_EXTRA_SIZE: usize = 0x80;
pub(super) const INODE_CHECKSUM_HI: usize = 0x82;
pub(super) const INODE_MTIME_EXTRA: usize = 0x88;

/// A directory has an index of hashes.
pub(super) const FLAG_INDEX: u32 = 0x1000;
/// Names or content are encrypted.
pub(super) const FLAG_ENCRYPT: u32 = 0x800;
/// `block` is the root of a tree of extents.
pub(super) const FLAG_EXTENTS: u32 = 0x8_0000;
/// The content is the value of another inode's extended attribute.
pub(super) const FLAG_EA_INODE: u32 = 0x20_0000;
/// The content is in the inode, beside attributes.
pub(super) const FLAG_INLINE_DATA: u32 = 0x1000_0000;

/// CRC-32C as ext4 has it, inverted neither before nor after.
pub(super) fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!seed, bytes)
}

/// The 16-bit number at an offset. 0 behind the end: lengths are checked before.
pub(super) fn le16(bytes: &[u8], at: usize) -> u16 {
    let range = at.checked_add(2).and_then(|end| bytes.get(at..end));
    range.map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
}

/// The same of 32 bits.
pub(super) fn le32(bytes: &[u8], at: usize) -> u32 {
    let range = at.checked_add(4).and_then(|end| bytes.get(at..end));
    range.map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

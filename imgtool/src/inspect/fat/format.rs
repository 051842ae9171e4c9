//! FAT on disk (Microsoft, "FAT: General Overview of On-Disk Format", 1.03).

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// The first sector: jump, OEM name, BIOS parameter block. `tail` is laid out differently for
/// FAT32 and for FAT12 and FAT16.
#[derive(Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct BootSector {
    pub(super) jump: [u8; 3],
    pub(super) oem_name: [u8; 8],
    pub(super) bytes_per_sector: U16,
    pub(super) sectors_per_cluster: u8,
    pub(super) reserved_sectors: U16,
    pub(super) fats: u8,
    pub(super) root_entries: U16,
    pub(super) total_sectors_16: U16,
    pub(super) media: u8,
    pub(super) sectors_per_fat_16: U16,
    pub(super) sectors_per_track: U16,
    pub(super) heads: U16,
    pub(super) hidden_sectors: U32,
    pub(super) total_sectors_32: U32,
    pub(super) tail: [u8; 474],
    pub(super) signature: [u8; 2],
}

/// The fields of FAT32 at offset 36, of which `extended` comes directly at 36 for FAT12 and FAT16.
#[derive(Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Fat32 {
    pub(super) sectors_per_fat: U32,
    pub(super) flags: U16,
    pub(super) version: U16,
    pub(super) root_cluster: U32,
    pub(super) info_sector: U16,
    pub(super) backup_sector: U16,
    pub(super) reserved: [u8; 12],
    pub(super) extended: Extended,
}

/// Serial number and label.
#[derive(Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Extended {
    pub(super) drive: u8,
    pub(super) reserved: u8,
    /// 0x29 if the two fields after it are there.
    pub(super) signature: u8,
    pub(super) serial: U32,
    pub(super) label: [u8; 11],
}

/// A directory entry with a short name.
#[derive(Debug, Clone, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct DirEntry {
    /// Eight bytes of name and three of extension, padded with spaces.
    pub(super) name: [u8; 11],
    pub(super) attributes: u8,
    /// Windows NT: 0x08 shows the name in lower case, 0x10 the extension.
    pub(super) case: u8,
    pub(super) times: [u8; 7],
    pub(super) cluster_high: U16,
    pub(super) modified_time: U16,
    pub(super) modified_date: U16,
    pub(super) cluster_low: U16,
    pub(super) size: U32,
}

pub(super) const ATTR_VOLUME: u8 = 0x08;
pub(super) const ATTR_DIRECTORY: u8 = 0x10;
/// Read-only, hidden, system and volume at once: a part of a long name.
pub(super) const ATTR_LONG_NAME: u8 = 0x0f;
pub(super) const CASE_NAME: u8 = 0x08;
pub(super) const CASE_EXTENSION: u8 = 0x10;
/// First byte of a name: no entry here nor after it.
pub(super) const NAME_END: u8 = 0x00;
/// First byte of a name: deleted.
pub(super) const NAME_DELETED: u8 = 0xe5;

const _: () = assert!(size_of::<BootSector>() == 512);
const _: () = assert!(size_of::<Fat32>() == 28 + size_of::<Extended>());
const _: () = assert!(size_of::<DirEntry>() == 32);

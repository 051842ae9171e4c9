//! FAT32 structures, little-endian, as in Microsoft's "FAT: General Overview of On-Disk Format",
//! version 1.03. Field names are that document's.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{Immutable, IntoBytes};

/// Boot sector of a FAT32 volume (sections "Boot Sector and BPB" and "FAT32").
#[derive(Debug, Clone, IntoBytes, Immutable)]
#[repr(C)]
#[allow(non_snake_case, reason = "the specification's own names")]
pub struct BootSector {
    pub BS_jmpBoot: [u8; 3],
    pub BS_OEMName: [u8; 8],
    pub BPB_BytsPerSec: U16,
    pub BPB_SecPerClus: u8,
    pub BPB_RsvdSecCnt: U16,
    pub BPB_NumFATs: u8,
    pub BPB_RootEntCnt: U16,
    pub BPB_TotSec16: U16,
    pub BPB_Media: u8,
    pub BPB_FATSz16: U16,
    pub BPB_SecPerTrk: U16,
    pub BPB_NumHeads: U16,
    pub BPB_HiddSec: U32,
    pub BPB_TotSec32: U32,
    pub BPB_FATSz32: U32,
    pub BPB_ExtFlags: U16,
    pub BPB_FSVer: U16,
    pub BPB_RootClus: U32,
    pub BPB_FSInfo: U16,
    pub BPB_BkBootSec: U16,
    pub BPB_Reserved: [u8; 12],
    pub BS_DrvNum: u8,
    pub BS_Reserved1: u8,
    pub BS_BootSig: u8,
    pub BS_VolID: U32,
    pub BS_VolLab: [u8; 11],
    pub BS_FilSysType: [u8; 8],
    pub boot_code: [u8; 420],
    pub signature: U16,
}
const _: () = assert!(size_of::<BootSector>() == 512);

/// FSInfo sector (section "FAT32 FSInfo Sector Structure and Backup Boot Sector").
#[derive(Debug, Clone, IntoBytes, Immutable)]
#[repr(C)]
#[allow(non_snake_case, reason = "the specification's own names")]
pub struct FsInfo {
    pub FSI_LeadSig: U32,
    pub FSI_Reserved1: [u8; 480],
    pub FSI_StrucSig: U32,
    pub FSI_Free_Count: U32,
    pub FSI_Nxt_Free: U32,
    pub FSI_Reserved2: [u8; 12],
    pub FSI_TrailSig: U32,
}
const _: () = assert!(size_of::<FsInfo>() == 512);

/// Directory entry (section "FAT Directory Structure").
#[derive(Debug, Clone, IntoBytes, Immutable)]
#[repr(C)]
#[allow(non_snake_case, reason = "the specification's own names")]
pub struct DirEntry {
    pub DIR_Name: [u8; 11],
    pub DIR_Attr: u8,
    pub DIR_NTRes: u8,
    pub DIR_CrtTimeTenth: u8,
    pub DIR_CrtTime: U16,
    pub DIR_CrtDate: U16,
    pub DIR_LstAccDate: U16,
    pub DIR_FstClusHI: U16,
    pub DIR_WrtTime: U16,
    pub DIR_WrtDate: U16,
    pub DIR_FstClusLO: U16,
    pub DIR_FileSize: U32,
}
const _: () = assert!(size_of::<DirEntry>() == 32);

pub const ATTR_VOLUME_ID: u8 = 0x08;
pub const ATTR_DIRECTORY: u8 = 0x10;
pub const ATTR_ARCHIVE: u8 = 0x20;

/// Media descriptor of a fixed disk, repeated in FAT entry 0.
pub const MEDIA_FIXED: u8 = 0xf8;
/// Last cluster of a chain.
pub const END_OF_CHAIN: u32 = 0x0fff_ffff;
/// A volume is FAT32 if, and only if, it has at least this many clusters (section "FAT Type
/// Determination").
pub const MIN_CLUSTERS: u64 = 65_525;
/// Clusters are numbered from 2.
pub const FIRST_CLUSTER: u32 = 2;

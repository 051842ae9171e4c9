//! The boot partition's file system: FAT32, planned whole.
//!
//! Directories and their few files are known beforehand, so every file is one run of clusters
//! and its place is part of the plan: the BIOS stage reads kernel and initramfs by LBA.

mod format;
mod time;

use super::{ALIGN, DiskError, ExtentMap, ExtentSource, SECTOR};
use format::{
    ATTR_ARCHIVE, ATTR_DIRECTORY, ATTR_VOLUME_ID, BootSector, DirEntry, END_OF_CHAIN,
    FIRST_CLUSTER, FsInfo, MEDIA_FIXED, MIN_CLUSTERS,
};
use std::sync::Arc;
use zerocopy::IntoBytes;

/// One sector per cluster: the smallest volume that is FAT32.
const CLUSTER: u64 = SECTOR;
/// Reserved sectors: boot sector, FSInfo, their backups; as `mkfs.fat` has it.
const RESERVED: u64 = 32;
const FATS: u64 = 2;

/// A file of the boot partition.
#[derive(Debug, Clone)]
pub struct BootFile {
    /// Directories from the root, and the name: each in 8.3 form, upper case (`BOOTX64.EFI`).
    pub path: &'static [&'static str],
    /// Content.
    pub bytes: Arc<[u8]>,
}

/// What a volume holds and how it is labelled.
#[derive(Debug, Clone)]
pub struct FatSpec {
    /// Volume label: 11 characters, padded with spaces.
    pub label: [u8; 11],
    /// Volume serial number.
    pub serial: u32,
    /// Every time in the volume: seconds since 1970; before 1980, 1980.
    pub timestamp: u32,
    /// Sectors before the volume on its disk.
    pub hidden_sectors: u32,
    /// The files.
    pub files: Vec<BootFile>,
}

/// A planned volume.
#[derive(Debug)]
pub struct FatPlan {
    /// Length in bytes, a multiple of [`ALIGN`].
    pub len: u64,
    /// What lies where, from the volume's start.
    pub extents: ExtentMap,
    /// Where each file's bytes start, from the volume's start, in the order of the spec.
    pub file_offsets: Vec<u64>,
}

struct Dir {
    path: Vec<&'static str>,
    cluster: u32,
    /// Names of subdirectories and files, with first cluster and size.
    entries: Vec<(&'static str, u8, u32, u32)>,
}

/// Plans a volume.
pub fn plan(spec: &FatSpec) -> Result<FatPlan, DiskError> {
    let (dirs, file_clusters, next) = place(spec)?;
    let used = u64::from(next - FIRST_CLUSTER);
    let (len, fat_sectors, clusters) = geometry(used)?;

    let date = time::fat_date(spec.timestamp);
    let clock = time::fat_time(spec.timestamp);
    let boot = boot_sector(spec, len, fat_sectors);
    let info = fs_info(clusters - used, next);
    let mut reserved = vec![0; (8 * SECTOR) as usize];
    for copy in [0, 6 * SECTOR as usize] {
        reserved[copy..copy + 512].copy_from_slice(boot.as_bytes());
        reserved[copy + 512..copy + 1024].copy_from_slice(info.as_bytes());
    }

    let mut map = ExtentMap::default();
    map.push_bytes(0, reserved, RESERVED * SECTOR)?;
    let fat: Arc<[u8]> = fat_table(spec, &dirs, &file_clusters, next).into();
    for copy in 0..FATS {
        let offset = (RESERVED + copy * fat_sectors) * SECTOR;
        let n = fat.len() as u64;
        map.push(
            offset,
            n,
            ExtentSource::Bytes {
                bytes: fat.clone(),
                at: 0,
            },
        )?;
        map.push(offset + n, fat_sectors * SECTOR - n, ExtentSource::Zero)?;
    }
    let heap = (RESERVED + FATS * fat_sectors) * SECTOR;
    let offset_of = |cluster: u32| heap + u64::from(cluster - FIRST_CLUSTER) * CLUSTER;
    for dir in &dirs {
        map.push_bytes(
            offset_of(dir.cluster),
            directory(dir, &dirs, spec, date, clock),
            CLUSTER,
        )?;
    }
    let mut file_offsets = Vec::new();
    for (file, &cluster) in spec.files.iter().zip(&file_clusters) {
        let offset = offset_of(cluster);
        let n = file.bytes.len() as u64;
        map.push(
            offset,
            n,
            ExtentSource::Bytes {
                bytes: file.bytes.clone(),
                at: 0,
            },
        )?;
        map.push(
            offset + n,
            n.next_multiple_of(CLUSTER) - n,
            ExtentSource::Zero,
        )?;
        file_offsets.push(offset);
    }
    map.push(len, 0, ExtentSource::Free)?;
    Ok(FatPlan {
        len,
        extents: map,
        file_offsets,
    })
}

/// Gives every directory one cluster, and every file its run behind them.
fn place(spec: &FatSpec) -> Result<(Vec<Dir>, Vec<u32>, u32), DiskError> {
    let mut dirs = vec![Dir {
        path: Vec::new(),
        cluster: FIRST_CLUSTER,
        entries: Vec::new(),
    }];
    for file in &spec.files {
        for depth in 1..file.path.len() {
            let path = &file.path[..depth];
            if dirs.iter().all(|d| d.path != path) {
                let cluster = FIRST_CLUSTER + dirs.len() as u32;
                dirs.push(Dir {
                    path: path.to_vec(),
                    cluster,
                    entries: Vec::new(),
                });
                insert(
                    &mut dirs,
                    path,
                    (path[depth - 1], ATTR_DIRECTORY, cluster, 0),
                )?;
            }
        }
    }
    let mut next = FIRST_CLUSTER + dirs.len() as u32;
    let mut file_clusters = Vec::new();
    for file in &spec.files {
        let too_large = || DiskError::BootFilesTooLarge(file.bytes.len() as u64);
        let size = u32::try_from(file.bytes.len()).map_err(|_| too_large())?;
        let clusters = u64::from(size).div_ceil(CLUSTER) as u32;
        file_clusters.push(next);
        if let Some(&name) = file.path.last() {
            insert(&mut dirs, file.path, (name, ATTR_ARCHIVE, next, size))?;
        }
        next = next.checked_add(clusters).ok_or_else(too_large)?;
    }
    Ok((dirs, file_clusters, next))
}

fn insert(
    dirs: &mut [Dir],
    path: &[&'static str],
    entry: (&'static str, u8, u32, u32),
) -> Result<(), DiskError> {
    let parent = &path[..path.len().saturating_sub(1)];
    let dir = dirs.iter_mut().find(|d| d.path == parent);
    // One cluster holds 16 entries; two of them are `.` and `..`, or the label.
    match dir {
        Some(dir) if dir.entries.len() < 14 => {
            dir.entries.push(entry);
            Ok(())
        }
        _ => Err(DiskError::Internal(format!(
            "boot partition: no room for {}",
            entry.0
        ))),
    }
}

/// Volume length, sectors per FAT, and clusters, for at least `used` clusters.
fn geometry(used: u64) -> Result<(u64, u64, u64), DiskError> {
    let wanted = used.max(MIN_CLUSTERS + 16);
    let fat_sectors = (wanted + 2).div_ceil(SECTOR / 4);
    let len = ((RESERVED + FATS * fat_sectors + wanted) * SECTOR).next_multiple_of(ALIGN);
    // Rounding up made room for more clusters, which need FAT entries themselves.
    let mut fat_sectors = fat_sectors;
    loop {
        let clusters = len / SECTOR - RESERVED - FATS * fat_sectors;
        if (clusters + 2).div_ceil(SECTOR / 4) <= fat_sectors {
            if clusters < used {
                return Err(DiskError::Internal(
                    "boot partition: too few clusters".into(),
                ));
            }
            return Ok((len, fat_sectors, clusters));
        }
        fat_sectors += 1;
    }
}

fn boot_sector(spec: &FatSpec, len: u64, fat_sectors: u64) -> BootSector {
    BootSector {
        BS_jmpBoot: [0xeb, 0x58, 0x90],
        BS_OEMName: *b"imgtool ",
        BPB_BytsPerSec: (SECTOR as u16).into(),
        BPB_SecPerClus: (CLUSTER / SECTOR) as u8,
        BPB_RsvdSecCnt: (RESERVED as u16).into(),
        BPB_NumFATs: FATS as u8,
        BPB_RootEntCnt: 0.into(),
        BPB_TotSec16: 0.into(),
        BPB_Media: MEDIA_FIXED,
        BPB_FATSz16: 0.into(),
        BPB_SecPerTrk: 63.into(),
        BPB_NumHeads: 255.into(),
        BPB_HiddSec: spec.hidden_sectors.into(),
        BPB_TotSec32: ((len / SECTOR) as u32).into(),
        BPB_FATSz32: (fat_sectors as u32).into(),
        BPB_ExtFlags: 0.into(),
        BPB_FSVer: 0.into(),
        BPB_RootClus: FIRST_CLUSTER.into(),
        BPB_FSInfo: 1.into(),
        BPB_BkBootSec: 6.into(),
        BPB_Reserved: [0; 12],
        BS_DrvNum: 0x80,
        BS_Reserved1: 0,
        BS_BootSig: 0x29,
        BS_VolID: spec.serial.into(),
        BS_VolLab: spec.label,
        BS_FilSysType: *b"FAT32   ",
        boot_code: [0; 420],
        signature: 0xaa55.into(),
    }
}

fn fs_info(free: u64, next: u32) -> FsInfo {
    FsInfo {
        FSI_LeadSig: 0x4161_5252.into(),
        FSI_Reserved1: [0; 480],
        FSI_StrucSig: 0x6141_7272.into(),
        FSI_Free_Count: (free as u32).into(),
        FSI_Nxt_Free: next.into(),
        FSI_Reserved2: [0; 12],
        FSI_TrailSig: 0xaa55_0000.into(),
    }
}

/// The used start of the allocation table.
fn fat_table(spec: &FatSpec, dirs: &[Dir], file_clusters: &[u32], next: u32) -> Vec<u8> {
    let mut fat = vec![0u32; next as usize];
    fat[0] = 0x0fff_ff00 | u32::from(MEDIA_FIXED);
    fat[1] = END_OF_CHAIN;
    for dir in dirs {
        fat[dir.cluster as usize] = END_OF_CHAIN;
    }
    for (file, &first) in spec.files.iter().zip(file_clusters) {
        let clusters = (file.bytes.len() as u64).div_ceil(CLUSTER) as u32;
        for cluster in first..first + clusters {
            fat[cluster as usize] = if cluster + 1 == first + clusters {
                END_OF_CHAIN
            } else {
                cluster + 1
            };
        }
    }
    fat.iter().flat_map(|e| e.to_le_bytes()).collect()
}

fn directory(dir: &Dir, dirs: &[Dir], spec: &FatSpec, date: u16, clock: u16) -> Vec<u8> {
    let entry = |name: [u8; 11], attr: u8, cluster: u32, size: u32| DirEntry {
        DIR_Name: name,
        DIR_Attr: attr,
        DIR_NTRes: 0,
        DIR_CrtTimeTenth: 0,
        DIR_CrtTime: clock.into(),
        DIR_CrtDate: date.into(),
        DIR_LstAccDate: date.into(),
        DIR_FstClusHI: ((cluster >> 16) as u16).into(),
        DIR_WrtTime: clock.into(),
        DIR_WrtDate: date.into(),
        DIR_FstClusLO: (cluster as u16).into(),
        DIR_FileSize: size.into(),
    };
    let mut out = Vec::new();
    if let Some((_, parent)) = dir.path.split_last() {
        // `..` names cluster 0 where the parent is the root.
        let up = dirs
            .iter()
            .find(|d| d.path == parent && !parent.is_empty())
            .map_or(0, |d| d.cluster);
        out.extend_from_slice(entry(*b".          ", ATTR_DIRECTORY, dir.cluster, 0).as_bytes());
        out.extend_from_slice(entry(*b"..         ", ATTR_DIRECTORY, up, 0).as_bytes());
    } else {
        out.extend_from_slice(entry(spec.label, ATTR_VOLUME_ID, 0, 0).as_bytes());
    }
    for &(name, attr, cluster, size) in &dir.entries {
        // A file without content has no cluster.
        let cluster = if attr == ATTR_ARCHIVE && size == 0 {
            0
        } else {
            cluster
        };
        out.extend_from_slice(entry(short_name(name), attr, cluster, size).as_bytes());
    }
    out
}

/// `BOOTX64.EFI` as a directory entry holds it.
fn short_name(name: &str) -> [u8; 11] {
    let (base, extension) = name.split_once('.').unwrap_or((name, ""));
    let mut out = [b' '; 11];
    for (to, from) in out[..8].iter_mut().zip(base.bytes()) {
        *to = from;
    }
    for (to, from) in out[8..].iter_mut().zip(extension.bytes()) {
        *to = from;
    }
    out
}

#[cfg(test)]
mod tests;

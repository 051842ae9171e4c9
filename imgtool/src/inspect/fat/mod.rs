//! A FAT volume, read only.
//!
//! Not the fatfs crate: it takes clusters and sizes from the disk at their word, so that a crafted
//! volume overflows its arithmetic or never lets its directory walk end. Here every number is
//! checked against the volume before use, and walks are limited.

mod content;
mod directory;
mod format;
mod time;

use std::io::Read;

use zerocopy::FromBytes;

use super::error::{Fault, bad};
use super::report::{FatReport, FileReport};
use super::window::Window;
use format::{BootSector, Extended, Fat32};

pub(super) use content::Content;
pub(super) use directory::Entry;

/// Bytes of the FAT that are read at once.
const FAT_BLOCK: u64 = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    Fat12,
    Fat16,
    Fat32,
}

/// Where the root directory is.
enum Root {
    /// FAT12, FAT16: a fixed range of bytes.
    Range(u64, u64),
    /// FAT32: a chain of clusters.
    Cluster(u32),
}

/// An opened volume.
pub(super) struct Fat {
    volume: Window,
    variant: Variant,
    cluster_size: u32,
    /// Clusters are numbered 2 to `clusters + 1`.
    clusters: u32,
    /// First byte and length of the FAT in use.
    fat: (u64, u64),
    /// First byte of cluster 2.
    data: u64,
    root: Root,
    serial: u32,
    boot_label: [u8; 11],
    /// One block of the FAT: its number and bytes.
    cache: (u64, Vec<u8>),
}

impl Fat {
    /// Opens the volume that fills `volume`.
    pub(super) fn open(mut volume: Window) -> Result<Fat, Fault> {
        let bytes = volume.array::<512>(0)?;
        let Ok(boot) = BootSector::ref_from_bytes(&bytes) else {
            return bad("FAT: no boot sector");
        };
        let sector = u64::from(boot.bytes_per_sector.get());
        let per_cluster = u64::from(boot.sectors_per_cluster);
        if boot.signature != [0x55, 0xaa]
            || !sector.is_power_of_two()
            || !(512..=4096).contains(&sector)
            || !per_cluster.is_power_of_two()
            || boot.reserved_sectors.get() == 0
            || boot.fats == 0
        {
            return bad("FAT: not a boot sector");
        }
        let fat32 = boot.sectors_per_fat_16.get() == 0;
        let Ok((tail32, _)) = Fat32::ref_from_prefix(&boot.tail) else {
            return bad("FAT: no boot sector");
        };
        let Ok((tail16, _)) = Extended::ref_from_prefix(&boot.tail) else {
            return bad("FAT: no boot sector");
        };
        let (extended, per_fat) = if fat32 {
            (&tail32.extended, u64::from(tail32.sectors_per_fat.get()))
        } else {
            (tail16, u64::from(boot.sectors_per_fat_16.get()))
        };
        let total = match boot.total_sectors_16.get() {
            0 => u64::from(boot.total_sectors_32.get()),
            n => u64::from(n),
        };
        // All of these are below 2^48: nothing overflows.
        let root_bytes = u64::from(boot.root_entries.get()) * 32;
        let root_start = u64::from(boot.reserved_sectors.get()) + u64::from(boot.fats) * per_fat;
        let data = root_start + root_bytes.div_ceil(sector);
        if total * sector > volume.len() || data >= total || per_fat == 0 {
            return bad("FAT: the boot sector's sizes don't fit the partition");
        }
        let clusters = (total - data) / per_cluster;
        // The number of clusters, and nothing else, tells the variants apart (section 3.5).
        let variant = match clusters {
            0..4085 => Variant::Fat12,
            4085..65525 => Variant::Fat16,
            _ => Variant::Fat32,
        };
        let in_fat = match variant {
            Variant::Fat12 => per_fat * sector * 2 / 3,
            Variant::Fat16 => per_fat * sector / 2,
            Variant::Fat32 => per_fat * sector / 4,
        };
        if fat32 != (variant == Variant::Fat32) || clusters + 2 > in_fat.min(0x0fff_fff7) {
            return bad("FAT: the number of clusters contradicts the boot sector");
        }
        let (serial, boot_label) = match extended.signature {
            0x29 => (extended.serial.get(), extended.label),
            _ => (0, [b' '; 11]),
        };
        Ok(Fat {
            variant,
            cluster_size: (sector * per_cluster) as u32,
            clusters: clusters as u32,
            fat: (
                u64::from(boot.reserved_sectors.get()) * sector,
                per_fat * sector,
            ),
            data: data * sector,
            root: if fat32 {
                Root::Cluster(tail32.root_cluster.get())
            } else {
                Root::Range(root_start * sector, root_bytes)
            },
            serial,
            boot_label,
            cache: (u64::MAX, Vec::new()),
            volume,
        })
    }

    /// What the volume is and holds.
    pub(super) fn report(&mut self) -> Result<FatReport, Fault> {
        let (entries, label) = self.walk()?;
        let label = label.unwrap_or(self.boot_label);
        Ok(FatReport {
            variant: match self.variant {
                Variant::Fat12 => "FAT12",
                Variant::Fat16 => "FAT16",
                Variant::Fat32 => "FAT32",
            },
            serial: format!("{:04X}-{:04X}", self.serial >> 16, self.serial & 0xffff),
            label: String::from_utf8_lossy(&label).trim_end().to_owned(),
            cluster_size: self.cluster_size,
            files: entries
                .iter()
                .map(|entry| FileReport {
                    path: entry.path.clone(),
                    size: entry.size,
                })
                .collect(),
            uki: None,
        })
    }

    /// Every file and directory, each directory before what is in it.
    pub(super) fn files(&mut self) -> Result<Vec<Entry>, Fault> {
        Ok(self.walk()?.0)
    }

    /// The file at `path`, ignoring case as FAT does.
    pub(super) fn find(&mut self, path: &str) -> Result<Option<Entry>, Fault> {
        let (entries, _) = self.walk()?;
        Ok(entries
            .into_iter()
            .find(|entry| entry.path.eq_ignore_ascii_case(path)))
    }

    /// All of a file of at most `limit` bytes.
    pub(super) fn read(&mut self, entry: &Entry, limit: u64) -> Result<Vec<u8>, Fault> {
        if entry.size > limit {
            return bad(format!(
                "{}: {} bytes, more than the {limit} that are read",
                entry.path, entry.size
            ));
        }
        let needed = entry.size.div_ceil(u64::from(self.cluster_size));
        let mut data = Vec::new();
        let mut cluster = entry.cluster;
        for at in 0..needed {
            let left = entry.size - at * u64::from(self.cluster_size);
            self.append(cluster, left, &mut data)?;
            if at + 1 < needed {
                cluster = match self.next(cluster)? {
                    Some(next) => next,
                    None => {
                        return bad(format!(
                            "{}: its chain of clusters is too short",
                            entry.path
                        ));
                    }
                };
            }
        }
        Ok(data)
    }

    /// All of a chain of at most `limit` bytes, which has no size but its own.
    fn chain(&mut self, first: u32, limit: usize) -> Result<Vec<u8>, Fault> {
        let mut data = Vec::new();
        let mut cluster = Some(first);
        while let Some(at) = cluster {
            self.append(at, u64::MAX, &mut data)?;
            if data.len() > limit {
                return bad(format!("FAT: a directory of more than {limit} bytes"));
            }
            cluster = self.next(at)?;
        }
        Ok(data)
    }

    /// Appends the first `left` bytes of a cluster to `data`, or all of it.
    fn append(&mut self, cluster: u32, left: u64, data: &mut Vec<u8>) -> Result<(), Fault> {
        let size = u64::from(self.cluster_size);
        let at = self.data + u64::from(self.number(cluster)?) * size;
        let want = left.min(size);
        let mut part = self.volume.part(at, want)?;
        if part.read_to_end(data)? as u64 != want {
            return bad("FAT: the partition is cut short");
        }
        Ok(())
    }

    /// A cluster's place in the data area, from 0.
    fn number(&self, cluster: u32) -> Result<u32, Fault> {
        match cluster.checked_sub(2) {
            Some(number) if number < self.clusters => Ok(number),
            _ => bad(format!("FAT: cluster {cluster} is not on the volume")),
        }
    }

    /// The cluster after `cluster`; `None` at the end of its chain.
    fn next(&mut self, cluster: u32) -> Result<Option<u32>, Fault> {
        self.number(cluster)?;
        let at = u64::from(cluster);
        let (value, end) = match self.variant {
            Variant::Fat12 => {
                let pair = u32::from(self.fat_byte(at * 3 / 2)?)
                    | u32::from(self.fat_byte(at * 3 / 2 + 1)?) << 8;
                let value = if at % 2 == 0 { pair & 0xfff } else { pair >> 4 };
                (value, 0xff8)
            }
            Variant::Fat16 => (self.fat_bytes(at * 2, 2)?, 0xfff8),
            // The upper four bits are reserved.
            Variant::Fat32 => (self.fat_bytes(at * 4, 4)? & 0x0fff_ffff, 0x0fff_fff8),
        };
        Ok((value < end).then_some(value))
    }

    fn fat_bytes(&mut self, at: u64, count: u64) -> Result<u32, Fault> {
        let mut value = 0;
        for i in 0..count {
            value |= u32::from(self.fat_byte(at + i)?) << (8 * i);
        }
        Ok(value)
    }

    fn fat_byte(&mut self, at: u64) -> Result<u8, Fault> {
        let block = at / FAT_BLOCK;
        if self.cache.0 != block {
            let start = block * FAT_BLOCK;
            let len = FAT_BLOCK.min(self.fat.1.saturating_sub(start));
            let mut bytes = vec![0; len as usize];
            self.volume.read_at(self.fat.0 + start, &mut bytes)?;
            self.cache = (block, bytes);
        }
        match self.cache.1.get((at % FAT_BLOCK) as usize) {
            Some(&byte) => Ok(byte),
            None => bad("FAT: an entry beyond the FAT's end"),
        }
    }
}

#[cfg(test)]
mod tests;

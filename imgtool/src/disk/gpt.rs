//! The partition table: a protective MBR with boot code, and both copies of the GPT
//! (UEFI specification 2.10, chapter 5).

use super::{DiskError, Partition, SECTOR};
use gpt::disk::LogicalBlockSize;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use uuid::Uuid;

/// First LBA behind the header and the table of 128 entries.
pub const FIRST_USABLE: u64 = 34;

/// Sectors that the backup table and header take at the disk's end.
pub const BACKUP_SECTORS: u64 = 33;

/// The first and the last sectors of a partitioned disk.
pub struct Table {
    /// LBA 0 up to [`FIRST_USABLE`]: boot code, protective MBR, primary GPT.
    pub head: Vec<u8>,
    /// The last [`BACKUP_SECTORS`]: backup GPT.
    pub tail: Vec<u8>,
}

/// Makes the table of a disk of `disk_len` bytes.
pub fn table(
    disk_len: u64,
    disk_guid: Uuid,
    partitions: &[Partition],
    boot_code: Option<&[u8; 440]>,
) -> Result<Table, DiskError> {
    let mut edges = Edges::new(disk_len);
    let sectors = disk_len / SECTOR;
    // A disk of 2 TiB or more does not fit the field: all ones, says the specification (5.2.3).
    let mbr_sectors = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    let mut mbr = gpt::mbr::ProtectiveMBR::with_lb_size(mbr_sectors);
    if let Some(code) = boot_code {
        mbr.set_bootcode(*code);
    }
    let internal = |e: &dyn std::fmt::Display| DiskError::Internal(format!("protective MBR: {e}"));
    mbr.overwrite_lba0(&mut edges).map_err(|e| internal(&e))?;

    let mut disk = gpt::GptConfig::new()
        .writable(true)
        .logical_block_size(LogicalBlockSize::Lb512)
        .create_from_device(edges, Some(disk_guid))
        .map_err(DiskError::Gpt)?;
    let entries: BTreeMap<u32, gpt::partition::Partition> =
        partitions.iter().map(|p| (p.number, entry(p))).collect();
    disk.update_partitions(entries).map_err(DiskError::Gpt)?;
    let edges = disk.write().map_err(DiskError::Gpt)?;
    Ok(Table {
        head: edges.head,
        tail: edges.tail,
    })
}

fn entry(partition: &Partition) -> gpt::partition::Partition {
    gpt::partition::Partition {
        part_type_guid: partition.role.type_guid(),
        part_guid: partition.guid,
        first_lba: partition.offset / SECTOR,
        last_lba: (partition.offset + partition.len) / SECTOR - 1,
        flags: 0,
        name: partition.role.name().to_string(),
    }
}

/// A disk of which only the first and last sectors are held: all that a partition table touches.
#[derive(Debug)]
struct Edges {
    head: Vec<u8>,
    tail: Vec<u8>,
    len: u64,
    at: u64,
}

impl Edges {
    fn new(len: u64) -> Edges {
        Edges {
            head: vec![0; (FIRST_USABLE * SECTOR) as usize],
            tail: vec![0; (BACKUP_SECTORS * SECTOR) as usize],
            len,
            at: 0,
        }
    }

    /// The held bytes from the current position on, if there are any.
    fn here(&mut self) -> Option<&mut [u8]> {
        let tail_start = self.len - self.tail.len() as u64;
        if self.at < self.head.len() as u64 {
            Some(&mut self.head[self.at as usize..])
        } else if self.at >= tail_start && self.at < self.len {
            Some(&mut self.tail[(self.at - tail_start) as usize..])
        } else {
            None
        }
    }
}

impl Read for Edges {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(held) = self.here() else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let n = buf.len().min(held.len());
        buf[..n].copy_from_slice(&held[..n]);
        self.at += n as u64;
        Ok(n)
    }
}

impl Write for Edges {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let Some(held) = self.here() else {
            return Err(io::ErrorKind::WriteZero.into());
        };
        let n = buf.len().min(held.len());
        held[..n].copy_from_slice(&buf[..n]);
        self.at += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Edges {
    fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
        let at = match pos {
            SeekFrom::Start(n) => Some(n),
            SeekFrom::End(n) => self.len.checked_add_signed(n),
            SeekFrom::Current(n) => self.at.checked_add_signed(n),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

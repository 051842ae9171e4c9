//! The root partition and its file system, grown to the end of the disk.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::ioctl::{self, Setter, opcode};

use super::failure::{Context, Failure, Result};
use super::gpt::{PRIMARY, SECTOR, Table};
use super::mount::SYSROOT;
use super::root::Root;

/// Root ends on a multiple of this many sectors (1 MiB).
const ALIGNMENT: u64 = 2048;

/// A partition table for a disk that grew.
#[derive(Debug, PartialEq, Eq)]
struct Growth {
    /// What the primary header says.
    primary: Table,
    /// What the backup header says.
    backup: Table,
    /// Root's last LBA.
    last: u64,
}

/// Moves the backup table to the end of the disk and root's end before it, and tells the kernel.
/// Does nothing when that is done already.
pub(crate) fn partition(root: &mut Root) -> Result<()> {
    let Some(growth) = plan(&root.table, root.index, root.sectors)? else {
        return Ok(());
    };
    let entry = root.table.entry(root.index);
    write(&root.disk, &growth, root.sectors)?;
    root.table = growth.primary;
    if let Some(entry) = entry.filter(|entry| entry.last != growth.last) {
        resize_in_kernel(root, entry.first, growth.last)?;
        say!(
            "root partition grown to {} MiB",
            (growth.last - entry.first + 1) / 2048
        );
    }
    Ok(())
}

/// What is to be written for a disk of `sectors`; `None` when the table is as it should be.
fn plan(table: &Table, index: usize, sectors: u64) -> Result<Option<Growth>> {
    let last_lba = sectors.saturating_sub(1);
    if table.alternate > last_lba {
        return Err(Failure::new(format!(
            "the disk has {sectors} sectors, its partition table was made for {}",
            table.alternate.saturating_add(1)
        )));
    }
    let Some(root) = table.entry(index) else {
        return Err(Failure::new(
            "its entry in the partition table makes no sense",
        ));
    };
    let backup_entries = last_lba
        .checked_sub(table.entries_sectors())
        .ok_or_else(|| Failure::new("the disk is too small for a partition table"))?;
    let last_usable = backup_entries.saturating_sub(1);
    for other in (0..table.len()).filter_map(|i| table.entry(i)) {
        if other.first > root.last {
            return Err(Failure::new("another partition follows it"));
        }
        if other.last > last_usable {
            return Err(Failure::new(
                "a partition reaches beyond the end of the disk",
            ));
        }
    }
    let aligned = (last_usable + 1) / ALIGNMENT * ALIGNMENT;
    let last = aligned.saturating_sub(1).max(root.last);
    if table.alternate == last_lba && last == root.last {
        return Ok(None);
    }
    let mut primary = table.clone();
    primary.alternate = last_lba;
    primary.last_usable = last_usable;
    primary.set_last(index, last);
    let mut backup = primary.clone();
    backup.alternate = PRIMARY;
    backup.entries_lba = backup_entries;
    Ok(Some(Growth {
        primary,
        backup,
        last,
    }))
}

/// Writes both tables so that one of them is whole at any moment: the backup at its new place
/// first, and the primary only once that is on the disk.
fn write(disk: &Path, growth: &Growth, sectors: u64) -> Result<()> {
    let can_not = || format!("can't write the partition table of {}", disk.display());
    let file = File::options()
        .read(true)
        .write(true)
        .open(disk)
        .context(can_not)?;
    let backup = &growth.backup;
    file.write_all_at(backup.entries(), backup.entries_lba * SECTOR)
        .context(can_not)?;
    file.write_all_at(&backup.header(sectors - 1), (sectors - 1) * SECTOR)
        .context(can_not)?;
    file.sync_all().context(can_not)?;
    write_primary(&file, &growth.primary, sectors).context(can_not)
}

/// Writes the primary table and the disk's size in the protective MBR.
fn write_primary(file: &File, primary: &Table, sectors: u64) -> std::io::Result<()> {
    file.write_all_at(primary.entries(), primary.entries_lba * SECTOR)?;
    file.write_all_at(&primary.header(PRIMARY), PRIMARY * SECTOR)?;
    file.sync_all()?;
    let mut mbr = [0; SECTOR as usize];
    file.read_exact_at(&mut mbr, 0)?;
    if set_protective_size(&mut mbr, sectors) {
        file.write_all_at(&mbr, 0)?;
        file.sync_all()?;
    }
    Ok(())
}

/// Sets the size of the protective partition (type 0xEE); whether that changed anything.
fn set_protective_size(mbr: &mut [u8; SECTOR as usize], sectors: u64) -> bool {
    let size = u32::try_from(sectors.saturating_sub(1))
        .unwrap_or(u32::MAX)
        .to_le_bytes();
    for entry in mbr[446..510].chunks_exact_mut(16) {
        if entry[4] == 0xEE && entry[12..16] != size {
            entry[12..16].copy_from_slice(&size);
            return true;
        }
    }
    false
}

/// Writes the primary table anew from the backup at the end of the disk, and has the kernel read
/// it.
pub(crate) fn restore_primary(disk: &Path, backup: Table, sectors: u64) -> Result<Table> {
    let can_not = || format!("can't restore the partition table of {}", disk.display());
    let mut primary = backup;
    primary.alternate = sectors.saturating_sub(1);
    primary.entries_lba = PRIMARY + 1;
    if primary.first_usable
        < primary
            .entries_lba
            .saturating_add(primary.entries_sectors())
    {
        return Err(Failure::new(format!(
            "{}: no room for its entries",
            can_not()
        )));
    }
    let file = File::options()
        .read(true)
        .write(true)
        .open(disk)
        .context(can_not)?;
    write_primary(&file, &primary, sectors).context(can_not)?;
    /// `BLKRRPART` of linux/fs.h.
    const REREAD: ioctl::Opcode = opcode::none(0x12, 95);
    // SAFETY: BLKRRPART takes no argument.
    #[allow(unsafe_code)]
    unsafe { ioctl::ioctl(&file, ioctl::NoArg::<REREAD>::new()) }.context(can_not)?;
    Ok(primary)
}

/// `struct blkpg_ioctl_arg` of linux/blkpg.h.
#[repr(C)]
struct PartitionArgument {
    operation: i32,
    flags: i32,
    length: i32,
    data: *mut PartitionData,
}

/// `struct blkpg_partition` of linux/blkpg.h; start and length in bytes.
#[repr(C)]
struct PartitionData {
    start: i64,
    length: i64,
    number: i32,
    device_name: [u8; 64],
    volume_name: [u8; 64],
}

/// Tells the kernel the partition's new size, which it allows while the disk is in use.
fn resize_in_kernel(root: &Root, first: u64, last: u64) -> Result<()> {
    /// `BLKPG` and `BLKPG_RESIZE_PARTITION` of linux/blkpg.h.
    const BLKPG: ioctl::Opcode = opcode::none(0x12, 105);
    const RESIZE_PARTITION: i32 = 3;

    let can_not = || {
        format!(
            "the kernel does not take the new size of {}",
            root.disk.display()
        )
    };
    let bytes = |sectors: u64| {
        let bytes = sectors
            .checked_mul(SECTOR)
            .and_then(|bytes| i64::try_from(bytes).ok());
        bytes.ok_or_else(|| Failure::new(can_not()))
    };
    let mut data = PartitionData {
        start: bytes(first)?,
        length: bytes(last.saturating_sub(first).saturating_add(1))?,
        number: i32::try_from(root.index.saturating_add(1)).map_err(|_| Failure::new(can_not()))?,
        device_name: [0; 64],
        volume_name: [0; 64],
    };
    let argument = PartitionArgument {
        operation: RESIZE_PARTITION,
        flags: 0,
        length: size_of::<PartitionData>() as i32,
        data: &raw mut data,
    };
    let disk = File::open(&root.disk).context(can_not)?;
    // SAFETY: BLKPG reads a blkpg_ioctl_arg, whose `data` points to a blkpg_partition; both have
    // the kernel's layout and outlive the call.
    #[allow(unsafe_code)]
    unsafe { ioctl::ioctl(&disk, Setter::<BLKPG, _>::new(argument)) }.context(can_not)
}

/// Grows the mounted ext4 file system to its partition. Does nothing when it fills it already.
pub(crate) fn file_system(root: &Root) -> Result<()> {
    /// `EXT4_IOC_RESIZE_FS` of fs/ext4/ext4.h.
    const RESIZE_FS: ioctl::Opcode = opcode::write::<u64>(b'f', 16);

    let can_not = || format!("can't resize ext4 on {}", root.partition.display());
    let before = superblock(&root.partition)?;
    let sectors = root
        .table
        .entry(root.index)
        .map_or(0, |entry| (entry.last - entry.first).saturating_add(1));
    let target = sectors.saturating_mul(SECTOR) / before.block_size;
    if target <= before.blocks {
        return Ok(());
    }
    let mounted = File::open(SYSROOT).context(can_not)?;
    // SAFETY: EXT4_IOC_RESIZE_FS reads the new number of blocks, a 64-bit number.
    #[allow(unsafe_code)]
    unsafe { ioctl::ioctl(&mounted, Setter::<RESIZE_FS, u64>::new(target)) }.context(can_not)?;
    // The kernel leaves out a last block group that is too small to hold anything.
    let after = superblock(&root.partition)?;
    if after.blocks != before.blocks {
        let mebibytes = after.blocks.saturating_mul(after.block_size) >> 20;
        say!("root file system grown to {mebibytes} MiB");
    }
    Ok(())
}

/// What an ext4 superblock says of the size.
#[derive(Debug, PartialEq, Eq)]
struct Superblock {
    blocks: u64,
    /// In bytes.
    block_size: u64,
}

fn superblock(partition: &Path) -> Result<Superblock> {
    let can_not = || format!("can't read the superblock of {}", partition.display());
    let mut raw = [0; 1024];
    File::open(partition)
        .and_then(|file| file.read_exact_at(&mut raw, 1024))
        .context(can_not)?;
    parse_superblock(&raw).ok_or_else(|| Failure::new(format!("{}: not ext4", can_not())))
}

/// Kernel documentation, filesystems/ext4/super.rst.
fn parse_superblock(raw: &[u8; 1024]) -> Option<Superblock> {
    let u32_at = |at: usize| u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
    const INCOMPAT_64BIT: u32 = 0x80;
    let high = if u32_at(0x60) & INCOMPAT_64BIT != 0 {
        u32_at(0x150)
    } else {
        0
    };
    let log_block_size = u32_at(0x18);
    let magic = u16::from_le_bytes([raw[0x38], raw[0x39]]);
    (magic == 0xEF53 && log_block_size <= 6).then(|| Superblock {
        blocks: u64::from(high) << 32 | u64::from(u32_at(0x04)),
        block_size: 1024 << log_block_size,
    })
}

#[cfg(test)]
mod tests {
    use super::super::gpt::tests::{ROOT, sample};
    use super::*;

    #[test]
    fn root_grows_to_the_last_aligned_sector() {
        let table = sample(20_000, 4096, 9999);
        let index = table.find(ROOT).unwrap();
        let growth = plan(&table, index, 1 << 24).unwrap().unwrap();
        assert_eq!(growth.primary.alternate, (1 << 24) - 1);
        assert_eq!(growth.primary.last_usable, (1 << 24) - 34);
        assert_eq!(growth.primary.entries_lba, 2);
        assert_eq!(growth.backup.alternate, 1);
        assert_eq!(growth.backup.entries_lba, (1 << 24) - 33);
        assert_eq!((growth.last + 1) % ALIGNMENT, 0);
        assert!(growth.last <= growth.primary.last_usable);
        assert!(growth.primary.last_usable - growth.last < ALIGNMENT);
        assert_eq!(growth.primary.entry(index).unwrap().last, growth.last);
        assert_eq!(growth.primary.entry(0), table.entry(0));
        // The second boot.
        assert_eq!(plan(&growth.primary, index, 1 << 24).unwrap(), None);
    }

    #[test]
    fn an_exact_fit_stays_as_it_is() {
        let sectors = 10_240 + 33;
        let table = sample(sectors, 4096, 10_239);
        assert_eq!(plan(&table, 1, sectors).unwrap(), None);
        // A few sectors more: the backup moves, root does not.
        let growth = plan(&table, 1, sectors + 8).unwrap().unwrap();
        assert_eq!(growth.last, 10_239);
    }

    #[test]
    fn what_can_not_grow_is_refused() {
        let table = sample(20_000, 4096, 9999);
        for (index, sectors, reason) in [
            (
                1,
                19_000,
                "the disk has 19000 sectors, its partition table was made for 20000",
            ),
            (0, 40_000, "another partition follows it"),
            (2, 40_000, "its entry in the partition table makes no sense"),
        ] {
            let failure = plan(&table, index, sectors).unwrap_err();
            assert_eq!(failure.to_string(), reason);
        }
        let beyond = sample(20_000, 4096, u64::MAX);
        assert!(plan(&beyond, 1, 40_000).is_err());
    }

    #[test]
    fn the_protective_partition_covers_the_disk_up_to_2_tib() {
        let mut mbr = [0; 512];
        mbr[446 + 4] = 0xEE;
        assert!(set_protective_size(&mut mbr, 1000));
        assert_eq!(mbr[458..462], 999_u32.to_le_bytes());
        assert!(!set_protective_size(&mut mbr, 1000));
        assert!(set_protective_size(&mut mbr, 1 << 40));
        assert_eq!(mbr[458..462], u32::MAX.to_le_bytes());
        assert!(!set_protective_size(&mut [0; 512], 1000));
    }

    #[test]
    fn the_superblock_gives_the_size() {
        let mut raw = [0; 1024];
        assert_eq!(parse_superblock(&raw), None);
        raw[0x38..0x3A].copy_from_slice(&0xEF53_u16.to_le_bytes());
        raw[0x04..0x08].copy_from_slice(&7_u32.to_le_bytes());
        raw[0x18] = 2;
        raw[0x150] = 1;
        assert_eq!(
            parse_superblock(&raw),
            Some(Superblock {
                blocks: 7,
                block_size: 4096
            })
        );
        raw[0x60] = 0x80;
        let blocks = (1 << 32) + 7;
        assert_eq!(
            parse_superblock(&raw),
            Some(Superblock {
                blocks,
                block_size: 4096
            })
        );
        raw[0x18] = 40;
        assert_eq!(parse_superblock(&raw), None);
    }
}

//! The primary partition table, written anew: when root grows, and from its backup.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::ioctl::{self, opcode};

use super::failure::{Context, Failure, Result};
use super::gpt::{PRIMARY, SECTOR, Table};

/// Writes the primary table and the disk's size in the protective MBR.
pub(crate) fn write_primary(file: &File, primary: &Table, sectors: u64) -> std::io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}

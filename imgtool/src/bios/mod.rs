//! The boot stage for PC BIOSes: 440 bytes of boot record and one small file of a second stage,
//! which load a kernel and an initramfs by block address and start Linux by its 16-bit boot
//! protocol. There is no file system code: the builder knows every address.
//!
//! `stage.s` is the program; its head has the memory map and the sources.

mod code;
#[cfg(test)]
mod tests;

use zerocopy::IntoBytes;

use crate::Class;
use code::{CMDLINE, MAGIC, MBR_LEN, Params, SECTOR, STAGE2_LBA, STAGE2_LEN};

/// Bytes the BIOS boot partition must have room for.
pub const STAGE2_MAX: usize = STAGE2_LEN;

/// Longest command line in bytes: what Linux on x86 takes (`COMMAND_LINE_SIZE` less the NUL).
pub const CMDLINE_MAX: usize = STAGE2_LEN - CMDLINE - 1;

/// Most bytes of a kernel or an initramfs: 1 GiB. More could not be placed below the kernel's own
/// limit for an initramfs (2 GiB) anyway, and it keeps the stage's sums within 32 bits.
pub const FILE_MAX: u64 = 1 << 30;

/// Sectors a BIOS is relied on to reach: 2 TiB, 32 bits of LBA.
const LBA_END: u64 = 1 << 32;

/// Where the stage finds what it loads. All LBAs are 512-byte sectors from the disk's start.
///
/// Each of the three lies in one piece. Kernel and initramfs may end within a sector; what follows
/// in it is read but not used.
#[derive(Debug, Clone, Copy)]
pub struct BootTargets<'a> {
    /// The second stage's first sector.
    pub stage2_lba: u64,
    /// The kernel's first sector: a bzImage of boot protocol 2.10 (Linux 2.6.31) or later.
    pub kernel_lba: u64,
    /// The kernel's length in bytes: 1 to [`FILE_MAX`].
    pub kernel_len: u64,
    /// The initramfs' first sector.
    pub initrd_lba: u64,
    /// The initramfs' length in bytes: 1 to [`FILE_MAX`].
    pub initrd_len: u64,
    /// The kernel's command line: no NUL, at most [`CMDLINE_MAX`] bytes.
    pub cmdline: &'a [u8],
}

/// What is written to the disk so that a BIOS boots it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootCode {
    /// The first 440 bytes of sector 0. The rest of the sector is the partition table's.
    pub mbr: [u8; 440],
    /// What goes to [`BootTargets::stage2_lba`]: whole sectors, at most [`STAGE2_MAX`] bytes.
    pub stage2: Vec<u8>,
}

/// Why there is no boot code for some targets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BiosError {
    /// The command line does not fit.
    #[error("kernel command line has {len} bytes, {CMDLINE_MAX} are the most that Linux takes")]
    CmdlineTooLong {
        /// Its bytes.
        len: usize,
    },
    /// The command line would end early.
    #[error("kernel command line has a NUL at byte {at}")]
    CmdlineNul {
        /// The first one's place.
        at: usize,
    },
    /// A file that must be there is empty.
    #[error("{what} is empty")]
    Empty {
        /// Which file.
        what: &'static str,
    },
    /// A file is larger than what can be loaded.
    #[error("{what} has {len} bytes, {FILE_MAX} are the most that the BIOS stage loads")]
    TooLarge {
        /// Which file.
        what: &'static str,
        /// Its bytes.
        len: u64,
    },
    /// A file is where a BIOS does not reach.
    #[error("{what} at sector {lba} is not wholly within the disk's first 2 TiB")]
    OutOfReach {
        /// Which file.
        what: &'static str,
        /// Its first sector.
        lba: u64,
    },
    /// Two files, or a file and the boot record, share a sector.
    #[error("{what} at sector {lba} overlaps {other}")]
    Overlap {
        /// The one further back.
        what: &'static str,
        /// Its first sector.
        lba: u64,
        /// What begins before it.
        other: &'static str,
    },
}

impl BiosError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            BiosError::CmdlineTooLong { .. }
            | BiosError::CmdlineNul { .. }
            | BiosError::Empty { .. }
            | BiosError::TooLarge { .. } => Class::Input,
            BiosError::OutOfReach { .. } | BiosError::Overlap { .. } => Class::Failed,
        }
    }
}

/// The boot code that loads these targets.
pub fn boot_code(t: &BootTargets<'_>) -> Result<BootCode, BiosError> {
    if t.cmdline.len() > CMDLINE_MAX {
        return Err(BiosError::CmdlineTooLong {
            len: t.cmdline.len(),
        });
    }
    if let Some(at) = t.cmdline.iter().position(|&b| b == 0) {
        return Err(BiosError::CmdlineNul { at });
    }
    let stage2 = Place::new("BIOS stage", t.stage2_lba, STAGE2_LEN as u64)?;
    let kernel = Place::new("kernel", t.kernel_lba, t.kernel_len)?;
    let initrd = Place::new("initramfs", t.initrd_lba, t.initrd_len)?;
    let record = Place::new("boot record", 0, SECTOR as u64)?;
    check_apart([record, stage2, kernel, initrd])?;

    let (mbr_code, stage2_code) = code::template();
    let mut mbr = [0; MBR_LEN];
    mbr.copy_from_slice(mbr_code);
    mbr[STAGE2_LBA..STAGE2_LBA + 4].copy_from_slice(&stage2.lba.to_le_bytes());

    let params = Params {
        magic: MAGIC.into(),
        kernel_lba: kernel.lba.into(),
        kernel_len: kernel.len.into(),
        initrd_lba: initrd.lba.into(),
        initrd_len: initrd.len.into(),
        cmdline_len: (t.cmdline.len() as u32).into(),
    };
    let mut stage2 = stage2_code.to_vec();
    stage2[..size_of::<Params>()].copy_from_slice(params.as_bytes());
    stage2[CMDLINE..CMDLINE + t.cmdline.len()].copy_from_slice(t.cmdline);
    Ok(BootCode { mbr, stage2 })
}

/// A file's place, known to be one that the stage can read.
#[derive(Debug, Clone, Copy)]
struct Place {
    what: &'static str,
    lba: u32,
    len: u32,
}

impl Place {
    fn new(what: &'static str, lba: u64, len: u64) -> Result<Place, BiosError> {
        if len == 0 {
            return Err(BiosError::Empty { what });
        }
        if len > FILE_MAX {
            return Err(BiosError::TooLarge { what, len });
        }
        let end = lba.saturating_add(len.div_ceil(SECTOR as u64));
        if end > LBA_END {
            return Err(BiosError::OutOfReach { what, lba });
        }
        // Both fit: `lba` is less than `LBA_END`, `len` at most `FILE_MAX`.
        Ok(Place {
            what,
            lba: lba as u32,
            len: len as u32,
        })
    }

    /// The first sector behind it.
    fn end(&self) -> u64 {
        u64::from(self.lba) + u64::from(self.len).div_ceil(SECTOR as u64)
    }
}

fn check_apart(mut places: [Place; 4]) -> Result<(), BiosError> {
    places.sort_by_key(|p| p.lba);
    for pair in places.windows(2) {
        if let [before, after] = pair
            && before.end() > u64::from(after.lba)
        {
            return Err(BiosError::Overlap {
                what: after.what,
                lba: after.lba.into(),
                other: before.what,
            });
        }
    }
    Ok(())
}

//! The stage's bytes, assembled into this program, and the table in them that is filled in.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, little_endian};

/// Bytes of code in a master boot record; the disk signature and the partition table follow.
pub(super) const MBR_LEN: usize = 440;

/// Bytes of a sector: what INT 13h counts in, whatever the disk's own block is.
pub(super) const SECTOR: usize = 512;

/// Bytes of the second stage, always. The first half is table and code.
pub(super) const STAGE2_LEN: usize = 4096;

/// Where the command line is in the second stage: it and its final NUL fill what is left.
pub(super) const CMDLINE: usize = 2048;

/// Where the disk address packet is in the MBR: its last bytes.
const PACKET: usize = MBR_LEN - 16;

/// Where the second stage's LBA (u64, little endian) is in the MBR: the packet's last field.
pub(super) const STAGE2_LBA: usize = PACKET + 8;

/// What the MBR looks for at the start of the second stage before it runs it.
pub(super) const MAGIC: u32 = u32::from_le_bytes(*b"IMG2");

/// The table at the start of the second stage.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Params {
    /// [`MAGIC`].
    pub(super) magic: little_endian::U32,
    /// First sector of the bzImage.
    pub(super) kernel_lba: little_endian::U32,
    /// Bytes of the bzImage, at least one.
    pub(super) kernel_len: little_endian::U32,
    /// First sector of the initramfs.
    pub(super) initrd_lba: little_endian::U32,
    /// Bytes of the initramfs, at least one.
    pub(super) initrd_len: little_endian::U32,
    /// Bytes of the command line, without its NUL.
    pub(super) cmdline_len: little_endian::U32,
}

const STAGE_LEN: usize = SECTOR + STAGE2_LEN;

// An extern block and assembly count as unsafe code: they are alone in here.
#[allow(unsafe_code)]
mod assembled {
    use core::arch::global_asm;
    use core::mem::offset_of;

    use super::{CMDLINE, MAGIC, PACKET, Params, STAGE_LEN, STAGE2_LEN};

    global_asm!(
        include_str!("stage.s"),
        packet = const PACKET,
        magic = const MAGIC,
        kernel_lba = const offset_of!(Params, kernel_lba),
        kernel_len = const offset_of!(Params, kernel_len),
        initrd_lba = const offset_of!(Params, initrd_lba),
        initrd_len = const offset_of!(Params, initrd_len),
        cmdline_len = const offset_of!(Params, cmdline_len),
        params_len = const size_of::<Params>(),
        cmdline = const CMDLINE,
        stage2_len = const STAGE2_LEN,
        options(att_syntax)
    );

    // SAFETY: `stage.s` defines this symbol in a read-only section and ends with an `.org` to
    // `STAGE_LEN` bytes behind it: less is filled up, and more does not assemble. Any bytes are
    // valid, nothing writes to them, and nothing of it is ever executed here.
    unsafe extern "C" {
        pub(super) safe static imgtool_bios_stage: [u8; STAGE_LEN];
    }
}

/// The boot record's code and the second stage, both with an empty table.
pub(super) fn template() -> (&'static [u8], &'static [u8]) {
    let stage: &'static [u8; STAGE_LEN] = &assembled::imgtool_bios_stage;
    let (sector, stage2) = stage.split_at(SECTOR);
    (&sector[..MBR_LEN], stage2)
}

//! The layout, what is refused, and the stage at work: SeaBIOS in QEMU runs it on each kind of disk
//! and it starts a kernel made for this, which tells what reached it.

mod machine;

use super::*;
use machine::{Disk, DiskKind, Ending, INITRD_LBA, KERNEL_LBA};

const TARGETS: BootTargets<'_> = BootTargets {
    stage2_lba: 0x22,
    kernel_lba: 0x1234_5678,
    kernel_len: 0x0abc_def1,
    initrd_lba: 0x2345_6789,
    initrd_len: 0x0123_4567,
    cmdline: b"console=ttyS0",
};

#[test]
fn table_is_where_the_stage_looks_for_it() {
    let code = boot_code(&TARGETS).unwrap();
    // EDD packet: 16 bytes, count filled in at run time, buffer 0000:7e00, LBA 0x22.
    assert_eq!(
        code.mbr[424..],
        [16, 0, 0, 0, 0, 0x7e, 0, 0, 0x22, 0, 0, 0, 0, 0, 0, 0]
    );

    assert_eq!(code.stage2.len(), STAGE2_MAX);
    assert_eq!(code.stage2.len() % SECTOR, 0);
    let field = |at: usize| u32::from_le_bytes(code.stage2[at..at + 4].try_into().unwrap());
    assert_eq!(&code.stage2[..4], b"IMG2");
    assert_eq!(field(4), 0x1234_5678);
    assert_eq!(field(8), 0x0abc_def1);
    assert_eq!(field(12), 0x2345_6789);
    assert_eq!(field(16), 0x0123_4567);
    assert_eq!(field(20), 13);
    assert_eq!(&code.stage2[2048..2062], b"console=ttyS0\0");
}

#[test]
fn code_itself_is_the_same_for_all_targets() {
    let (mbr, stage2) = code::template();
    assert_eq!(mbr[0], 0xfa, "starts with cli");
    assert_eq!(&stage2[..4], b"IMG2");
    assert!(stage2[4..24].iter().all(|&b| b == 0), "table is empty");
    assert!(
        stage2[2048..].iter().all(|&b| b == 0),
        "command line is empty"
    );
    let code = boot_code(&TARGETS).unwrap();
    assert_eq!(code.mbr[..STAGE2_LBA], mbr[..STAGE2_LBA]);
    assert_eq!(code.stage2[24..2048], stage2[24..2048]);
}

#[test]
fn targets_that_cannot_be_booted_are_refused() {
    let t = TARGETS;
    let full = [b'x'; CMDLINE_MAX];
    assert!(
        boot_code(&BootTargets {
            cmdline: &full,
            ..t
        })
        .is_ok()
    );
    assert!(boot_code(&BootTargets { cmdline: b"", ..t }).is_ok());
    assert!(
        boot_code(&BootTargets {
            initrd_len: FILE_MAX,
            ..t
        })
        .is_ok()
    );
    assert!(
        boot_code(&BootTargets {
            initrd_lba: LBA_END - 1,
            initrd_len: 512,
            ..t
        })
        .is_ok()
    );

    let long = [b'x'; CMDLINE_MAX + 1];
    let cases = [
        (
            BootTargets {
                cmdline: &long,
                ..t
            },
            BiosError::CmdlineTooLong { len: 2048 },
        ),
        (
            BootTargets {
                cmdline: b"a b\0c",
                ..t
            },
            BiosError::CmdlineNul { at: 3 },
        ),
        (
            BootTargets { kernel_len: 0, ..t },
            BiosError::Empty { what: "kernel" },
        ),
        (
            BootTargets { initrd_len: 0, ..t },
            BiosError::Empty { what: "initramfs" },
        ),
        (
            BootTargets {
                kernel_len: FILE_MAX + 1,
                ..t
            },
            BiosError::TooLarge {
                what: "kernel",
                len: FILE_MAX + 1,
            },
        ),
        (
            BootTargets {
                initrd_len: u64::MAX,
                ..t
            },
            BiosError::TooLarge {
                what: "initramfs",
                len: u64::MAX,
            },
        ),
        (
            BootTargets {
                initrd_lba: LBA_END - 1,
                initrd_len: 513,
                ..t
            },
            BiosError::OutOfReach {
                what: "initramfs",
                lba: LBA_END - 1,
            },
        ),
        (
            BootTargets {
                stage2_lba: u64::MAX,
                ..t
            },
            BiosError::OutOfReach {
                what: "BIOS stage",
                lba: u64::MAX,
            },
        ),
        (
            BootTargets { stage2_lba: 0, ..t },
            BiosError::Overlap {
                what: "BIOS stage",
                lba: 0,
                other: "boot record",
            },
        ),
        (
            BootTargets {
                kernel_lba: 0x29,
                ..t
            },
            BiosError::Overlap {
                what: "kernel",
                lba: 0x29,
                other: "BIOS stage",
            },
        ),
        (
            BootTargets {
                kernel_lba: 0x1000,
                initrd_lba: 0x1001,
                ..t
            },
            BiosError::Overlap {
                what: "initramfs",
                lba: 0x1001,
                other: "kernel",
            },
        ),
    ];
    for (targets, error) in cases {
        assert_eq!(boot_code(&targets).map(|_| ()), Err(error));
    }
}

#[test]
fn kernel_gets_command_line_and_initramfs_on_every_disk() {
    if !machine::available() {
        return;
    }
    let cmdline = [b"console=ttyS0 quote=\"x y\" ".as_slice(), &[b'z'; 2021]].concat();
    // Several reads each (127 sectors at most), the last one short, ending within a sector.
    let disk = Disk::new(300_001, 701_123, &cmdline);
    for kind in DiskKind::ALL {
        let shown = disk.boot(kind, 64, None);
        assert_eq!(shown.ending, Ending::Finished, "{kind:?}: {}", shown.serial);
        let value = |name: &str| {
            let line = shown.serial.lines().find_map(|l| l.strip_prefix(name));
            line.unwrap_or_else(|| panic!("{kind:?}: no {name} in {}", shown.serial))
                .to_owned()
        };
        assert_eq!(value("cmdline=").as_bytes(), cmdline, "{kind:?}");
        assert_eq!(value("kernel="), disk.kernel_hash(), "{kind:?}");
        assert_eq!(value("initrd="), disk.initrd_hash(), "{kind:?}");
        // In memory, above what the kernel said it needs (16 MiB from 16 MiB on), whole pages.
        let at = u64::from_str_radix(&value("initrd_at="), 16).unwrap();
        assert!(
            at >= 32 << 20 && at + 701_123 <= 64 << 20,
            "{kind:?}: at {at:#x}"
        );
        assert_eq!(at % 4096, 0, "{kind:?}: at {at:#x}");
        // loadflags LOADED_HIGH and CAN_USE_HEAP, type_of_loader 0xff; heap_end_ptr.
        assert_eq!(value("header="), "81FFDE00", "{kind:?}");
    }
}

#[test]
fn read_that_fails_once_is_tried_again() {
    if !machine::available() {
        return;
    }
    for sector in [machine::STAGE2_LBA, KERNEL_LBA, INITRD_LBA + 300] {
        let mut disk = Disk::new(9000, 300_000, b"root");
        disk.with_bad_sector(sector, true);
        let shown = disk.boot(DiskKind::Virtio, 64, None);
        assert_eq!(shown.ending, Ending::Finished, "{sector}: {}", shown.serial);
        assert!(
            shown.serial.contains(&disk.initrd_hash()),
            "{sector}: {}",
            shown.serial
        );
    }
}

#[test]
fn failures_are_shown_on_the_serial_port() {
    if !machine::available() {
        return;
    }
    let set = |at: usize, bytes: &'static [u8]| {
        move |disk: &mut Disk| disk.kernel_mut()[at..at + bytes.len()].copy_from_slice(bytes)
    };
    type Change = Box<dyn Fn(&mut Disk)>;
    let cases: Vec<(Change, u32, &str)> = vec![
        (
            Box::new(|_| ()),
            24,
            "too little memory for kernel and initramfs",
        ),
        (
            Box::new(|d| d.without_stage2()),
            64,
            "second stage is damaged",
        ),
        (
            Box::new(|d| d.initrd_moved_to(0x89ab_cdef)),
            64,
            "disk read error",
        ),
        (
            Box::new(|d| d.initrd_moved_to(0x89ab_cdef)),
            64,
            " at LBA 89ABCDEF",
        ),
        (
            Box::new(set(0x202, b"hdrs")),
            64,
            "kernel is no bzImage of boot protocol 2.10 or later",
        ),
        (
            Box::new(set(0x206, &[9, 2])),
            64,
            "kernel is no bzImage of boot protocol 2.10 or later",
        ),
        (
            Box::new(set(0x1f1, &[64])),
            64,
            "kernel is no bzImage of boot protocol 2.10 or later",
        ),
        (
            Box::new(set(0x211, &[0])),
            64,
            "kernel is no bzImage of boot protocol 2.10 or later",
        ),
        (
            Box::new(set(0x238, &[3, 0])),
            64,
            "command line is longer than this kernel takes",
        ),
        (
            Box::new(set(0x260, &[0, 0, 0, 0xff])),
            64,
            "too little memory for kernel and initramfs",
        ),
        (
            Box::new(set(0x25c, &[1])),
            64,
            "too little memory for kernel and initramfs",
        ),
    ];
    for (change, mib, message) in cases {
        let mut disk = Disk::new(9000, 600, b"root");
        change(&mut disk);
        let shown = disk.boot(DiskKind::Virtio, mib, Some(message));
        assert_eq!(shown.ending, Ending::Shown, "{message}: {}", shown.serial);
        assert!(
            shown.serial.contains("imgtool: "),
            "{message}: {}",
            shown.serial
        );
    }
}

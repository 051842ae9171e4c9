//! A disk with the stage and a test kernel on it, and the QEMU that boots it.

use std::io::Read;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::super::{BootTargets, boot_code};

const QEMU: &str = "qemu-system-x86_64";
/// Where the test's disks have them: apart, and at no round number.
pub(super) const STAGE2_LBA: u64 = 34;
pub(super) const KERNEL_LBA: u64 = 4103;
pub(super) const INITRD_LBA: u64 = 6001;

const KERNEL_LEN: usize = 2048;
/// Where the kernel's protected-mode part begins, and where in it its length is.
const PROTECTED: usize = 0x600;
const LEN_AT: usize = PROTECTED + 4;
/// What the kernel's 0x10 makes of QEMU's exit status: `value << 1 | 1`.
const EXIT: i32 = 0x21;

// As in `code.rs`.
#[allow(unsafe_code)]
mod assembled {
    core::arch::global_asm!(include_str!("kernel.s"), options(att_syntax));

    // SAFETY: `kernel.s` defines this symbol in a read-only section and ends with an `.org` to
    // `KERNEL_LEN`: more does not assemble. Nothing of it is executed here.
    unsafe extern "C" {
        pub(super) safe static imgtool_bios_test_kernel: [u8; super::KERNEL_LEN];
    }
}

/// Whether there is a QEMU. Its absence is only accepted outside CI.
pub(super) fn available() -> bool {
    testutils::oracle_passes(Command::new(QEMU).arg("--version")).is_some()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DiskKind {
    Ide,
    Virtio,
    Nvme,
}

impl DiskKind {
    pub(super) const ALL: [DiskKind; 3] = [DiskKind::Ide, DiskKind::Virtio, DiskKind::Nvme];

    fn device(self) -> &'static str {
        match self {
            DiskKind::Ide => "ide-hd,drive=disk",
            DiskKind::Virtio => "virtio-blk-pci,drive=disk",
            DiskKind::Nvme => "nvme,drive=disk,serial=disk",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The kernel ended QEMU.
    Finished,
    /// The awaited text came; what the machine did then was not awaited.
    Shown,
    /// Neither, within the time.
    Silent,
}

pub(super) struct Shown {
    pub(super) ending: Ending,
    pub(super) serial: String,
}

pub(super) struct Disk {
    kernel: Vec<u8>,
    initrd: Vec<u8>,
    cmdline: Vec<u8>,
    stage2: bool,
    initrd_lba: u64,
    bad_sector: Option<u64>,
    bad_once: bool,
}

impl Disk {
    pub(super) fn new(kernel_len: usize, initrd_len: usize, cmdline: &[u8]) -> Disk {
        let mut kernel = assembled::imgtool_bios_test_kernel.to_vec();
        kernel.extend(pattern(1).take(kernel_len - kernel.len()));
        let protected = (kernel_len - PROTECTED) as u32;
        kernel[LEN_AT..LEN_AT + 4].copy_from_slice(&protected.to_le_bytes());
        let initrd = pattern(2).take(initrd_len).collect();
        Disk {
            kernel,
            initrd,
            cmdline: cmdline.to_vec(),
            stage2: true,
            initrd_lba: INITRD_LBA,
            bad_sector: None,
            bad_once: false,
        }
    }

    pub(super) fn kernel_mut(&mut self) -> &mut [u8] {
        &mut self.kernel
    }

    pub(super) fn without_stage2(&mut self) {
        self.stage2 = false;
    }

    pub(super) fn initrd_moved_to(&mut self, lba: u64) {
        self.initrd_lba = lba;
    }

    /// Reading this sector fails, the first time or always.
    pub(super) fn with_bad_sector(&mut self, lba: u64, once: bool) {
        self.bad_sector = Some(lba);
        self.bad_once = once;
    }

    pub(super) fn kernel_hash(&self) -> String {
        fnv1a(&self.kernel[PROTECTED..])
    }

    pub(super) fn initrd_hash(&self) -> String {
        fnv1a(&self.initrd)
    }

    fn write(&self, file: &std::fs::File) {
        let code = boot_code(&BootTargets {
            stage2_lba: STAGE2_LBA,
            kernel_lba: KERNEL_LBA,
            kernel_len: self.kernel.len() as u64,
            initrd_lba: self.initrd_lba,
            initrd_len: self.initrd.len() as u64,
            cmdline: &self.cmdline,
        })
        .unwrap();
        file.set_len(8 << 20).unwrap();
        file.write_all_at(&code.mbr, 0).unwrap();
        file.write_all_at(&[0x55, 0xaa], 510).unwrap();
        if self.stage2 {
            file.write_all_at(&code.stage2, STAGE2_LBA * 512).unwrap();
        }
        file.write_all_at(&self.kernel, KERNEL_LBA * 512).unwrap();
        file.write_all_at(&self.initrd, INITRD_LBA * 512).unwrap();
    }

    /// Boots until QEMU ends or `until` was seen on the serial port, or a minute is over.
    pub(super) fn boot(&self, kind: DiskKind, mib: u32, until: Option<&str>) -> Shown {
        let file = tempfile::NamedTempFile::new().unwrap();
        self.write(file.as_file());
        let mut drive = "driver=raw,node-name=disk,file.driver=blkdebug".to_owned();
        drive += &format!(
            ",file.image.driver=file,file.image.filename={}",
            file.path().display()
        );
        if let Some(sector) = self.bad_sector {
            let once = if self.bad_once { "on" } else { "off" };
            drive += ",file.inject-error.0.event=read_aio,file.inject-error.0.errno=5";
            drive +=
                &format!(",file.inject-error.0.sector={sector},file.inject-error.0.once={once}");
        }
        let mut qemu = Command::new(QEMU)
            .args([
                "-accel",
                "tcg",
                "-display",
                "none",
                "-serial",
                "stdio",
                "-no-reboot",
            ])
            .args([
                "-nodefaults",
                "-device",
                "isa-debug-exit,iobase=0xf4,iosize=4",
            ])
            .args([
                "-m",
                &mib.to_string(),
                "-blockdev",
                &drive,
                "-device",
                kind.device(),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = qemu.stdout.take().unwrap();
        let (sender, receiver) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut serial = Vec::new();
        let ending = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match receiver.recv_timeout(left) {
                Ok(bytes) => serial.extend(bytes),
                Err(RecvTimeoutError::Timeout) => break Ending::Silent,
                Err(RecvTimeoutError::Disconnected) => break Ending::Finished,
            }
            let text = String::from_utf8_lossy(&serial);
            if until.is_some_and(|until| text.contains(until)) {
                break Ending::Shown;
            }
        };
        if ending == Ending::Finished {
            assert_eq!(qemu.wait().unwrap().code(), Some(EXIT));
        } else {
            qemu.kill().unwrap();
            qemu.wait().unwrap();
        }
        drop(receiver);
        reader.join().unwrap();
        Shown {
            ending,
            serial: String::from_utf8_lossy(&serial).into_owned(),
        }
    }
}

/// Bytes without a short period, so that a block at the wrong place shows.
fn pattern(seed: u32) -> impl Iterator<Item = u8> {
    std::iter::successors(Some(seed), |&x| {
        Some(x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223))
    })
    .map(|x| (x >> 24) as u8)
}

fn fnv1a(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |h, &b| {
        (h ^ u32::from(b)).wrapping_mul(16_777_619)
    });
    format!("{hash:08X}")
}

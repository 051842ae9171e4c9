//! Whether KVM works here.
//!
//! That `/dev/kvm` opens says little: there are hosts where a guest then hangs, or QEMU aborts. So
//! a guest is tried, one that ends at once, on the machine that is to be used.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::command::{QEMU, machine};
use super::machine::Child;
use super::sector::boot_sector;
use super::{Accel, QemuError};

/// How long the guest may take; where KVM works it needs a tenth of this.
const DEADLINE: Duration = Duration::from_secs(2);

/// What the guest writes to the debug-exit device. QEMU ends with `2 * value + 1`.
const VALUE: u8 = 0x10;

/// Tries a guest under KVM on a machine of this `kind`; says why not, if it does not work.
/// `dir` takes the guest's disk.
///
/// # Errors
/// QEMU is not installed, or the directory can't be written.
pub fn kvm(kind: &str, dir: &Path) -> Result<Result<(), &'static str>, QemuError> {
    let device = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm");
    if device.is_err() {
        return Ok(Err("/dev/kvm is not there or not open to this user"));
    }
    // mov al, VALUE; out 0xf4, al; hlt; jmp back
    let sector = boot_sector(&[0xb0, VALUE, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd]);
    std::fs::write(dir.join("probe"), sector).map_err(|source| QemuError::Io {
        what: "the temporary directory can't be written",
        source,
    })?;
    let mut command = Command::new(QEMU);
    command
        .current_dir(dir)
        .args(machine(kind, Accel::Kvm))
        .args(["-no-reboot", "-m", "64M"])
        .args(["-drive", "file=probe,format=raw,if=none,id=disk"])
        .args(["-device", "virtio-blk-pci,drive=disk,bootindex=0"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"])
        .args(["-monitor", "none", "-serial", "none"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let start = Instant::now();
    let mut child = Child::spawn(&mut command)?;
    let status = child.wait_until(start + DEADLINE)?;
    Ok(match status {
        Some(status) if status.code() == Some(i32::from(VALUE) * 2 + 1) => Ok(()),
        Some(_) => Err("QEMU gives up with it"),
        None => Err("a trial guest hangs"),
    })
}

//! What the firmware starts: kernel, initramfs and command line, as a UKI or as files.

use super::{BuildError, INIT};
use crate::boot::{self, GUEST_MODULES, InitramfsSpec, Kernel};
use crate::disk::Boot;
use crate::spec::{Firmware, Spec};
use imgtool_init::config::GuestConfig;
use uuid::Uuid;

/// The kernel's command line.
///
/// Both consoles get the kernel's messages, the serial one is `/dev/console`: EC2 shows it as the
/// instance's console output. A panic stays readable for 30 seconds, then the machine restarts.
/// EBS volumes may answer late, and are not to be given up (EC2 user guide, "NVMe I/O operation
/// timeout").
pub(super) fn cmdline(root: Uuid, extra: Option<&str>) -> String {
    let mut line = format!(
        "root=PARTUUID={root} rw console=tty0 console=ttyS0,115200 quiet panic=30 \
         nvme_core.io_timeout=4294967295"
    );
    if let Some(extra) = extra.filter(|extra| !extra.is_empty()) {
        line.push(' ');
        line.push_str(extra);
    }
    line
}

/// Puts together what the firmware starts.
pub(super) fn boot(
    spec: &Spec,
    kernel: Kernel,
    stub: Option<Vec<u8>>,
    guest: &GuestConfig,
    cmdline: String,
) -> Result<Boot, BuildError> {
    let modules = boot::select_modules(&kernel, GUEST_MODULES)?;
    let initrd = boot::initramfs(InitramfsSpec {
        init: INIT,
        guest,
        modules: &modules,
    })?;
    let Some(stub) = stub else {
        let (kernel, initrd) = (kernel.image.into(), initrd.into());
        return Ok(Boot::Bios {
            kernel,
            initrd,
            cmdline,
        });
    };
    let os_release = format!("ID=imgtool\nNAME=\"{0}\"\nPRETTY_NAME=\"{0}\"\n", spec.name);
    let uki = boot::uki(
        &stub,
        &kernel.image,
        &initrd,
        &cmdline,
        &os_release,
        &kernel.version,
    )?;
    let bios = match spec.firmware {
        Firmware::Hybrid | Firmware::Bios => Some(cmdline),
        Firmware::Uefi => None,
    };
    Ok(Boot::Uki {
        bytes: uki.bytes.into(),
        linux: uki.linux,
        initrd: uki.initrd,
        bios,
    })
}

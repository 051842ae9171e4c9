//! The modules that the guest needs on the machines it is made for.

use imgtool_init::modules::Load;

use super::selection::WantedModule;

const fn module(name: &str, load: Load, optional: bool) -> WantedModule<'_> {
    WantedModule {
        name,
        load,
        optional,
    }
}

/// When a device asks for it.
const fn device(name: &str) -> WantedModule<'_> {
    module(name, Load::ForDevice, false)
}

/// When a device asks for it, and if the kernel has it.
const fn device_if_there(name: &str) -> WantedModule<'_> {
    module(name, Load::ForDevice, true)
}

/// Modules for EC2 (Nitro and Xen) and QEMU, with Debian's kernels.
///
/// Left out, as measured on the cloud kernel: `crc32c_intel` (29 KiB; the built-in generic code
/// does for ext4's metadata), `virtio_balloon`, `virtio_console`, `vfat` (PID 1 does not mount
/// the ESP). Built into the cloud kernel but modules in others: `nvme`, `ext4`.
pub const GUEST_MODULES: &[WantedModule<'static>] = &[
    // The root file system, and the checksum that it asks the kernel's crypto API for by name:
    // no `depends=` says so. Newer kernels have it in ext4 itself.
    module("crc32c_generic", Load::ForRoot, true),
    module("ext4", Load::ForRoot, false),
    // The ACPI power button, as an input event.
    module("button", Load::Always, false),
    module("evdev", Load::Always, false),
    // Disks: Nitro and QEMU; QEMU; Xen; QEMU's IDE, and Xen's before its drivers take over.
    device("nvme"),
    device("virtio_blk"),
    device("virtio_scsi"),
    device("xen_blkfront"),
    device("ata_piix"),
    device("ata_generic"),
    device("sd_mod"),
    // Not in the cloud kernel: EC2 has no AHCI. QEMU's q35 machine has.
    device_if_there("ahci"),
    // Network: Nitro; Xen types with enhanced networking (Intel 82599 VF); Xen; QEMU.
    device("ena"),
    device_if_there("ixgbevf"),
    device("xen_netfront"),
    device("virtio_net"),
    // What virtio devices sit on.
    device("virtio_pci"),
    // Entropy from the host.
    device("virtio_rng"),
];

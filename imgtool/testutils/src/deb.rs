//! Debian packages.

use crate::compress::{Packed, pack};
use crate::kernel::bz_image;
use crate::tar::{file, tar};

/// An ar archive.
pub fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = ar::Builder::new(Vec::new());
    for (name, content) in members {
        let header = ar::Header::new(name.as_bytes().to_vec(), content.len() as u64);
        out.append(&header, *content).unwrap();
    }
    out.into_inner().unwrap()
}

/// The control file of a package for amd64 that depends on linux-image-9.9 if its name ends in "-meta".
pub fn control(package: &str) -> String {
    let depends = if package.ends_with("-meta") {
        "Depends: linux-image-9.9 (= 1)\n"
    } else {
        ""
    };
    format!("Package: {package}\nVersion: 1.0-1\nArchitecture: amd64\n{depends}")
}

/// A package: its control file, and its files by their paths from the root, as `boot/vmlinuz`.
pub fn deb(control: &str, files: &[(&str, &[u8])], packed: Packed) -> Vec<u8> {
    let names: Vec<String> = files.iter().map(|(path, _)| format!("./{path}")).collect();
    let entries: Vec<_> = names
        .iter()
        .zip(files)
        .map(|(name, (_, content))| file(name, content))
        .collect();
    let control = pack(&tar(&[file("./control", control.as_bytes())]), packed);
    let data = pack(&tar(&entries), packed);
    let suffix = packed.suffix();
    ar(&[
        ("debian-binary", b"2.0\n"),
        (&format!("control.tar{suffix}"), &control),
        (&format!("data.tar{suffix}"), &data),
    ])
}

/// The control file of [`kernel_deb`].
pub const KERNEL_CONTROL: &str =
    "Package: linux-image-6.1.0-1-amd64\nVersion: 6.1.0-1\nArchitecture: amd64\n";

/// What the guest needs, all of it built into the sample kernel.
const BUILT_IN: &str = "crc32c_generic ext4 button evdev nvme virtio_blk virtio_scsi xen-blkfront \
    ata_piix ata_generic sd_mod ena xen-netfront virtio_net virtio_pci virtio-rng";

/// A package with a kernel that no machine boots, but that an image can be built with.
pub fn kernel_deb() -> Vec<u8> {
    let mut list = String::new();
    for name in BUILT_IN.split_whitespace() {
        list.push_str(&format!("kernel/{name}.ko\n"));
    }
    deb(
        KERNEL_CONTROL,
        &[
            ("boot/vmlinuz-6.1.0-1-amd64", &bz_image("6.1.0-1-amd64")),
            ("lib/modules/6.1.0-1-amd64/modules.builtin", list.as_bytes()),
        ],
        Packed::Xz,
    )
}

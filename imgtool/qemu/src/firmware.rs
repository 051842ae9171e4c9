//! Which firmware an image wants, and where the host has it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{Firmware, QemuError};

/// UEFI firmware as distributions install it: code, and the template of its variables. Debian and
/// Ubuntu, Fedora, Arch, openSUSE; the larger flash first where there are two.
const OVMF: [(&str, &str); 7] = [
    (
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
    ),
    (
        "/usr/share/OVMF/OVMF_CODE.fd",
        "/usr/share/OVMF/OVMF_VARS.fd",
    ),
    (
        "/usr/share/edk2/ovmf/OVMF_CODE.fd",
        "/usr/share/edk2/ovmf/OVMF_VARS.fd",
    ),
    (
        "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
        "/usr/share/edk2/x64/OVMF_VARS.4m.fd",
    ),
    (
        "/usr/share/edk2-ovmf/x64/OVMF_CODE.fd",
        "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd",
    ),
    (
        "/usr/share/qemu/ovmf-x86_64-code.bin",
        "/usr/share/qemu/ovmf-x86_64-vars.bin",
    ),
    (
        "/usr/share/qemu/edk2-x86_64-code.fd",
        "/usr/share/qemu/edk2-i386-vars.fd",
    ),
];

/// The GUID of an EFI system partition (UEFI 2.10, 5.3.3) as it stands in a partition entry.
const ESP_TYPE: [u8; 16] = [
    0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
];

/// UEFI firmware: its code, and the template of its variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ovmf {
    /// What the machine executes.
    pub code: PathBuf,
    /// What a machine's own variables begin as.
    pub vars: PathBuf,
}

/// The UEFI firmware this host has.
///
/// # Errors
/// None that is known of is installed.
pub fn find_ovmf() -> Result<Ovmf, QemuError> {
    OVMF.iter()
        .map(|(code, vars)| Ovmf {
            code: code.into(),
            vars: vars.into(),
        })
        .find(|ovmf| ovmf.code.is_file() && ovmf.vars.is_file())
        .ok_or(QemuError::NoOvmf)
}

/// What an image boots with when nobody said: UEFI if it has an EFI system partition, else BIOS.
pub(super) fn choose(image: &Path) -> Result<Firmware, QemuError> {
    let has_esp = File::open(image).and_then(|file| has_esp(&file));
    match has_esp {
        Ok(true) => Ok(Firmware::Uefi),
        Ok(false) => Ok(Firmware::Bios),
        Err(source) => Err(QemuError::ReadImage {
            path: image.to_path_buf(),
            source,
        }),
    }
}

/// Whether the primary GPT, at its usual place and of its usual 128 entries, has an EFI system
/// partition. Whether the GPT is sound is the firmware's to judge.
fn has_esp(image: &File) -> std::io::Result<bool> {
    let mut sectors = [0; 512 * 33];
    match image.read_exact_at(&mut sectors, 512) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
        Err(e) => return Err(e),
    }
    let (header, entries) = sectors.split_at(512);
    Ok(header.starts_with(b"EFI PART")
        && entries
            .chunks_exact(128)
            .any(|entry| entry.starts_with(&ESP_TYPE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_with_an_esp_boots_by_uefi() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        let mut bytes = vec![0; 1 << 20];
        for (what, at, part, firmware) in [
            ("no GPT", 0, &b""[..], Firmware::Bios),
            ("an empty GPT", 512, b"EFI PART", Firmware::Bios),
            ("an ESP", 1024 + 128, &ESP_TYPE, Firmware::Uefi),
        ] {
            bytes[at..at + part.len()].copy_from_slice(part);
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(choose(&path).unwrap(), firmware, "{what}");
        }
        std::fs::write(&path, [0; 512]).unwrap();
        assert_eq!(choose(&path).unwrap(), Firmware::Bios);
    }
}

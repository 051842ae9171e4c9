//! The UEFI stub (systemd-stub) that a UKI begins with.

use std::fs::File;
use std::path::Path;

use super::deb::{is_deb, read_deb};
use super::decompress::read_bounded;
use super::error::BootError;
use super::pe::Pe;

/// Where Debian's systemd-boot-efi has the stub for x86_64.
const STUB: &str = "usr/lib/systemd/boot/efi/linuxx64.efi.stub";
/// Size of a stub, at most.
const MAX_STUB: u64 = 16 << 20;

/// Reads systemd's UEFI stub from the Debian package systemd-boot-efi or a plain file.
///
/// Refuses what is not a PE32+ EFI application for x86_64.
pub fn load_stub(path: &Path) -> Result<Vec<u8>, BootError> {
    let stub = if is_deb(path)? {
        let mut deb = read_deb(path, &mut |p| p == STUB)?;
        deb.files.remove(STUB).ok_or_else(|| BootError::Package {
            path: path.to_owned(),
            why: format!("package {} holds no UEFI stub ({STUB})", deb.info.package),
            hint: Some("take Debian's systemd-boot-efi".into()),
        })?
    } else {
        let file = File::open(path).map_err(BootError::read(path))?;
        read_bounded(file, "the file", MAX_STUB).map_err(BootError::read(path))?
    };
    check_stub(&stub).map_err(|source| BootError::StubFile {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    Ok(stub)
}

/// Refuses what is not systemd's stub for x86_64 without a kernel.
fn check_stub(stub: &[u8]) -> Result<(), BootError> {
    let pe = Pe::parse(stub)?;
    pe.require_efi_application()?;
    if pe.sections.iter().any(|s| s.name() == ".linux") {
        return Err(BootError::Pe(
            "already a UKI (it has a .linux section), not the stub alone".into(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use testutils::{Packed, PeSample, control, deb};

    use super::*;

    fn refusal(stub: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stub");
        std::fs::write(&path, stub).unwrap();
        let err = load_stub(&path).unwrap_err();
        assert!(err.to_string().contains("stub: not a usable UEFI stub"));
        std::error::Error::source(&err).unwrap().to_string()
    }

    #[test]
    fn a_stub_for_another_architecture_is_refused_by_its_name() {
        let pe = |machine| {
            PeSample {
                machine,
                ..PeSample::default()
            }
            .build()
        };
        assert!(refusal(&pe(0xaa64)).contains("aarch64"));
        assert!(refusal(&pe(0x014c)).contains("32-bit x86"));
        assert!(refusal(&pe(0x5064)).contains("riscv64"));
        assert!(refusal(&pe(0x1234)).contains("0x1234"));
    }

    #[test]
    fn what_is_no_stub_is_refused() {
        let driver = PeSample {
            subsystem: 11,
            ..PeSample::default()
        };
        assert!(refusal(&driver.build()).contains("subsystem 11"));
        let uki = PeSample {
            sections: vec![(".linux", 0x1000, 0x200)],
            ..PeSample::default()
        };
        assert!(refusal(&uki.build()).contains("already a UKI"));
        assert!(refusal(b"#!/bin/sh").contains("not a PE image"));
        assert!(refusal(b"").contains("empty"));
    }

    #[test]
    fn the_stub_is_taken_out_of_a_package() {
        let dir = tempfile::tempdir().unwrap();
        let stub = PeSample::default().build();
        let path = dir.path().join("a.deb");
        let package = deb(&control("systemd-boot-efi"), &[(STUB, &stub)], Packed::Xz);
        std::fs::write(&path, package).unwrap();
        assert_eq!(load_stub(&path).unwrap(), stub);

        let package = deb(&control("hello"), &[("usr/bin/hello", b"x")], Packed::Gz);
        std::fs::write(&path, package).unwrap();
        let err = load_stub(&path).unwrap_err();
        assert!(err.to_string().contains("package hello holds no UEFI stub"));
        assert!(err.hint().unwrap().contains("systemd-boot-efi"));
    }
}

//! The kernel: a bzImage for x86_64, alone or out of a Debian package with its modules.
//!
//! Offsets and names are those of Linux's Documentation/arch/x86/boot.rst.

use std::fs::File;
use std::path::Path;

use super::cache::read_deb_cached;
use super::deb::{Deb, is_deb, read_deb};
use super::decompress::read_bounded;
use super::error::BootError;
use super::modules::{ModuleSource, is_module_file};
use super::pe::Pe;

/// Size of a kernel image, at most.
const MAX_IMAGE: u64 = 256 << 20;
/// `boot_flag`: 0xAA55.
const BOOT_FLAG: usize = 0x1fe;
/// `header`: "HdrS".
const HEADER: usize = 0x202;
/// `cmdline_size`: the last field needed; it ends here.
const HEADER_END: usize = 0x23c;
/// `loadflags` bit 0: the protected-mode code is loaded at 1 MiB.
const LOADED_HIGH: u8 = 1;
/// `xloadflags` bit 0: has a 64-bit entry point.
const XLF_KERNEL_64: u16 = 1;

/// A kernel image with the modules that came with it.
#[derive(Debug)]
pub struct Kernel {
    /// The bzImage.
    pub image: Vec<u8>,
    /// Its release, as `uname -r` shows it: "6.1.0-56-cloud-amd64".
    pub version: String,
    /// The modules that came with it; none if it is a plain file.
    pub modules: ModuleSource,
}

/// Reads a kernel from a Debian package or a plain bzImage.
///
/// `modules_dir` is a directory `lib/modules/VERSION`, a root that holds one, or a Debian package
/// with modules. It takes the place of the modules in the kernel's own package. `cache` is a
/// directory where what was taken out of a package is kept for the next time.
pub fn load_kernel(
    path: &Path,
    modules_dir: Option<&Path>,
    cache: Option<&Path>,
) -> Result<Kernel, BootError> {
    let unusable = |source: BootError| BootError::KernelFile {
        path: path.to_owned(),
        source: Box::new(source),
    };
    let (image, deb) = if is_deb(path)? {
        let mut deb = match (modules_dir, cache) {
            (Some(_), _) => read_deb(path, &mut is_vmlinuz)?,
            (None, None) => read_deb(path, &mut is_wanted)?,
            (None, Some(cache)) => read_deb_cached(path, cache, &mut is_wanted)?,
        };
        (take_vmlinuz(path, &mut deb)?, Some(deb))
    } else {
        let file = File::open(path).map_err(BootError::read(path))?;
        let image = read_bounded(file, "the file", MAX_IMAGE).map_err(BootError::read(path))?;
        (image, None)
    };
    let version = kernel_version(&image).map_err(unusable)?;
    let modules = match (modules_dir, deb) {
        (Some(dir), _) => ModuleSource::open(dir, &version)?,
        (None, Some(deb)) => ModuleSource::from_package(path, deb.files, &version)?,
        (None, None) => ModuleSource::none(),
    };
    Ok(Kernel {
        image,
        version,
        modules,
    })
}

fn is_wanted(path: &str) -> bool {
    is_vmlinuz(path) || is_module_file(path)
}

/// Where packages hold the kernel: `/boot` today, `/usr/lib/modules` in some.
fn is_vmlinuz(path: &str) -> bool {
    let parts: Vec<_> = path.split('/').collect();
    match parts[..] {
        ["boot", name] => name.starts_with("vmlinuz-"),
        ["usr", "lib", "modules", _, "vmlinuz"] | ["lib", "modules", _, "vmlinuz"] => true,
        _ => false,
    }
}

fn take_vmlinuz(path: &Path, deb: &mut Deb) -> Result<Vec<u8>, BootError> {
    let names: Vec<_> = deb
        .files
        .keys()
        .filter(|p| is_vmlinuz(p))
        .cloned()
        .collect();
    let package = &deb.info.package;
    let (why, hint) = match &names[..] {
        [name] => return Ok(deb.files.remove(name).unwrap_or_default()),
        [] => {
            let images = deb.info.depends_on("linux-");
            if images.is_empty() {
                (
                    format!("package {package} holds no kernel (no boot/vmlinuz-*)"),
                    Some("take Debian's linux-image-*-cloud-amd64".to_owned()),
                )
            } else {
                (
                    format!(
                        "package {package} holds no kernel itself: it depends on {}",
                        images.join(", ")
                    ),
                    Some(format!("download {} and take that", images.join(" and "))),
                )
            }
        }
        _ => (
            format!(
                "package {package} holds several kernels: {}",
                names.join(", ")
            ),
            None,
        ),
    };
    Err(BootError::Package {
        path: path.to_owned(),
        why,
        hint,
    })
}

/// The release of a bzImage ("6.1.0-56-cloud-amd64"), from its header's `kernel_version` string.
///
/// Refuses what is not a complete bzImage for x86_64, and says what it is instead.
pub fn kernel_version(image: &[u8]) -> Result<String, BootError> {
    let wrong = |why: &str| Err(BootError::Kernel(why.to_owned()));
    if image.len() < HEADER_END
        || le16(image, BOOT_FLAG) != 0xaa55
        || image[HEADER..HEADER + 4] != *b"HdrS"
    {
        return Err(BootError::Kernel(what_else(image)));
    }
    // Protocol 2.12 (Linux 3.8) brought xloadflags.
    let protocol = le16(image, 0x206);
    if protocol < 0x020c {
        return Err(BootError::Kernel(format!(
            "a bzImage of boot protocol {}.{:02}, older than 2.12 (Linux 3.8)",
            protocol >> 8,
            protocol & 0xff
        )));
    }
    if image[0x211] & LOADED_HIGH == 0 {
        return wrong("a zImage: give the bzImage");
    }
    if le16(image, 0x236) & XLF_KERNEL_64 == 0 {
        return wrong("a bzImage for 32-bit x86, not x86_64");
    }
    // setup_sects of 0 means 4; one more for the boot sector. syssize counts 16 bytes.
    let setup_sects = match image[0x1f1] {
        0 => 4,
        n => u64::from(n),
    };
    let syssize = u64::from(le32(image, 0x1f4));
    let expected = (setup_sects + 1) * 512 + syssize * 16;
    if expected > image.len() as u64 {
        return Err(BootError::Kernel(format!(
            "a truncated bzImage: {} bytes, its header says {expected}",
            image.len()
        )));
    }
    let at = usize::from(le16(image, 0x20e)) + 0x200;
    let text = image.get(at..).unwrap_or_default();
    let release: &[u8] = text
        .split(|&b| b == b' ' || b == 0)
        .next()
        .unwrap_or_default();
    // It becomes part of paths and messages.
    let sound = !release.is_empty()
        && release.len() <= 64
        && release[0].is_ascii_digit()
        && release
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"._+~-".contains(b));
    if at == 0x200 || !sound {
        return wrong("a bzImage whose header names no kernel version");
    }
    Ok(String::from_utf8_lossy(release).into_owned())
}

/// Whether the kernel was built with `CONFIG_EFI_STUB`, without which it boots under BIOS only.
pub fn has_efi_stub(image: &[u8]) -> bool {
    Pe::parse(image).is_ok()
}

/// Bytes that the kernel's command line may have (`cmdline_size`).
pub(super) fn cmdline_size(image: &[u8]) -> usize {
    if image.len() < HEADER_END {
        return 0;
    }
    le32(image, 0x238) as usize
}

/// What a file is that is not a bzImage.
fn what_else(image: &[u8]) -> String {
    let starts = |magic: &[u8]| image.starts_with(magic);
    let what = if image.is_empty() {
        "an empty file"
    } else if starts(b"\x7fELF") {
        "an ELF file (vmlinux?): give the bzImage (arch/x86/boot/bzImage, /boot/vmlinuz-*)"
    } else if image.get(0x38..0x3c) == Some(b"ARM\x64") {
        "an arm64 Image: a kernel for x86_64 is needed"
    } else if image.get(0x38..0x3c) == Some(b"RSC\x05") {
        "a RISC-V Image: a kernel for x86_64 is needed"
    } else if starts(b"\x1f\x8b") {
        "gzip data (another architecture's vmlinuz?): give the bzImage"
    } else if starts(b"\xfd7zXZ\0") {
        "xz data: give the bzImage"
    } else if starts(b"\x28\xb5\x2f\xfd") {
        "zstd data: give the bzImage"
    } else if starts(b"MZ") {
        "a PE image without a Linux boot header (a UKI or a boot loader?): give the bzImage"
    } else {
        "not a bzImage: no Linux boot header"
    };
    what.to_owned()
}

// Only called for offsets below HEADER_END, which the callers checked.
fn le16(image: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([image[at], image[at + 1]])
}

fn le32(image: &[u8], at: usize) -> u32 {
    u32::from(le16(image, at)) | u32::from(le16(image, at + 2)) << 16
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use proptest::prelude::*;
    use testutils::Packed::Xz;
    use testutils::{bz_image, control, deb};

    use super::*;

    #[test]
    fn the_version_is_the_first_word_of_the_header_string() {
        let image = bz_image("6.1.0-56-cloud-amd64");
        assert_eq!(kernel_version(&image).unwrap(), "6.1.0-56-cloud-amd64");
    }

    #[test]
    fn what_is_no_bzimage_is_refused_by_what_it_is() {
        let changed = |at: usize, bytes: &[u8]| {
            let mut image = bz_image("6.1.0");
            image[at..at + bytes.len()].copy_from_slice(bytes);
            image
        };
        let arm = {
            let mut image = vec![0; 4096];
            image[0x38..0x3c].copy_from_slice(b"ARM\x64");
            image
        };
        for (image, part) in [
            (Vec::new(), "an empty file"),
            (b"\x7fELF\x02\x01\x01".to_vec(), "an ELF file"),
            (arm, "arm64 Image"),
            (b"\x1f\x8b\x08".to_vec(), "gzip"),
            (b"MZ".repeat(1000), "a PE image without a Linux boot header"),
            (b"hello".to_vec(), "not a bzImage"),
            (changed(0x1fe, &[0, 0]), "not a bzImage"),
            (changed(0x202, b"HdrX"), "not a bzImage"),
            (changed(0x206, &[5, 2]), "protocol 2.05"),
            (changed(0x211, &[0]), "zImage"),
            (changed(0x236, &[0]), "32-bit"),
            (changed(0x1f1, &[9]), "truncated"),
            (changed(0x20e, &[0, 0]), "names no kernel version"),
            (changed(0x20e, &[0xff, 0xff]), "names no kernel version"),
            (changed(0x300, b"../../etc"), "names no kernel version"),
            (changed(0x300, b" "), "names no kernel version"),
        ] {
            let text = kernel_version(&image).unwrap_err().to_string();
            assert!(text.contains(part), "{text:?} without {part:?}");
        }
    }

    #[test]
    fn a_truncated_kernel_is_refused_at_every_length() {
        let image = bz_image("6.1.0");
        for cut in 0..image.len() {
            kernel_version(&image[..cut]).unwrap_err();
        }
    }

    #[test]
    fn a_kernel_loads_from_a_package_and_from_a_file_alike() {
        let dir = tempfile::tempdir().unwrap();
        let image = bz_image("9.9-cloud");
        let package = dir.path().join("linux.deb");
        for place in [
            "boot/vmlinuz-9.9-cloud",
            "usr/lib/modules/9.9-cloud/vmlinuz",
        ] {
            std::fs::write(
                &package,
                deb(&control("linux-image-9.9"), &[(place, &image)], Xz),
            )
            .unwrap();
            let kernel = load_kernel(&package, None, None).unwrap();
            assert_eq!((&kernel.image, &*kernel.version), (&image, "9.9-cloud"));
        }
        let plain = dir.path().join("vmlinuz");
        std::fs::write(&plain, &image).unwrap();
        let kernel = load_kernel(&plain, None, None).unwrap();
        assert_eq!((&kernel.image, &*kernel.version), (&image, "9.9-cloud"));
        assert!(kernel.modules.is_empty());
    }

    #[test]
    fn a_package_without_a_kernel_is_refused_with_what_to_take() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.deb");
        let image = bz_image("9.9");
        let two: [(&str, &[u8]); 2] = [("boot/vmlinuz-1", &image), ("boot/vmlinuz-2", &image)];
        for (package, files, part, hint) in [
            (
                "linux-meta",
                &[][..],
                "depends on linux-image-9.9",
                "download linux-image-9.9",
            ),
            ("hello", &[], "package hello holds no kernel", "cloud-amd64"),
            (
                "linux",
                &two,
                "several kernels: boot/vmlinuz-1, boot/vmlinuz-2",
                "",
            ),
        ] {
            std::fs::write(&path, deb(&control(package), files, Xz)).unwrap();
            let err = load_kernel(&path, None, None).unwrap_err();
            let text = err.to_string();
            assert!(text.contains("a.deb: ") && text.contains(part), "{text}");
            assert!(err.hint().unwrap_or_default().contains(hint));
        }
        std::fs::write(
            &path,
            deb(&control("linux"), &[("boot/vmlinuz-1", b"\x7fELF")], Xz),
        )
        .unwrap();
        let err = load_kernel(&path, None, None).unwrap_err();
        assert!(err.to_string().contains("a.deb: not a usable kernel"));
        assert!(err.source().unwrap().to_string().contains("ELF"));
    }

    #[test]
    fn a_missing_file_is_the_inputs_fault() {
        let err = load_kernel(Path::new("/nonexistent/linux.deb"), None, None).unwrap_err();
        assert_eq!(err.class(), crate::Class::Input);
        assert!(err.to_string().contains("/nonexistent/linux.deb"));
    }

    proptest! {
        #[test]
        fn any_header_gives_a_sound_version_or_an_error(
            edits in prop::collection::vec((0..1536_usize, any::<u8>()), 0..20),
        ) {
            let mut image = bz_image("6.1.0");
            for (at, byte) in edits {
                image[at] = byte;
            }
            if let Ok(version) = kernel_version(&image) {
                prop_assert!(!version.contains('/') && !version.is_empty());
            }
        }
    }
}

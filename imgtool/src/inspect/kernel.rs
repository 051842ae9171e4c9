//! What a Linux kernel file says about itself.

/// The version of a bzImage (`uname -r`), by the kernel's boot protocol (Documentation/arch/x86/
/// boot.rst): `kernel_version` at 0x20e, plus 0x200, is where its version string starts. `None`
/// if `file` is not a bzImage or has no version.
pub fn kernel_version(file: &[u8]) -> Option<String> {
    if file.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let at = u16::from_le_bytes([*file.get(0x20e)?, *file.get(0x20f)?]);
    if at == 0 {
        return None;
    }
    first_word(file.get(usize::from(at) + 0x200..)?)
}

/// The first word of a text that ends with a NUL or with the slice; `None` if there is none, if it
/// is longer than 128 bytes, or if it is not printable ASCII.
pub(super) fn first_word(bytes: &[u8]) -> Option<String> {
    let head = bytes.get(..129).unwrap_or(bytes);
    let end = head
        .iter()
        .position(|b| b.is_ascii_whitespace() || *b == 0)
        .or((head.len() < 129).then_some(head.len()))?;
    let word = head.get(..end).filter(|word| !word.is_empty())?;
    word.iter()
        .all(u8::is_ascii_graphic)
        .then(|| String::from_utf8_lossy(word).into_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn bz_image(version: &str) -> Vec<u8> {
        let mut file = vec![0; 0x400];
        file[0x202..0x206].copy_from_slice(b"HdrS");
        file[0x20e..0x210].copy_from_slice(&0x100u16.to_le_bytes());
        file[0x300..0x300 + version.len()].copy_from_slice(version.as_bytes());
        file
    }

    #[test]
    fn the_version_is_the_first_word_of_the_kernels_string() {
        let file = bz_image("6.1.0-56-cloud-amd64 (builder) #1 SMP");
        assert_eq!(kernel_version(&file).unwrap(), "6.1.0-56-cloud-amd64");
    }

    #[test]
    fn what_is_no_kernel_has_no_version() {
        let mut far = bz_image("6.1");
        far[0x20e..0x210].copy_from_slice(&u16::MAX.to_le_bytes());
        let mut none = bz_image("6.1");
        none[0x20e..0x210].copy_from_slice(&[0, 0]);
        for file in [
            &b""[..],
            &[0; 0x400],
            &far,
            &none,
            &bz_image("6.1")[..0x206],
            &bz_image(&"x".repeat(200)),
            &bz_image("\u{1b}[31m"),
        ] {
            assert_eq!(kernel_version(file), None);
        }
    }
}

//! A program without what is only there for debuggers: half of its bytes, which no instance needs.
//!
//! What the kernel loads is said by the program headers. Symbols and debug information lie behind the
//! last segment, and the section headers that name them behind those: they are cut off.

/// System V ABI, generic ELF, chapter 4: size of the header, and where in it are the program headers
/// (`e_phoff`, `e_phentsize`, `e_phnum`) and the section headers (`e_shoff`, `e_shnum`,
/// `e_shstrndx`).
const HEADER: usize = 64;
const PHOFF: usize = 32;
const SHOFF: usize = 40;
const PHENTSIZE: usize = 54;
const PHNUM: usize = 56;
const SHNUM: usize = 60;
const SHSTRNDX: usize = 62;
/// Size of a program header, and where in it are `p_offset` and `p_filesz`.
const PROGRAM_HEADER: usize = 56;
const OFFSET: usize = 8;
const FILESZ: usize = 32;

/// Cuts a 64-bit little-endian ELF program off behind its last segment; one whose headers are not in
/// order stays as it is.
pub(super) fn strip(program: &mut Vec<u8>) {
    let Some(end) = end_of_segments(program) else {
        return;
    };
    program.truncate(end);
    for (at, len) in [(SHOFF, 8), (SHNUM, 2), (SHSTRNDX, 2)] {
        if let Some(field) = program.get_mut(at..at + len) {
            field.fill(0);
        }
    }
}

/// Where the last segment ends: at least behind the headers.
fn end_of_segments(program: &[u8]) -> Option<usize> {
    let table = usize::try_from(number(program, PHOFF, 8)?).ok()?;
    let size = usize::try_from(number(program, PHENTSIZE, 2)?).ok()?;
    let count = usize::try_from(number(program, PHNUM, 2)?).ok()?;
    if size < PROGRAM_HEADER || count == 0 {
        return None;
    }
    let mut end = table.checked_add(size.checked_mul(count)?)?.max(HEADER);
    for index in 0..count {
        let header = table.checked_add(index.checked_mul(size)?)?;
        let offset = number(program, header.checked_add(OFFSET)?, 8)?;
        let len = number(program, header.checked_add(FILESZ)?, 8)?;
        let last = offset.checked_add(len)?;
        end = end.max(usize::try_from(last).ok()?);
    }
    (end <= program.len()).then_some(end)
}

/// A little-endian number of up to 8 bytes.
fn number(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(len)?)?;
    Some(
        field
            .iter()
            .rev()
            .fold(0, |sum, it| sum << 8 | u64::from(*it)),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    /// This very program is one.
    #[test]
    fn what_is_left_runs() {
        let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let mut stripped = whole.clone();
        strip(&mut stripped);
        assert!(stripped.len() < whole.len());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        std::fs::write(&path, &stripped).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let output = Command::new(&path)
            .args(["--list", "what_is_left_runs"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            said.contains("strip::tests::what_is_left_runs: test"),
            "{said}"
        );
        // Once is enough.
        let mut again = stripped.clone();
        strip(&mut again);
        assert!(again == stripped);
    }

    proptest! {
        #[test]
        fn headers_that_lie_change_nothing_or_little(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0u8..4,
        ) {
            if bytes.len() > HEADER {
                bytes[PHOFF..PHOFF + 8].copy_from_slice(&64u64.to_le_bytes());
                bytes[PHENTSIZE..PHENTSIZE + 2].copy_from_slice(&56u16.to_le_bytes());
                bytes[PHNUM..PHNUM + 2].copy_from_slice(&[count, 0]);
            }
            let before = bytes.clone();
            strip(&mut bytes);
            prop_assert!(bytes.len() <= before.len());
            prop_assert!(bytes == before || bytes.len() >= HEADER);
        }
    }
}

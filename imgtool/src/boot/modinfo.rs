//! A kernel module's `.modinfo` section: NUL-separated `key=value`.

use object::{Object, ObjectSection};

/// What `.modinfo` says that matters for loading.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ModInfo {
    /// `depends`: names with underscores.
    pub(super) depends: Vec<String>,
    /// `alias` patterns.
    pub(super) aliases: Vec<String>,
    /// First word of `vermagic`: the kernel's release.
    pub(super) release: Option<String>,
}

/// A module's name with underscores, as in `/proc/modules`; files and `depends` mix both.
pub(super) fn normalise(name: &str) -> String {
    name.replace('-', "_")
}

/// Reads the `.modinfo` of an uncompressed module; the error says what is wrong with it.
pub(super) fn modinfo(ko: &[u8]) -> Result<ModInfo, String> {
    let elf = object::read::elf::ElfFile64::<object::Endianness>::parse(ko)
        .map_err(|e| format!("not a 64-bit ELF file: {e}"))?;
    if elf.architecture() != object::Architecture::X86_64 {
        return Err(format!("built for {:?}, not x86_64", elf.architecture()));
    }
    let section = elf
        .section_by_name(".modinfo")
        .ok_or("no .modinfo section: not a kernel module")?;
    let data = section
        .data()
        .map_err(|e| format!("its .modinfo section: {e}"))?;
    let mut info = ModInfo::default();
    for entry in data.split(|&b| b == 0) {
        let Some(eq) = entry.iter().position(|&b| b == b'=') else {
            continue;
        };
        let Ok(value) = std::str::from_utf8(&entry[eq + 1..]) else {
            continue;
        };
        match &entry[..eq] {
            b"depends" => info.depends.extend(
                value
                    .split(',')
                    .map(str::trim)
                    .filter(|n| !n.is_empty())
                    .map(normalise),
            ),
            b"alias" => info.aliases.push(value.to_owned()),
            b"vermagic" => info.release = value.split(' ').next().map(str::to_owned),
            _ => {}
        }
    }
    Ok(info)
}

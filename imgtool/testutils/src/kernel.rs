//! Kernels and kernel modules.

/// A bzImage's header for kernel `version`, followed by little.
pub fn bz_image(version: &str) -> Vec<u8> {
    let mut image = vec![0; 1024 + 512];
    image[0x1f1] = 1;
    image[0x1f4..0x1f8].copy_from_slice(&32_u32.to_le_bytes());
    image[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206..0x208].copy_from_slice(&0x020f_u16.to_le_bytes());
    image[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
    image[0x211] = 1;
    image[0x236] = 1;
    image[0x238..0x23c].copy_from_slice(&2047_u32.to_le_bytes());
    let text = format!("{version} (builder@host) #1 SMP");
    image[0x300..0x300 + text.len()].copy_from_slice(text.as_bytes());
    image
}

/// A kernel module: an ELF file with a `.modinfo` section.
pub fn kernel_module(release: &str, modinfo: &[&str]) -> Vec<u8> {
    let mut info = Vec::new();
    for line in modinfo {
        info.extend_from_slice(line.as_bytes());
        info.push(0);
    }
    info.extend_from_slice(format!("vermagic={release} SMP mod_unload \0").as_bytes());
    let names = b"\0.modinfo\0.shstrtab\0";
    let mut elf = vec![0; 64];
    elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    let info_at = elf.len() as u64;
    elf.extend_from_slice(&info);
    let names_at = elf.len() as u64;
    elf.extend_from_slice(names);
    let table_at = elf.len() as u64;
    let mut section = |name: u32, kind: u32, at: u64, size: u64| {
        elf.extend_from_slice(&name.to_le_bytes());
        elf.extend_from_slice(&kind.to_le_bytes());
        for word in [0, 0, at, size, 0, 1, 0] {
            elf.extend_from_slice(&u64::to_le_bytes(word));
        }
    };
    section(0, 0, 0, 0);
    section(1, 1, info_at, info.len() as u64);
    section(10, 3, names_at, names.len() as u64);
    elf[16..18].copy_from_slice(&1_u16.to_le_bytes()); // ET_REL
    elf[18..20].copy_from_slice(&62_u16.to_le_bytes()); // EM_X86_64
    elf[20..24].copy_from_slice(&1_u32.to_le_bytes());
    elf[40..48].copy_from_slice(&table_at.to_le_bytes());
    elf[52..54].copy_from_slice(&64_u16.to_le_bytes());
    elf[58..60].copy_from_slice(&64_u16.to_le_bytes());
    elf[60..62].copy_from_slice(&3_u16.to_le_bytes());
    elf[62..64].copy_from_slice(&2_u16.to_le_bytes());
    elf
}

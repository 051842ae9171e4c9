//! ELF executables of a few bytes.

/// A static ELF executable for `machine`, of class 1 (32 bits) or 2 (64 bits).
pub fn elf(machine: u16, class: u8) -> Vec<u8> {
    elf_with(machine, class, None)
}

/// A dynamic one that needs these libraries.
pub fn dynamic_elf(needed: &[&str]) -> Vec<u8> {
    elf_with(62, 2, Some(needed))
}

fn elf_with(machine: u16, class: u8, needed: Option<&[&str]>) -> Vec<u8> {
    let mut body = Vec::new();
    let mut segments: Vec<(u32, u64, u64)> = Vec::new();
    let count = if needed.is_some() { 3 } else { 1 };
    let base = 64 + 56 * count;
    if let Some(needed) = needed {
        let interpreter = b"/lib64/ld-linux-x86-64.so.2\0";
        segments.push((3, base, interpreter.len() as u64));
        body.extend_from_slice(interpreter);
        let strings_at = base + body.len() as u64;
        let mut strings = vec![0];
        let mut dynamic: Vec<(u64, u64)> = Vec::new();
        for name in needed {
            dynamic.push((1, strings.len() as u64));
            strings.extend_from_slice(name.as_bytes());
            strings.push(0);
        }
        body.extend_from_slice(&strings);
        dynamic.extend([(5, strings_at), (10, strings.len() as u64), (0, 0)]);
        let at = base + body.len() as u64;
        for (tag, value) in &dynamic {
            body.extend_from_slice(&tag.to_le_bytes());
            body.extend_from_slice(&value.to_le_bytes());
        }
        segments.push((2, at, 16 * dynamic.len() as u64));
    }
    body.extend_from_slice(&[0xf4; 64]);
    segments.insert(0, (1, 0, base + body.len() as u64));
    let mut elf = vec![0; 64];
    elf[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, 1, 1]);
    elf[16..18].copy_from_slice(&2_u16.to_le_bytes());
    elf[18..20].copy_from_slice(&machine.to_le_bytes());
    elf[20] = 1;
    elf[24..32].copy_from_slice(&base.to_le_bytes());
    elf[32] = 64;
    elf[52] = 64;
    elf[54] = 56;
    elf[56] = count as u8;
    for (kind, at, len) in segments {
        for word in [kind, 5] {
            elf.extend_from_slice(&word.to_le_bytes());
        }
        for word in [at, at, at, len, len, 1] {
            elf.extend_from_slice(&word.to_le_bytes());
        }
    }
    elf.extend_from_slice(&body);
    elf
}

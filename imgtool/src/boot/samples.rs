//! Small packages, kernels, modules and PE images for the tests, made in the process.

pub(super) use Packed::*;

/// How `deb` compresses its archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packed {
    Plain,
    Gz,
    Xz,
    Zst,
}

pub(super) fn pack(bytes: &[u8], packed: Packed) -> Vec<u8> {
    use std::io::{Read, Write};
    match packed {
        Plain => bytes.to_vec(),
        Gz => {
            let mut w = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            w.write_all(bytes).unwrap();
            w.finish().unwrap()
        }
        Xz => {
            let mut out = Vec::new();
            liblzma::read::XzEncoder::new(bytes, 1)
                .read_to_end(&mut out)
                .unwrap();
            out
        }
        Zst => zstd::encode_all(bytes, 1).unwrap(),
    }
}

/// A tar archive as dpkg-deb writes it.
pub(super) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("./{path}"), *content)
            .unwrap();
    }
    tar.into_inner().unwrap()
}

/// A package for amd64 that depends on linux-image-9.9 if its name ends in "-meta".
pub(super) fn deb(package: &str, files: &[(&str, &[u8])], packed: Packed) -> Vec<u8> {
    let depends = if package.ends_with("-meta") {
        "Depends: linux-image-9.9 (= 1)\n"
    } else {
        ""
    };
    let control = format!("Package: {package}\nVersion: 1.0-1\nArchitecture: amd64\n{depends}");
    deb_with_control(&control, files, packed)
}

pub(super) fn deb_with_control(control: &str, files: &[(&str, &[u8])], packed: Packed) -> Vec<u8> {
    let suffix = match packed {
        Plain => "",
        Gz => ".gz",
        Xz => ".xz",
        Zst => ".zst",
    };
    let control = pack(&tar(&[("control", control.as_bytes())]), packed);
    let data = pack(&tar(files), packed);
    ar(&[
        ("debian-binary", b"2.0\n"),
        (&format!("control.tar{suffix}"), &control),
        (&format!("data.tar{suffix}"), &data),
    ])
}

pub(super) fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut ar = ar::Builder::new(Vec::new());
    for (name, content) in members {
        let header = ar::Header::new(name.as_bytes().to_vec(), content.len() as u64);
        ar.append(&header, *content).unwrap();
    }
    ar.into_inner().unwrap()
}

/// A bzImage's header for kernel `version`, followed by little.
pub(super) fn kernel(version: &str) -> Vec<u8> {
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
pub(super) fn module(release: &str, modinfo: &[&str]) -> Vec<u8> {
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

/// A PE32+ image whose sections hold 512 bytes each.
pub(super) struct PeSample {
    pub(super) machine: u16,
    pub(super) subsystem: u16,
    pub(super) size_of_headers: u32,
    /// Bytes after the last section, as a signature or a symbol table leaves them; the data
    /// directory and the COFF header then name them.
    pub(super) tail: usize,
    /// Name, address, size in memory.
    pub(super) sections: Vec<(&'static str, u32, u32)>,
}

impl Default for PeSample {
    fn default() -> PeSample {
        PeSample {
            machine: 0x8664,
            subsystem: 10,
            size_of_headers: 1024,
            tail: 0,
            sections: vec![(".text", 0x4000, 0x1ff), (".sbat", 0x5000, 0x100)],
        }
    }
}

impl PeSample {
    pub(super) fn build(&self) -> Vec<u8> {
        let mut pe = vec![0; self.size_of_headers as usize];
        let mut put = |at: usize, bytes: &[u8]| pe[at..at + bytes.len()].copy_from_slice(bytes);
        let le = u32::to_le_bytes;
        let end = self.size_of_headers + 512 * self.sections.len() as u32;
        put(0, b"MZ");
        put(0x3c, &le(0x40));
        put(0x40, b"PE\0\0");
        put(0x44, &self.machine.to_le_bytes());
        put(0x46, &(self.sections.len() as u16).to_le_bytes());
        put(0x54, &240_u16.to_le_bytes());
        let optional = 0x58;
        put(optional, &0x20b_u16.to_le_bytes());
        put(optional + 32, &le(512));
        put(optional + 36, &le(512));
        put(optional + 56, &le(0x6000));
        put(optional + 60, &le(self.size_of_headers));
        put(optional + 64, &le(0xdead));
        put(optional + 68, &self.subsystem.to_le_bytes());
        put(optional + 108, &le(16));
        if self.tail > 0 {
            put(0x4c, &le(end));
            put(0x50, &le(3));
            put(optional + 112 + 32, &le(end));
            put(optional + 112 + 36, &le(self.tail as u32));
        }
        for (i, (name, address, size)) in self.sections.iter().enumerate() {
            let at = optional + 240 + 40 * i;
            put(at, name.as_bytes());
            put(at + 8, &le(*size));
            put(at + 12, &le(*address));
            put(at + 16, &le(512));
            put(at + 20, &le(self.size_of_headers + 512 * i as u32));
        }
        pe.resize(end as usize, 0x90);
        pe.resize(end as usize + self.tail, 0xee);
        pe
    }
}

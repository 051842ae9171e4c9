//! Small inputs from bytes: archives, packages, kernels, executables.

use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::io::{Read, Write};

/// A tar entry: pax records before it if there are any.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) kind: u8,
    pub(crate) link: &'a [u8],
    pub(crate) body: &'a [u8],
    pub(crate) pax: &'a [(&'a str, &'a [u8])],
}

pub(crate) fn file<'a>(name: &'a str, body: &'a [u8]) -> Entry<'a> {
    Entry {
        name: name.as_bytes(),
        kind: b'0',
        link: b"",
        body,
        pax: &[],
    }
}

pub(crate) fn entry<'a>(kind: u8, name: &'a str, link: &'a str) -> Entry<'a> {
    Entry {
        kind,
        link: link.as_bytes(),
        ..file(name, b"")
    }
}

fn header(kind: u8, name: &[u8], link: &[u8], size: usize) -> [u8; 512] {
    let mut h = [0; 512];
    h[..name.len()].copy_from_slice(name);
    h[100..108].copy_from_slice(b"0000755\0");
    h[108..124].copy_from_slice(b"0000000\x000000000\0");
    h[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    h[136..148].copy_from_slice(b"00000000000\0");
    h[156] = kind;
    h[157..157 + link.len()].copy_from_slice(link);
    h[257..265].copy_from_slice(b"ustar\x0000");
    h[148..156].copy_from_slice(b"        ");
    let sum: u32 = h.iter().map(|&b| u32::from(b)).sum();
    h[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    h
}

fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut len = rest + 1;
        while len != rest + len.to_string().len() {
            len += 1;
        }
        out.extend(format!("{len} {key}=").bytes());
        out.extend(*value);
        out.push(b'\n');
    }
    out
}

/// A whole archive.
pub(crate) fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |kind, name: &[u8], link: &[u8], body: &[u8]| {
        out.extend(header(kind, name, link, body.len()));
        out.extend(body);
        out.resize(out.len().next_multiple_of(512), 0);
    };
    for e in entries {
        if !e.pax.is_empty() {
            put(b'x', b"pax", b"", &pax(e.pax));
        }
        put(e.kind, e.name, e.link, e.body);
    }
    out.resize(out.len() + 1024, 0);
    out
}

pub(crate) fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut packed = liblzma::read::XzEncoder::new(bytes, 1);
    packed.read_to_end(&mut out).unwrap();
    out
}

pub(crate) fn zst(bytes: &[u8]) -> Vec<u8> {
    let mut packed = zstd::bulk::Compressor::new(3).unwrap();
    packed.include_checksum(true).unwrap();
    packed.compress(bytes).unwrap()
}

pub(crate) fn hex_digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

pub(crate) fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = ar::Builder::new(Vec::new());
    for (name, content) in members {
        let header = ar::Header::new(name.as_bytes().to_vec(), content.len() as u64);
        out.append(&header, *content).unwrap();
    }
    out.into_inner().unwrap()
}

/// A package: its control file's lines, and its files.
pub(crate) fn deb(control: &str, files: &[Entry<'_>]) -> Vec<u8> {
    ar(&[
        ("debian-binary", b"2.0\n"),
        (
            "control.tar.xz",
            &xz(&tar(&[file("./control", control.as_bytes())])),
        ),
        ("data.tar.xz", &xz(&tar(files))),
    ])
}

pub(crate) const KERNEL_CONTROL: &str =
    "Package: linux-image-6.1.0-1-amd64\nVersion: 6.1.0-1\nArchitecture: amd64\n";

/// What the guest needs, all of it built into the sample kernel.
const BUILT_IN: &str = "crc32c_generic ext4 button evdev nvme virtio_blk virtio_scsi xen-blkfront \
    ata_piix ata_generic sd_mod ena xen-netfront virtio_net virtio_pci virtio-rng";

/// A package with a kernel that no machine boots, but that an image can be built with.
pub(crate) fn kernel_deb() -> Vec<u8> {
    let mut list = String::new();
    for name in BUILT_IN.split_whitespace() {
        list.push_str(&format!("kernel/{name}.ko\n"));
    }
    deb(
        KERNEL_CONTROL,
        &[
            file("./boot/vmlinuz-6.1.0-1-amd64", &bz_image()),
            file(
                "./lib/modules/6.1.0-1-amd64/modules.builtin",
                list.as_bytes(),
            ),
        ],
    )
}

/// The header of a bzImage, and little behind it.
pub(crate) fn bz_image() -> Vec<u8> {
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
    let text = b"6.1.0-1-amd64 (builder@host) #1 SMP";
    image[0x300..0x300 + text.len()].copy_from_slice(text);
    image
}

/// A PE32+ EFI application for `machine`, with empty sections of these names behind its own.
pub(crate) fn pe(machine: u16, more: &[&str]) -> Vec<u8> {
    let names: Vec<&str> = [".text", ".sbat"].iter().chain(more).copied().collect();
    let mut pe = vec![0; 1024 + 512 * names.len()];
    pe[1024..].fill(0x90);
    let mut put = |at: usize, bytes: &[u8]| pe[at..at + bytes.len()].copy_from_slice(bytes);
    let le = u32::to_le_bytes;
    put(0, b"MZ");
    put(0x3c, &le(0x40));
    put(0x40, b"PE\0\0");
    put(0x44, &machine.to_le_bytes());
    put(0x46, &(names.len() as u16).to_le_bytes());
    put(0x54, &240_u16.to_le_bytes());
    let optional = 0x58;
    put(optional, &0x20b_u16.to_le_bytes());
    put(optional + 32, &le(512));
    put(optional + 36, &le(512));
    put(optional + 56, &le(0x4000 + 0x1000 * names.len() as u32));
    put(optional + 60, &le(1024));
    put(optional + 68, &10_u16.to_le_bytes());
    put(optional + 108, &le(16));
    for (i, name) in names.iter().enumerate() {
        let at = optional + 240 + 40 * i;
        put(at, name.as_bytes());
        put(at + 8, &le(0x1ff));
        put(at + 12, &le(0x4000 + 0x1000 * i as u32));
        put(at + 16, &le(512));
        put(at + 20, &le(1024 + 512 * i as u32));
    }
    pe
}

/// A static ELF executable for `machine`, of class 1 (32 bits) or 2 (64 bits).
pub(crate) fn elf(machine: u16, class: u8) -> Vec<u8> {
    elf_with(machine, class, None)
}

/// A dynamic one that needs these libraries.
pub(crate) fn dynamic_elf(needed: &[&str]) -> Vec<u8> {
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

/// Bytes that no compression makes smaller.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut word = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 11).to_be_bytes()
    };
    (0..len / 8).flat_map(|_| word()).collect()
}

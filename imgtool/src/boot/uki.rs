//! The Unified Kernel Image: systemd's stub with the kernel and what goes with it as further PE
//! sections (UAPI group's specification, and systemd-stub(7)).
//!
//! The file is laid out without gaps: stub, `.osrel`, `.uname`, `.cmdline`, `.linux`, `.initrd`.
//! Kernel and initramfs are each one range of bytes that starts at a multiple of 512, so that the
//! BIOS stage can load them by block address. The initramfs is last: what changes most.

use std::ops::Range;

use zerocopy::IntoBytes;

use super::error::BootError;
use super::kernel::cmdline_size;
use super::pe::{Pe, SectionHeader};

const CNT_CODE: u32 = 0x20;
const CNT_INITIALIZED_DATA: u32 = 0x40;
const MEM_READ: u32 = 0x4000_0000;
/// Sections start at pages even if the stub's alignment is smaller: the firmware may set page
/// protections by section.
const PAGE: u32 = 4096;
/// Index of the certificate table in the data directories.
const CERTIFICATE_TABLE: usize = 4;

/// A Unified Kernel Image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uki {
    /// The file, a multiple of 512 bytes long.
    pub bytes: Vec<u8>,
    /// Where the kernel is in it; starts at a multiple of 512.
    pub linux: Range<u64>,
    /// Where the initramfs is in it; starts at a multiple of 512.
    pub initrd: Range<u64>,
}

/// A section of a UKI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionInfo {
    /// Its name, lossily decoded.
    pub name: String,
    /// Where it is in the file.
    pub offset: u64,
    /// Bytes in the file, without padding where the section says so. `offset + size` is within
    /// the file.
    pub size: u64,
}

/// Makes a UKI. `stub` and `kernel` are as `load_stub` and `load_kernel` give them.
///
/// A signature of the stub is dropped with its symbol table: neither fits the new file.
pub fn uki(
    stub: &[u8],
    kernel: &[u8],
    initrd: &[u8],
    cmdline: &str,
    os_release: &str,
    uname: &str,
) -> Result<Uki, BootError> {
    check_cmdline(cmdline, cmdline_size(kernel))?;
    let pe = Pe::parse(stub)?;
    pe.require_efi_application()?;
    let parts: [(&str, &[u8]); 5] = [
        (".osrel", os_release.as_bytes()),
        (".uname", uname.as_bytes()),
        (".cmdline", cmdline.as_bytes()),
        (".linux", kernel),
        (".initrd", initrd),
    ];
    let (file_alignment, section_alignment) = check_stub_layout(&pe, &parts)?;

    // What follows the last section's bytes is a symbol table or a signature: dropped.
    let stub_end = pe
        .sections
        .iter()
        .filter(|s| s.size_of_raw_data.get() > 0)
        .map(SectionHeader::raw_end)
        .fold(u64::from(pe.optional.size_of_headers.get()), u64::max);
    let memory_end = pe
        .sections
        .iter()
        .map(SectionHeader::virtual_end)
        .max()
        .unwrap_or(0);
    let stub_end = to_u32(stub_end)?;
    let mut bytes = stub
        .get(..stub_end as usize)
        .ok_or_else(|| BootError::Uki("the stub is shorter than its headers".into()))?
        .to_vec();
    let mut address = align(to_u32(memory_end)?, section_alignment)?;
    let mut data_size = pe.optional.size_of_initialized_data.get();
    let mut ranges = Vec::new();
    let mut headers = Vec::new();
    let mut image_end = address;
    for (name, part) in parts {
        let offset = align(to_u32(bytes.len() as u64)?, file_alignment)?;
        let size = to_u32(part.len() as u64)?;
        let raw_size = align(size, file_alignment)?;
        let mut header = SectionHeader {
            virtual_size: size.into(),
            virtual_address: address.into(),
            size_of_raw_data: raw_size.into(),
            pointer_to_raw_data: offset.into(),
            characteristics: (MEM_READ | CNT_INITIALIZED_DATA).into(),
            ..SectionHeader::default()
        };
        header.name[..name.len()].copy_from_slice(name.as_bytes());
        if name == ".linux" {
            // As ukify does: a kernel that is entered where it lies needs its whole image in
            // memory, and to be code.
            header.characteristics = (MEM_READ | CNT_CODE).into();
            if let Ok(kernel) = Pe::parse(part) {
                header.virtual_size = size.max(kernel.optional.size_of_image.get()).into();
            }
        }
        bytes.resize(offset as usize, 0);
        bytes.extend_from_slice(part);
        let end = offset
            .checked_add(raw_size)
            .ok_or_else(|| BootError::Uki("larger than 4 GiB".into()))?;
        bytes.resize(end as usize, 0);
        ranges.push(u64::from(offset)..u64::from(offset) + u64::from(size));
        image_end = to_u32(header.virtual_end())?;
        address = align(image_end, section_alignment)?;
        data_size = data_size
            .checked_add(header.virtual_size.get())
            .ok_or_else(|| BootError::Uki("larger than 4 GiB".into()))?;
        headers.push(header);
    }

    let mut coff = pe.coff;
    coff.number_of_sections = ((pe.sections.len() + headers.len()) as u16).into();
    coff.pointer_to_symbol_table = 0.into();
    coff.number_of_symbols = 0.into();
    let mut optional = pe.optional;
    optional.size_of_initialized_data = data_size.into();
    optional.size_of_image = align(image_end, section_alignment)?.into();
    // Optional for EFI applications; 0 says that there is none.
    optional.check_sum = 0.into();
    let optional_at = pe.coff_at + coff.as_bytes().len();
    put(&mut bytes, pe.coff_at, coff.as_bytes())?;
    put(&mut bytes, optional_at, optional.as_bytes())?;
    if optional.number_of_rva_and_sizes.get() as usize > CERTIFICATE_TABLE {
        let at = optional_at + optional.as_bytes().len() + CERTIFICATE_TABLE * 8;
        put(&mut bytes, at, &[0; 8])?;
    }
    let new_at = pe.sections_at + pe.sections.len() * size_of::<SectionHeader>();
    put(&mut bytes, new_at, headers.as_bytes())?;
    let [.., linux, initrd] = &ranges[..] else {
        return Err(BootError::Uki("no sections".into()));
    };
    Ok(Uki {
        bytes,
        linux: linux.clone(),
        initrd: initrd.clone(),
    })
}

/// The sections of a UKI, in the order of its section table.
pub fn inspect_uki(bytes: &[u8]) -> Result<Vec<SectionInfo>, BootError> {
    let pe = Pe::parse(bytes)?;
    let info = |s: &SectionHeader| {
        let (raw, memory) = (s.size_of_raw_data.get(), s.virtual_size.get());
        SectionInfo {
            name: s.name(),
            offset: u64::from(s.pointer_to_raw_data.get()).min(bytes.len() as u64),
            size: u64::from(if memory == 0 { raw } else { raw.min(memory) }),
        }
    };
    Ok(pe.sections.iter().map(info).collect())
}

/// Refuses what the stub or the kernel would cut off or change.
fn check_cmdline(cmdline: &str, limit: usize) -> Result<(), BootError> {
    if let Some(c) = cmdline.chars().find(|c| !(' '..='~').contains(c)) {
        return Err(BootError::Uki(format!(
            "the kernel command line may hold printable ASCII only, not {c:?}"
        )));
    }
    if cmdline.len() > limit {
        return Err(BootError::Uki(format!(
            "the kernel command line has {} bytes, this kernel takes {limit} at most",
            cmdline.len()
        )));
    }
    Ok(())
}

/// Checks that sections can be added to the stub; gives alignment in file and memory.
fn check_stub_layout(pe: &Pe, parts: &[(&str, &[u8])]) -> Result<(u32, u32), BootError> {
    let wrong = |why: String| Err(BootError::Uki(why));
    let file_alignment = pe.optional.file_alignment.get();
    let section_alignment = pe.optional.section_alignment.get();
    let sound =
        |alignment: u32| alignment.is_power_of_two() && (512..=64 * 1024).contains(&alignment);
    if !sound(file_alignment) || !sound(section_alignment) {
        return wrong(format!(
            "the stub's alignment ({file_alignment} in the file, {section_alignment} in memory) \
             is not a power of two from 512 to 65536"
        ));
    }
    if let Some((name, _)) = parts
        .iter()
        .find(|(name, _)| pe.sections.iter().any(|s| s.name() == *name))
    {
        return wrong(format!("the stub already has a {name} section"));
    }
    let headers = size_of::<SectionHeader>() * (pe.sections.len() + parts.len());
    let first_data = pe
        .sections
        .iter()
        .filter(|s| s.size_of_raw_data.get() > 0)
        .map(|s| s.pointer_to_raw_data.get())
        .fold(pe.optional.size_of_headers.get(), u32::min);
    if pe.sections_at + headers > first_data as usize {
        return wrong(format!(
            "the stub's headers have no room for {} more sections",
            parts.len()
        ));
    }
    Ok((file_alignment, section_alignment.max(PAGE)))
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) -> Result<(), BootError> {
    bytes
        .get_mut(at..at + value.len())
        .ok_or_else(|| BootError::Uki("the stub is shorter than its headers".into()))?
        .copy_from_slice(value);
    Ok(())
}

fn align(n: u32, to: u32) -> Result<u32, BootError> {
    n.checked_next_multiple_of(to)
        .ok_or_else(|| BootError::Uki("larger than 4 GiB".into()))
}

fn to_u32(n: u64) -> Result<u32, BootError> {
    u32::try_from(n).map_err(|_| BootError::Uki("larger than 4 GiB".into()))
}

#[cfg(test)]
mod tests {
    use object::read::pe::PeFile64;
    use object::{Object, ObjectSection};
    use proptest::prelude::*;
    use testutils::{PeSample, bz_image};

    use super::*;

    const CMDLINE: &str = "console=ttyS0 quiet";
    const OS_RELEASE: &str = "ID=test\n";

    fn build(stub: &PeSample) -> Result<Uki, BootError> {
        let kernel = bz_image("6.1.0");
        uki(
            &stub.build(),
            &kernel,
            b"initrd",
            CMDLINE,
            OS_RELEASE,
            "6.1.0",
        )
    }

    #[test]
    fn another_reader_finds_every_section() {
        let uki = build(&PeSample::default()).unwrap();
        let pe = PeFile64::parse(&*uki.bytes).unwrap();
        let kernel = bz_image("6.1.0");
        let expected: [(&str, &[u8]); 7] = [
            (".text", &[0x90; 0x1ff]),
            (".sbat", &[0x90; 0x100]),
            (".osrel", OS_RELEASE.as_bytes()),
            (".uname", b"6.1.0"),
            (".cmdline", CMDLINE.as_bytes()),
            (".linux", &kernel),
            (".initrd", b"initrd"),
        ];
        let names: Vec<_> = pe
            .sections()
            .map(|s| s.name().unwrap().to_owned())
            .collect();
        assert_eq!(names, expected.map(|(name, _)| name));
        let mut end = 0;
        for (section, (name, content)) in pe.sections().zip(expected) {
            assert_eq!(section.data().unwrap(), content, "{name}");
            assert!(section.address() >= end, "{name} overlaps in memory");
            end = section.address() + section.size();
        }
        let image = u64::from(
            pe.nt_headers()
                .optional_header
                .size_of_image
                .get(object::LittleEndian),
        );
        assert!(image >= end && image.is_multiple_of(512));
        assert_eq!(
            uki.bytes[uki.linux.start as usize..uki.linux.end as usize],
            kernel
        );
        assert_eq!(
            uki.bytes[uki.initrd.start as usize..uki.initrd.end as usize],
            *b"initrd"
        );
    }

    #[test]
    fn kernel_and_initramfs_start_at_sectors_and_nothing_follows_them() {
        let uki = build(&PeSample::default()).unwrap();
        assert_eq!(uki.linux.start % 512, 0);
        assert_eq!(uki.initrd.start, uki.linux.end.next_multiple_of(512));
        assert_eq!(uki.bytes.len() as u64, uki.initrd.end.next_multiple_of(512));
        let sections = inspect_uki(&uki.bytes).unwrap();
        let range = |name: &str| {
            let s = sections.iter().find(|s| s.name == name).unwrap();
            s.offset..s.offset + s.size
        };
        assert_eq!(range(".linux"), uki.linux);
        assert_eq!(range(".initrd"), uki.initrd);
    }

    #[test]
    fn a_kernel_keeps_room_for_its_image_in_memory() {
        // A kernel that is a PE image too, as those with an EFI stub are: 0x6000 in memory.
        let kernel = {
            let pe = PeSample::default().build();
            let mut image = bz_image("6.1.0");
            image[0x58..0x58 + 240 + 80].copy_from_slice(&pe[0x58..0x58 + 240 + 80]);
            image[..0x58].copy_from_slice(&pe[..0x58]);
            image.resize(4096, 0);
            image
        };
        let stub = PeSample::default().build();
        let uki = uki(&stub, &kernel, b"initrd", "", "", "").unwrap();
        let pe = Pe::parse(&uki.bytes).unwrap();
        let section = |name: &str| *pe.sections.iter().find(|s| s.name() == name).unwrap();
        assert_eq!(section(".linux").virtual_size.get(), 0x6000);
        let initrd = section(".initrd").virtual_address.get();
        assert!(initrd >= section(".linux").virtual_address.get() + 0x6000);
        assert_eq!(uki.linux.end - uki.linux.start, 4096);
    }

    #[test]
    fn a_stubs_signature_and_symbol_table_are_dropped() {
        let plain = build(&PeSample::default()).unwrap();
        let signed = PeSample {
            tail: 777,
            ..PeSample::default()
        };
        assert_eq!(build(&signed).unwrap(), plain);
    }

    #[test]
    fn what_a_stub_cannot_take_is_refused() {
        let text = |stub: &PeSample| build(stub).unwrap_err().to_string();
        let cramped = PeSample {
            size_of_headers: 512,
            ..PeSample::default()
        };
        assert!(text(&cramped).contains("no room for 5 more sections"));
        let taken = PeSample {
            sections: vec![(".text", 0x4000, 0x1ff), (".osrel", 0x5000, 0x100)],
            ..PeSample::default()
        };
        assert!(text(&taken).contains("already has a .osrel section"));
        let high = PeSample {
            sections: vec![(".text", u32::MAX - 511, 0x1ff)],
            ..PeSample::default()
        };
        assert!(text(&high).contains("4 GiB"));
        let arm = PeSample {
            machine: 0xaa64,
            ..PeSample::default()
        };
        assert!(text(&arm).contains("aarch64"));
    }

    #[test]
    fn command_lines_that_would_be_cut_or_changed_are_refused() {
        let stub = PeSample::default().build();
        let kernel = bz_image("6.1.0");
        let with = |cmdline: &str| uki(&stub, &kernel, b"", cmdline, "", "");
        with(&"x".repeat(2047)).unwrap();
        for (cmdline, part) in [
            ("x".repeat(2048), "2047 at most"),
            ("a\nb".into(), "'\\n'"),
            ("a\0b".into(), "'\\0'"),
            ("ä".into(), "'ä'"),
        ] {
            let text = with(&cmdline).unwrap_err().to_string();
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn an_image_cut_anywhere_is_an_error() {
        let uki = build(&PeSample::default()).unwrap();
        for cut in 0..uki.bytes.len() {
            assert!(inspect_uki(&uki.bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn hostile_images_give_ranges_within_them_or_errors(
            edits in prop::collection::vec((0..1024_usize, any::<u8>()), 1..12),
        ) {
            let mut stub = PeSample::default().build();
            for &(at, byte) in &edits {
                stub[at] = byte;
            }
            let _ = uki(&stub, &bz_image("6.1.0"), b"i", "", "", "");
            let mut bytes = build(&PeSample::default()).unwrap().bytes;
            for (at, byte) in edits {
                bytes[at] = byte;
            }
            for section in inspect_uki(&bytes).unwrap_or_default() {
                prop_assert!(section.offset + section.size <= bytes.len() as u64);
            }
        }
    }
}

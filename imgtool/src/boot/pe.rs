//! The PE32+ headers that a UKI is made of (Microsoft's "PE Format").
//!
//! Nothing is believed of a file before it was checked against the file's length.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::error::BootError;

/// `IMAGE_FILE_MACHINE_AMD64`.
const MACHINE_AMD64: u16 = 0x8664;
/// Magic of the optional header of PE32+.
const MAGIC_PE32_PLUS: u16 = 0x20b;
/// `IMAGE_SUBSYSTEM_EFI_APPLICATION`.
const SUBSYSTEM_EFI_APPLICATION: u16 = 10;
/// Sections that an image may have, as Windows' loader has it.
const MAX_SECTIONS: usize = 96;

/// COFF file header.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct CoffHeader {
    pub(super) machine: U16,
    pub(super) number_of_sections: U16,
    pub(super) time_date_stamp: U32,
    pub(super) pointer_to_symbol_table: U32,
    pub(super) number_of_symbols: U32,
    pub(super) size_of_optional_header: U16,
    pub(super) characteristics: U16,
}

/// Optional header of PE32+, without the data directories that follow it.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct OptionalHeader {
    pub(super) magic: U16,
    pub(super) linker_version: [u8; 2],
    pub(super) size_of_code: U32,
    pub(super) size_of_initialized_data: U32,
    pub(super) size_of_uninitialized_data: U32,
    pub(super) address_of_entry_point: U32,
    pub(super) base_of_code: U32,
    pub(super) image_base: U64,
    pub(super) section_alignment: U32,
    pub(super) file_alignment: U32,
    pub(super) versions: [U16; 6],
    pub(super) win32_version_value: U32,
    pub(super) size_of_image: U32,
    pub(super) size_of_headers: U32,
    pub(super) check_sum: U32,
    pub(super) subsystem: U16,
    pub(super) dll_characteristics: U16,
    pub(super) stack_and_heap: [U64; 4],
    pub(super) loader_flags: U32,
    pub(super) number_of_rva_and_sizes: U32,
}

/// Section header.
#[derive(Debug, Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct SectionHeader {
    pub(super) name: [u8; 8],
    pub(super) virtual_size: U32,
    pub(super) virtual_address: U32,
    pub(super) size_of_raw_data: U32,
    pub(super) pointer_to_raw_data: U32,
    pub(super) relocations_and_line_numbers: [u8; 12],
    pub(super) characteristics: U32,
}

const _: () = assert!(size_of::<CoffHeader>() == 20);
const _: () = assert!(size_of::<OptionalHeader>() == 112);
const _: () = assert!(size_of::<SectionHeader>() == 40);

impl SectionHeader {
    /// The name up to its first NUL, lossily decoded.
    pub(super) fn name(&self) -> String {
        let end = self.name.iter().position(|&b| b == 0).unwrap_or(8);
        String::from_utf8_lossy(&self.name[..end]).into_owned()
    }

    /// Where its bytes end in the file; 64 bits hold any sum of two fields.
    pub(super) fn raw_end(&self) -> u64 {
        u64::from(self.pointer_to_raw_data.get()) + u64::from(self.size_of_raw_data.get())
    }

    /// Where it ends in memory.
    pub(super) fn virtual_end(&self) -> u64 {
        let size = self.virtual_size.get().max(self.size_of_raw_data.get());
        u64::from(self.virtual_address.get()) + u64::from(size)
    }
}

/// The headers of a PE32+ image.
#[derive(Debug)]
pub(super) struct Pe {
    /// Where the COFF header is.
    pub(super) coff_at: usize,
    pub(super) coff: CoffHeader,
    pub(super) optional: OptionalHeader,
    /// Where the section table is.
    pub(super) sections_at: usize,
    /// All of them have their bytes within the file.
    pub(super) sections: Vec<SectionHeader>,
}

impl Pe {
    /// Reads and checks the headers of an image.
    pub(super) fn parse(bytes: &[u8]) -> Result<Pe, BootError> {
        let wrong = |why: &str| BootError::Pe(why.to_owned());
        if bytes.is_empty() {
            return Err(wrong("an empty file"));
        }
        let not_pe = || wrong("not a PE image");
        if !bytes.starts_with(b"MZ") {
            return Err(not_pe());
        }
        let (lfanew, _) =
            U32::read_from_prefix(bytes.get(0x3c..).ok_or_else(not_pe)?).map_err(|_| not_pe())?;
        let pe_at = lfanew.get() as usize;
        let rest = bytes.get(pe_at..).ok_or_else(not_pe)?;
        let rest = rest.strip_prefix(b"PE\0\0").ok_or_else(not_pe)?;
        let truncated = || wrong("a truncated PE image");
        let (coff, rest) = CoffHeader::read_from_prefix(rest).map_err(|_| truncated())?;
        let (magic, _) = U16::read_from_prefix(rest).map_err(|_| truncated())?;
        if magic.get() != MAGIC_PE32_PLUS {
            return Err(BootError::Pe(format!(
                "a PE image for {}, but not PE32+",
                machine_name(coff.machine.get())
            )));
        }
        let optional_size = usize::from(coff.size_of_optional_header.get());
        let (optional, _) = OptionalHeader::read_from_prefix(rest).map_err(|_| truncated())?;
        let directories = optional.number_of_rva_and_sizes.get() as usize;
        if directories > 16
            || optional_size < size_of::<OptionalHeader>() + directories * 8
            || optional_size > rest.len()
        {
            return Err(wrong("a PE image whose optional header does not fit"));
        }
        let coff_at = pe_at + 4;
        let sections_at = coff_at + size_of::<CoffHeader>() + optional_size;
        let count = usize::from(coff.number_of_sections.get());
        if count > MAX_SECTIONS {
            return Err(wrong("a PE image with more than 96 sections"));
        }
        let mut table = &rest[optional_size..];
        let mut sections = Vec::with_capacity(count);
        for _ in 0..count {
            let (section, next) =
                SectionHeader::read_from_prefix(table).map_err(|_| truncated())?;
            if section.size_of_raw_data.get() > 0 && section.raw_end() > bytes.len() as u64 {
                return Err(BootError::Pe(format!(
                    "a truncated PE image: section {:?} lies beyond its end",
                    section.name()
                )));
            }
            sections.push(section);
            table = next;
        }
        Ok(Pe {
            coff_at,
            coff,
            optional,
            sections_at,
            sections,
        })
    }

    /// Refuses what x86_64 UEFI firmware would not start.
    pub(super) fn require_efi_application(&self) -> Result<(), BootError> {
        let machine = self.coff.machine.get();
        if machine != MACHINE_AMD64 {
            return Err(BootError::Pe(format!(
                "a PE image for {}, not x86_64",
                machine_name(machine)
            )));
        }
        let subsystem = self.optional.subsystem.get();
        if subsystem != SUBSYSTEM_EFI_APPLICATION {
            return Err(BootError::Pe(format!(
                "a PE image of subsystem {subsystem}, not an EFI application (10)"
            )));
        }
        Ok(())
    }
}

fn machine_name(machine: u16) -> String {
    match machine {
        0x014c => "32-bit x86 (i386)".into(),
        0x01c0 | 0x01c2 | 0x01c4 => "32-bit arm".into(),
        0x5032 => "riscv32".into(),
        0x5064 => "riscv64".into(),
        0x6232 => "loongarch32".into(),
        0x6264 => "loongarch64".into(),
        0x0200 => "ia64".into(),
        0xaa64 => "aarch64".into(),
        MACHINE_AMD64 => "x86_64".into(),
        0x0ebc => "EFI byte code".into(),
        _ => format!("an unknown machine ({machine:#06x})"),
    }
}

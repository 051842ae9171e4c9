//! What the loader reads of an ELF file: file header, program headers, dynamic section (System V
//! ABI, generic ELF, chapters 4 and 5; x86-64 supplement).

use crate::input::InputError;
use crate::input::span::Span;
use object::elf;

/// Most program headers and dynamic entries that are believed; both are a few dozen in practice.
const MAX_PROGRAM_HEADERS: usize = 4096;
const MAX_DYNAMIC: u64 = 1 << 20;
/// Longest path or library name.
const MAX_STRING: u64 = 4096;
const HEADER_SIZE: usize = 64;
const PROGRAM_HEADER_SIZE: usize = 56;
const DYNAMIC_SIZE: usize = 16;

/// What the loader reads of an x86-64 ELF file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ElfHeaders {
    /// Whether it can be run, rather than only be linked to.
    pub executable: bool,
    /// Path of the program interpreter (`PT_INTERP`); a static program has none.
    pub interpreter: Option<String>,
    /// Names of the libraries it needs (`DT_NEEDED`), in order.
    pub needed: Vec<String>,
    /// Directories to look in, `$ORIGIN` not expanded (`DT_RPATH`).
    pub rpath: Vec<String>,
    /// The same, for this file alone (`DT_RUNPATH`); where it is given, `rpath` does not count.
    pub runpath: Vec<String>,
}

/// A program header's fields that matter here.
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    file_size: u64,
}

/// Reads the headers of an x86-64 ELF file; refuses what is none, with the reason.
pub(super) fn read(span: &Span) -> Result<ElfHeaders, InputError> {
    let refuse = |why: &str| InputError::File {
        path: span.name.to_string(),
        why: why.to_string(),
    };
    let cut_off = || refuse("an ELF file that is cut off or has headers out of range");
    let bytes = |at: u64, len: usize| -> Result<Vec<u8>, InputError> {
        let part = span.part(at, len as u64).ok_or_else(cut_off)?;
        let mut bytes = vec![0; len];
        part.read_exact_at(0, &mut bytes)?;
        Ok(bytes)
    };
    let header = bytes(0, HEADER_SIZE)?;
    if header[..4] != elf::ELFMAG {
        return Err(refuse("not an ELF file"));
    }
    if header[4] != elf::ELFCLASS64.0 || header[5] != elf::ELFDATA2LSB.0 {
        return Err(refuse(
            "not a 64-bit little-endian ELF file; the image is for x86-64",
        ));
    }
    let machine = u16_at(&header, 18);
    if machine != elf::EM_X86_64.0 {
        return Err(refuse(&format!(
            "an ELF file for another machine ({machine}); the image is for x86-64 (62)"
        )));
    }
    let file_type = u16_at(&header, 16);
    if file_type == elf::ET_REL.0 {
        return Err(refuse("an object file, not linked to a program"));
    }
    if file_type != elf::ET_EXEC.0 && file_type != elf::ET_DYN.0 {
        return Err(refuse(
            "an ELF file that is neither a program nor a library",
        ));
    }
    let count = usize::from(u16_at(&header, 56));
    if count > MAX_PROGRAM_HEADERS || usize::from(u16_at(&header, 54)) != PROGRAM_HEADER_SIZE {
        return Err(refuse(
            "an ELF file without program headers of the known kind",
        ));
    }
    let table = bytes(u64_at(&header, 32), count * PROGRAM_HEADER_SIZE)?;
    let segments: Vec<Segment> = table
        .chunks_exact(PROGRAM_HEADER_SIZE)
        .map(|h| Segment {
            kind: u32_at(h, 0),
            offset: u64_at(h, 8),
            address: u64_at(h, 16),
            file_size: u64_at(h, 32),
        })
        .collect();
    let find = |kind: u32| segments.iter().find(|s| s.kind == kind);

    let mut out = ElfHeaders::default();
    if let Some(interp) = find(elf::PT_INTERP.0) {
        if interp.file_size > MAX_STRING {
            return Err(cut_off());
        }
        let path = bytes(interp.offset, interp.file_size as usize)?;
        let path = text(&path).filter(|p| p.starts_with('/'));
        out.interpreter = Some(path.ok_or_else(|| refuse("its interpreter's path is broken"))?);
    }
    let mut is_pie = false;
    if let Some(dynamic) = find(elf::PT_DYNAMIC.0) {
        if dynamic.file_size > MAX_DYNAMIC {
            return Err(cut_off());
        }
        let entries = bytes(dynamic.offset, dynamic.file_size as usize)?;
        let entries: Vec<(i64, u64)> = entries
            .chunks_exact(DYNAMIC_SIZE)
            .map(|e| (u64_at(e, 0).cast_signed(), u64_at(e, 8)))
            .take_while(|&(tag, _)| tag != elf::DT_NULL.0)
            .collect();
        let value = |tag: i64| entries.iter().find(|e| e.0 == tag).map(|e| e.1);
        let flags = value(elf::DT_FLAGS_1.0).unwrap_or(0);
        is_pie = flags & elf::DF_1_PIE.0 != 0;
        // Absent in a file that names nothing.
        let strings = value(elf::DT_STRTAB.0).and_then(|a| file_offset(&segments, a));
        let string = |at: u64| -> Result<String, InputError> {
            let start = strings
                .and_then(|s| s.checked_add(at))
                .ok_or_else(cut_off)?;
            let left = span.len.checked_sub(start).ok_or_else(cut_off)?;
            let len = left.min(MAX_STRING) as usize;
            text(&bytes(start, len)?).ok_or_else(|| refuse("a library name that is broken"))
        };
        for &(tag, at) in &entries {
            if tag == elf::DT_NEEDED.0 {
                out.needed.push(string(at)?);
            } else if tag == elf::DT_RPATH.0 {
                out.rpath.extend(directories(&string(at)?));
            } else if tag == elf::DT_RUNPATH.0 {
                out.runpath.extend(directories(&string(at)?));
            }
        }
    }
    let entry = u64_at(&header, 24);
    out.executable =
        entry != 0 && (file_type == elf::ET_EXEC.0 || is_pie || out.interpreter.is_some());
    Ok(out)
}

/// Where in the file a virtual address is.
fn file_offset(segments: &[Segment], address: u64) -> Option<u64> {
    segments
        .iter()
        .filter(|s| s.kind == elf::PT_LOAD.0)
        .find_map(|s| {
            let inside = address.checked_sub(s.address)?;
            (inside < s.file_size).then(|| s.offset.checked_add(inside))?
        })
}

fn directories(list: &str) -> impl Iterator<Item = String> {
    list.split(':')
        .filter(|d| !d.is_empty())
        .map(str::to_string)
}

/// A NUL-terminated, not empty string.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|&b| b == 0)?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    (!text.is_empty()).then(|| text.to_string())
}

/// Fields of the headers, whose lengths are checked when they are read.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(field(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(field(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(field(bytes, at))
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

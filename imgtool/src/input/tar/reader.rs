//! The entries of a tar archive (POSIX ustar and pax, GNU, V7), by reference.
//!
//! An archive is read by offset, so that content stays where it is. What two readers could
//! understand differently is refused: an archive that this program and a container runtime see
//! as different files is an attack, not an input.

use super::numbers::{decimal, field};
use super::pax::{self, Record};
use super::sparse;
use crate::input::InputError;
use crate::input::span::Span;
use crate::input::xattrs;
use crate::tree::{Meta, Region, Xattrs, lossy};
use std::collections::BTreeMap;
use tar::Header;

const BLOCK: u64 = 512;
/// Largest pax header that is believed: attribute values are 64 KiB at most, maps of sparse files
/// may be long.
const MAX_PAX: u64 = 8 << 20;
/// Most bytes of global pax records that are believed.
const MAX_GLOBALS: usize = 64 << 10;
/// Largest GNU long name that is believed.
const MAX_LONG_NAME: u64 = 64 << 10;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    HardLink,
    Symlink,
    Directory,
    Char { major: u32, minor: u32 },
    Block { major: u32, minor: u32 },
    Fifo,
}

/// One entry, with everything that extension headers say of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: Vec<u8>,
    /// Target of a link.
    pub(super) link: Vec<u8>,
    pub(super) kind: EntryKind,
    pub(super) meta: Meta,
    /// Size of the file, holes included.
    pub(super) size: u64,
    /// What the archive holds of it, at offsets of the archive.
    pub(super) regions: Vec<Region>,
    /// Whether it has access control lists in star's text form, which are left out.
    pub(super) text_acl: bool,
}

/// Reads the entries of an archive.
pub(super) struct Reader<'a> {
    span: &'a Span,
    at: u64,
    globals: BTreeMap<Vec<u8>, Vec<u8>>,
    require_end: bool,
}

/// Extension headers in front of an entry.
#[derive(Default)]
struct Extensions {
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    records: Option<Vec<Record>>,
}

impl<'a> Reader<'a> {
    /// `require_end`: an archive without the two zero blocks at its end is refused as cut off.
    pub(super) fn new(span: &'a Span, require_end: bool) -> Reader<'a> {
        Reader {
            span,
            at: 0,
            globals: BTreeMap::new(),
            require_end,
        }
    }

    /// The next entry; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, InputError> {
        let mut extensions = Extensions::default();
        loop {
            let header_at = self.at;
            let Some(header) = self.header()? else {
                if extensions.is_empty() {
                    return Ok(None);
                }
                return Err(self.refuse(header_at, "an extended header with no entry after it"));
            };
            let kind = header.as_old().linkflag[0];
            let limit = match kind {
                b'x' | b'g' => MAX_PAX,
                b'L' | b'K' => MAX_LONG_NAME,
                _ => return self.entry(&header, header_at, extensions).map(Some),
            };
            let body = self.extension(&header, header_at, limit)?;
            let again = match kind {
                b'g' => {
                    let records = pax::parse(&body).map_err(|why| self.refuse(header_at, why))?;
                    self.globals.extend(records);
                    // They are copied for each entry.
                    let sizes = self.globals.iter().map(|(k, v)| k.len() + v.len());
                    if sizes.sum::<usize>() > MAX_GLOBALS {
                        let why = format!("global pax headers of more than {MAX_GLOBALS} bytes");
                        return Err(self.refuse(header_at, why));
                    }
                    false
                }
                b'x' => {
                    let records = pax::parse(&body).map_err(|why| self.refuse(header_at, why))?;
                    extensions.records.replace(records).is_some()
                }
                b'L' => extensions.long_name.replace(until_nul(&body)).is_some(),
                _ => extensions.long_link.replace(until_nul(&body)).is_some(),
            };
            if again {
                let why = "two extended headers of one kind for one entry";
                return Err(self.refuse(header_at, why));
            }
        }
    }

    fn header(&mut self) -> Result<Option<Header>, InputError> {
        let mut header = Header::new_old();
        if self.at == self.span.len {
            if self.require_end {
                let why = "the archive is cut off: its end mark is missing";
                return Err(self.refuse(self.at, why));
            }
            return Ok(None);
        }
        if self.span.len - self.at < BLOCK {
            return Err(self.refuse(self.at, "the archive is cut off in a header"));
        }
        self.span.read_exact_at(self.at, header.as_mut_bytes())?;
        if is_zero(&header) {
            let next = self.at.saturating_add(BLOCK);
            if self.span.len.saturating_sub(next) >= BLOCK {
                self.span.read_exact_at(next, header.as_mut_bytes())?;
                if !is_zero(&header) {
                    let why = "a single zero block between entries; two of them end an archive";
                    return Err(self.refuse(self.at, why));
                }
            }
            self.refuse_second_archive()?;
            return Ok(None);
        }
        if !has_good_checksum(&header) {
            let why = "not a tar header: its checksum is wrong";
            return Err(self.refuse(self.at, why));
        }
        self.at += BLOCK;
        Ok(Some(header))
    }

    /// Archives put behind each other: most readers stop after the first, some go on. The end mark
    /// is padded to records of 20 blocks, so the next would begin soon.
    fn refuse_second_archive(&self) -> Result<(), InputError> {
        let mut header = Header::new_old();
        for block in 2..=20 {
            let at = self.at.saturating_add(block * BLOCK);
            if self.span.len.saturating_sub(at) < BLOCK {
                break;
            }
            self.span.read_exact_at(at, header.as_mut_bytes())?;
            if is_zero(&header) {
                continue;
            }
            if has_good_checksum(&header) {
                let why = "a second archive after the end mark; join archives with tar -A";
                return Err(self.refuse(at, why));
            }
            break;
        }
        Ok(())
    }

    /// The body of an extension header, which is read whole.
    fn extension(
        &mut self,
        header: &Header,
        header_at: u64,
        limit: u64,
    ) -> Result<Vec<u8>, InputError> {
        let size = field(&header.as_old().size)
            .ok_or_else(|| self.refuse(header_at, "a size out of range"))?;
        if size > limit {
            let why = format!("an extended header of {size} bytes; at most {limit} are read");
            return Err(self.refuse(header_at, why));
        }
        let start = self
            .skip(size)
            .ok_or_else(|| self.refuse(header_at, self.cut_off(size)))?;
        let mut body = vec![0; usize::try_from(size).unwrap_or(0)];
        self.span.read_exact_at(start, &mut body)?;
        Ok(body)
    }

    /// Steps over `size` bytes and their padding; returns where they start, or `None` if the
    /// archive ends before they do.
    fn skip(&mut self, size: u64) -> Option<u64> {
        let start = self.at;
        let end = start.checked_add(size.checked_next_multiple_of(BLOCK)?)?;
        if end > self.span.len {
            return None;
        }
        self.at = end;
        Some(start)
    }

    fn cut_off(&self, size: u64) -> String {
        format!(
            "the archive is cut off: {size} bytes should follow, and {} are left",
            self.span.len.saturating_sub(self.at)
        )
    }

    fn entry(
        &mut self,
        header: &Header,
        header_at: u64,
        extensions: Extensions,
    ) -> Result<Entry, InputError> {
        let local = extensions.records.unwrap_or_default();
        let mut records = self.globals.clone();
        records.extend(local.iter().cloned());
        // An empty value takes back what a global header said.
        records.retain(|key, value| !value.is_empty() || key.starts_with(b"SCHILY.xattr."));
        let record = |key: &str| records.get(key.as_bytes()).map(Vec::as_slice);

        let path = record("GNU.sparse.name")
            .or(record("path"))
            .map(<[u8]>::to_vec)
            .or(extensions.long_name)
            .unwrap_or_else(|| header_path(header));
        let link = record("linkpath")
            .map(<[u8]>::to_vec)
            .or(extensions.long_link)
            .unwrap_or_else(|| until_nul(&header.as_old().linkname));
        let refuse = |why: String| self.refuse_entry(&path, why);
        let number = |key: &str, bytes: &[u8]| {
            match record(key) {
                Some(value) => decimal(value),
                None => field(bytes),
            }
            .ok_or_else(|| refuse(format!("its {key} is out of range")))
        };
        let id = |key: &str, bytes: &[u8]| {
            let id = number(key, bytes)?;
            // The last number means "no owner" to chown(2).
            u32::try_from(id)
                .ok()
                .filter(|&id| id != u32::MAX)
                .ok_or_else(|| refuse(format!("its {key} {id} is out of range")))
        };
        if path.is_empty() {
            return Err(self.refuse(header_at, "an entry without a name"));
        }
        let old = header.as_old();
        let stored = number("size", &old.size)?;
        let (uid, gid) = (id("uid", &old.uid)?, id("gid", &old.gid)?);
        let mode = field(&old.mode).ok_or_else(|| refuse("its mode is out of range".into()))?;
        let kind = entry_kind(header, &path).map_err(refuse)?;
        let xattrs = kept_xattrs(&records).map_err(refuse)?;
        let text_acl = records.keys().any(|k| k.starts_with(b"SCHILY.acl."));

        let (size, regions) = if kind == EntryKind::File {
            self.content(header, &path, stored, &records, &local)?
        } else {
            if stored != 0 {
                // Some readers skip these bytes, others take them for headers.
                let why = format!("{stored} bytes of content where there can't be any");
                return Err(self.refuse_entry(&path, why));
            }
            (0, Vec::new())
        };
        Ok(Entry {
            path,
            link,
            kind,
            meta: Meta {
                mode: (mode & 0o7777) as u16,
                uid,
                gid,
                xattrs,
            },
            size,
            regions,
            text_acl,
        })
    }

    /// Size and regions of a regular file, and steps over its content.
    fn content(
        &mut self,
        header: &Header,
        path: &[u8],
        stored: u64,
        records: &BTreeMap<Vec<u8>, Vec<u8>>,
        local: &[Record],
    ) -> Result<(u64, Vec<Region>), InputError> {
        let record = |key: &str| records.get(key.as_bytes()).map(Vec::as_slice);
        let real_size = |this: &Self, value: Option<u64>| {
            value.ok_or_else(|| this.refuse_entry(path, "the size of a sparse file out of range"))
        };
        if header.as_old().linkflag[0] == b'S' {
            let Some(gnu) = header.as_gnu() else {
                let why = "a GNU sparse file in an archive of another format";
                return Err(self.refuse_entry(path, why));
            };
            let (map, blocks) = sparse::old_gnu(gnu, self.span, self.at)?
                .map_err(|why| self.refuse_entry(path, why))?;
            self.at = self.at.saturating_add(blocks);
            let start = self
                .skip(stored)
                .ok_or_else(|| self.refuse_entry(path, self.cut_off(stored)))?;
            let size = real_size(self, field(&gnu.realsize))?;
            let regions = sparse::place(&map, size, start, stored);
            return Ok((size, regions.map_err(|why| self.refuse_entry(path, why))?));
        }
        let start = self
            .skip(stored)
            .ok_or_else(|| self.refuse_entry(path, self.cut_off(stored)))?;
        let version = (record("GNU.sparse.major"), record("GNU.sparse.minor"));
        let (map, size, used) = match version {
            (Some(b"1"), Some(b"0")) => {
                let (map, used) = sparse::pax_1_0(self.span, start, stored)?
                    .map_err(|why| self.refuse_entry(path, why))?;
                (map, record("GNU.sparse.realsize"), used)
            }
            (None | Some(b"0"), _) if record("GNU.sparse.map").is_some() => {
                let map = sparse::pax_0_1(record("GNU.sparse.map").unwrap_or_default());
                let map = map.map_err(|why| self.refuse_entry(path, why))?;
                (map, record("GNU.sparse.size"), 0)
            }
            (None | Some(b"0"), _) if record("GNU.sparse.size").is_some() => {
                let map = sparse::pax_0_0(local).map_err(|why| self.refuse_entry(path, why))?;
                (map, record("GNU.sparse.size"), 0)
            }
            (None, _) => {
                let whole = Region {
                    offset: 0,
                    len: stored,
                    at: start,
                };
                let regions = if stored == 0 { Vec::new() } else { vec![whole] };
                return Ok((stored, regions));
            }
            _ => return Err(self.refuse_entry(path, "a sparse file in an unknown format")),
        };
        let size = real_size(self, size.and_then(decimal))?;
        let (at, left) = (start.saturating_add(used), stored.saturating_sub(used));
        let regions = sparse::place(&map, size, at, left);
        Ok((size, regions.map_err(|why| self.refuse_entry(path, why))?))
    }

    fn refuse(&self, offset: u64, why: impl Into<String>) -> InputError {
        InputError::Offset {
            archive: self.span.name.to_string(),
            offset,
            why: why.into(),
        }
    }

    fn refuse_entry(&self, path: &[u8], why: impl Into<String>) -> InputError {
        InputError::Entry {
            archive: self.span.name.to_string(),
            entry: shown(path),
            why: why.into(),
        }
    }
}

/// A name in a message: its start, if it is absurdly long.
pub(super) fn shown(path: &[u8]) -> String {
    match path.get(..300) {
        Some(start) => lossy(start) + "…",
        None => lossy(path),
    }
}

impl Extensions {
    fn is_empty(&self) -> bool {
        self.long_name.is_none() && self.long_link.is_none() && self.records.is_none()
    }
}

/// Whether the first block of a file is a tar header, or the end mark of an empty archive.
pub(in crate::input) fn is_tar(block: &[u8]) -> bool {
    let Ok(block) = <[u8; BLOCK as usize]>::try_from(block) else {
        return false;
    };
    let mut header = Header::new_old();
    *header.as_mut_bytes() = block;
    is_zero(&header) || has_good_checksum(&header)
}

fn is_zero(header: &Header) -> bool {
    header.as_bytes().iter().all(|&b| b == 0)
}

/// The sum of all bytes, the checksum field taken as spaces. Old writers summed signed bytes.
fn has_good_checksum(header: &Header) -> bool {
    let bytes = header.as_bytes().iter().enumerate();
    let bytes = bytes.map(|(i, &b)| if (148..156).contains(&i) { b' ' } else { b });
    let (unsigned, signed) = bytes.fold((0_i64, 0_i64), |(u, s), b| {
        (u + i64::from(b), s + i64::from(b as i8))
    });
    let expected = field(&header.as_old().cksum).and_then(|sum| i64::try_from(sum).ok());
    expected == Some(unsigned) || expected == Some(signed)
}

fn until_nul(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    bytes[..end].to_vec()
}

fn header_path(header: &Header) -> Vec<u8> {
    let name = until_nul(&header.as_old().name);
    match header.as_ustar().map(|ustar| until_nul(&ustar.prefix)) {
        Some(mut path) if !path.is_empty() => {
            path.push(b'/');
            path.extend_from_slice(&name);
            path
        }
        _ => name,
    }
}

fn entry_kind(header: &Header, path: &[u8]) -> Result<EntryKind, String> {
    Ok(match header.as_old().linkflag[0] {
        // V7 archives have directories as files with a slash at the end of their name.
        0 | b'0' | b'7' if path.ends_with(b"/") => EntryKind::Directory,
        0 | b'0' | b'7' | b'S' => EntryKind::File,
        b'1' => EntryKind::HardLink,
        b'2' => EntryKind::Symlink,
        b'3' => {
            let (major, minor) = device(header)?;
            EntryKind::Char { major, minor }
        }
        b'4' => {
            let (major, minor) = device(header)?;
            EntryKind::Block { major, minor }
        }
        b'5' => EntryKind::Directory,
        b'6' => EntryKind::Fifo,
        other => {
            return Err(format!("an entry of unknown type {:?}", char::from(other)));
        }
    })
}

/// Device numbers: Linux has 12 bits for the major and 20 for the minor.
fn device(header: &Header) -> Result<(u32, u32), String> {
    let fields = match (header.as_ustar(), header.as_gnu()) {
        (Some(h), _) => Some((&h.dev_major, &h.dev_minor)),
        (_, Some(h)) => Some((&h.dev_major, &h.dev_minor)),
        _ => None,
    };
    let (major, minor) = fields.ok_or("a device in an archive that has no device numbers")?;
    let number = |bytes, max| field(bytes).filter(|&n| n <= max).map(|n| n as u32);
    number(major, 0xfff)
        .zip(number(minor, 0xf_ffff))
        .ok_or_else(|| "its device numbers are out of range".to_string())
}

fn kept_xattrs(records: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<Xattrs, String> {
    let mut kept = Xattrs::new();
    for (key, value) in records {
        let encoded = [&b"SCHILY.xattr."[..], b"LIBARCHIVE.xattr."];
        if !encoded.iter().any(|prefix| key.starts_with(prefix)) {
            continue;
        }
        let (name, value) = pax::xattr(key, value).ok_or_else(|| {
            format!(
                "its attribute {:?} is not encoded as it should be",
                lossy(key)
            )
        })?;
        if !xattrs::keep(&name) {
            continue;
        }
        if name.len() > xattrs::MAX_NAME || name.contains(&0) || value.len() > xattrs::MAX_VALUE {
            return Err(format!(
                "its attribute {:?} is larger than Linux handles",
                lossy(&name)
            ));
        }
        // libarchive writes each attribute in both spellings; SCHILY comes last and is exact.
        kept.insert(name.into(), value.into());
    }
    Ok(kept)
}

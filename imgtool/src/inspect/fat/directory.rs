//! Directories: short and long names, and the walk over all of them.

use zerocopy::FromBytes;

use super::format::{
    ATTR_DIRECTORY, ATTR_LONG_NAME, ATTR_VOLUME, CASE_EXTENSION, CASE_NAME, DirEntry, NAME_DELETED,
    NAME_END,
};
use super::{Fat, Fault, Root, Variant, bad, time};

/// Files and directories of a volume. A boot volume has a dozen.
const MAX_ENTRIES: usize = 10_000;
/// Directories in directories.
const MAX_DEPTH: usize = 16;
/// 65,536 entries: the format's own limit.
const MAX_DIRECTORY: usize = 65_536 * 32;
/// Bytes of all directories: what [`MAX_ENTRIES`] need, many times over.
const MAX_DIRECTORIES: usize = 16 << 20;

/// A file or directory.
#[derive(Debug, Clone)]
pub(in super::super) struct Entry {
    /// Path from the root with `/` between names; a directory's ends in `/`.
    pub(in super::super) path: String,
    /// Bytes; 0 for a directory.
    pub(in super::super) size: u64,
    /// Time of the last change: seconds since 1970.
    pub(in super::super) modified: i64,
    pub(super) cluster: u32,
    depth: usize,
    directory: bool,
}

impl Fat {
    /// Every file and directory, each directory before what is in it, and the volume's label.
    pub(super) fn walk(&mut self) -> Result<(Vec<Entry>, Option<[u8; 11]>), Fault> {
        let root = match self.root {
            Root::Range(start, len) => {
                let mut bytes = vec![0; len as usize];
                self.volume.read_at(start, &mut bytes)?;
                bytes
            }
            Root::Cluster(cluster) => self.chain(cluster, MAX_DIRECTORY)?,
        };
        let (mut pending, label) = self.entries(&root, "", 0)?;
        pending.reverse();
        let mut all = Vec::new();
        let mut budget = MAX_DIRECTORIES;
        while let Some(entry) = pending.pop() {
            if all.len() + pending.len() >= MAX_ENTRIES {
                return bad(format!("FAT: more than {MAX_ENTRIES} files"));
            }
            if entry.directory {
                if entry.depth >= MAX_DEPTH {
                    return bad(format!("FAT: {} lies too deep", entry.path));
                }
                let bytes = self.chain(entry.cluster, MAX_DIRECTORY.min(budget))?;
                budget = budget.saturating_sub(bytes.len());
                let (children, _) = self.entries(&bytes, &entry.path, entry.depth + 1)?;
                pending.extend(children.into_iter().rev());
            }
            all.push(entry);
        }
        Ok((all, label))
    }

    /// The entries of one directory's bytes, and the label among them.
    fn entries(
        &self,
        bytes: &[u8],
        parent: &str,
        depth: usize,
    ) -> Result<(Vec<Entry>, Option<[u8; 11]>), Fault> {
        let mut entries = Vec::new();
        let mut label = None;
        let mut long = LongName::default();
        for raw in bytes.chunks_exact(32) {
            let Ok(entry) = DirEntry::ref_from_bytes(raw) else {
                return bad("FAT: half a directory entry");
            };
            match entry.name[0] {
                NAME_END => break,
                NAME_DELETED => {
                    long = LongName::default();
                    continue;
                }
                _ => {}
            }
            if entry.attributes & 0x3f == ATTR_LONG_NAME {
                long.add(raw);
                continue;
            }
            let name = std::mem::take(&mut long)
                .take(&entry.name)
                .unwrap_or_else(|| short_name(entry));
            if entry.attributes & ATTR_VOLUME != 0 {
                label.get_or_insert(entry.name);
                continue;
            }
            if name == "." || name == ".." {
                continue;
            }
            let directory = entry.attributes & ATTR_DIRECTORY != 0;
            let high = match self.variant {
                Variant::Fat32 => u32::from(entry.cluster_high.get()),
                Variant::Fat12 | Variant::Fat16 => 0,
            };
            entries.push(Entry {
                path: format!("{parent}{name}{}", if directory { "/" } else { "" }),
                size: if directory {
                    0
                } else {
                    entry.size.get().into()
                },
                modified: time::seconds(entry.modified_time.get(), entry.modified_date.get()),
                cluster: high << 16 | u32::from(entry.cluster_low.get()),
                depth,
                directory,
            });
            if entries.len() > MAX_ENTRIES {
                return bad(format!("FAT: more than {MAX_ENTRIES} files"));
            }
        }
        Ok((entries, label))
    }
}

/// A long name as it is put together from its entries, which come last part first.
#[derive(Default)]
struct LongName {
    units: Vec<u16>,
    /// Sequence number of the last part seen; 0 if none was.
    sequence: u8,
    checksum: u8,
}

impl LongName {
    fn add(&mut self, raw: &[u8]) {
        let sequence = raw[0] & 0x1f;
        let last = raw[0] & 0x40 != 0;
        let follows = !last && sequence != 0 && self.sequence == sequence.wrapping_add(1);
        if last {
            *self = LongName::default();
        } else if !follows || raw[13] != self.checksum {
            // A stray part: its file keeps the short name.
            *self = LongName::default();
            return;
        }
        self.sequence = sequence;
        self.checksum = raw[13];
        let mut part: Vec<u16> = [&raw[1..11], &raw[14..26], &raw[28..32]]
            .into_iter()
            .flat_map(|bytes| bytes.chunks_exact(2))
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        part.append(&mut self.units);
        self.units = part;
    }

    /// The name, if it is whole and belongs to the short name after it.
    fn take(self, short: &[u8; 11]) -> Option<String> {
        let checksum = short
            .iter()
            .fold(0u8, |sum, &b| sum.rotate_right(1).wrapping_add(b));
        if self.sequence != 1 || checksum != self.checksum {
            return None;
        }
        let end = self.units.iter().position(|&u| u == 0);
        let units = self.units.get(..end.unwrap_or(self.units.len()))?;
        Some(String::from_utf16_lossy(units))
    }
}

fn short_name(entry: &DirEntry) -> String {
    let text = |bytes: &[u8], lower: bool| {
        let text: String = bytes
            .iter()
            .map(|&b| {
                if b.is_ascii() {
                    char::from(b)
                } else {
                    '\u{fffd}'
                }
            })
            .collect();
        let text = text.trim_end();
        if lower {
            text.to_ascii_lowercase()
        } else {
            text.to_owned()
        }
    };
    let name = text(&entry.name[..8], entry.case & CASE_NAME != 0);
    let extension = text(&entry.name[8..], entry.case & CASE_EXTENSION != 0);
    if extension.is_empty() {
        name
    } else {
        format!("{name}.{extension}")
    }
}

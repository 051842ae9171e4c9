//! The GUID partition table, as far as PID 1 reads and rewrites it (UEFI specification 2.10,
//! section 5.3). Whatever it does not understand it keeps.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes in a sector. The image's tables are made for 512.
pub(crate) const SECTOR: u64 = 512;

/// LBA of the primary header.
pub(crate) const PRIMARY: u64 = 1;

/// Most bytes of partition entries: 8 times the usual 128 entries of 128 bytes.
const MAX_ENTRIES: usize = 128 * 1024;

/// Partition table header, with its array of partition entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    /// The header's sector as read: fields that have no name here are kept.
    sector: [u8; SECTOR as usize],
    /// AlternateLBA: where the other header is.
    pub(crate) alternate: u64,
    /// FirstUsableLBA.
    pub(crate) first_usable: u64,
    /// LastUsableLBA.
    pub(crate) last_usable: u64,
    /// PartitionEntryLBA.
    pub(crate) entries_lba: u64,
    /// SizeOfPartitionEntry in bytes.
    entry_size: usize,
    entries: Vec<u8>,
}

/// One used partition entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// StartingLBA.
    pub(crate) first: u64,
    /// EndingLBA, the last one that belongs to the partition.
    pub(crate) last: u64,
}

impl Table {
    /// Reads the table whose header is at `lba`; `None` when there is no valid one.
    ///
    /// # Errors
    /// The disk can't be read.
    pub(crate) fn read(disk: &File, lba: u64) -> io::Result<Option<Self>> {
        let mut sector = [0; SECTOR as usize];
        let Some(at) = lba.checked_mul(SECTOR) else {
            return Ok(None);
        };
        disk.read_exact_at(&mut sector, at)?;
        let Some((entries_lba, length)) = header(&sector, lba) else {
            return Ok(None);
        };
        let mut entries = vec![0; length];
        let Some(at) = entries_lba.checked_mul(SECTOR) else {
            return Ok(None);
        };
        match disk.read_exact_at(&mut entries, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        Ok(Self::parse(sector, entries))
    }

    /// A table from a header that [`header`] took and its entries.
    fn parse(sector: [u8; SECTOR as usize], entries: Vec<u8>) -> Option<Self> {
        (crc32fast::hash(&entries) == u32_at(&sector, 88)).then(|| Self {
            alternate: u64_at(&sector, 32),
            first_usable: u64_at(&sector, 40),
            last_usable: u64_at(&sector, 48),
            entries_lba: u64_at(&sector, 72),
            entry_size: u32_at(&sector, 84) as usize,
            sector,
            entries,
        })
    }

    /// The index of the partition with this GUID, in lower case with hyphens.
    pub(crate) fn find(&self, guid: &str) -> Option<usize> {
        self.entries
            .chunks_exact(self.entry_size)
            .position(|entry| used(entry) && text(&entry[16..32]) == guid)
    }

    /// The partition at `index`, from 0; `None` when the entry is unused or makes no sense.
    pub(crate) fn entry(&self, index: usize) -> Option<Entry> {
        let entry = self.entries.chunks_exact(self.entry_size).nth(index)?;
        let found = Entry {
            first: u64_at(entry, 32),
            last: u64_at(entry, 40),
        };
        (used(entry) && found.first <= found.last).then_some(found)
    }

    /// How many entries there are, used or not.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() / self.entry_size
    }

    /// Sets EndingLBA of the partition at `index`.
    pub(crate) fn set_last(&mut self, index: usize, last: u64) {
        if let Some(entry) = self.entries.chunks_exact_mut(self.entry_size).nth(index) {
            entry[40..48].copy_from_slice(&last.to_le_bytes());
        }
    }

    /// Sectors that the array of entries takes.
    pub(crate) fn entries_sectors(&self) -> u64 {
        (self.entries.len() as u64).div_ceil(SECTOR)
    }

    /// The array of entries.
    pub(crate) fn entries(&self) -> &[u8] {
        &self.entries
    }

    /// The header's sector for a header at `lba`, with its checksums.
    pub(crate) fn header(&self, lba: u64) -> [u8; SECTOR as usize] {
        let mut sector = self.sector;
        sector[24..32].copy_from_slice(&lba.to_le_bytes());
        sector[32..40].copy_from_slice(&self.alternate.to_le_bytes());
        sector[48..56].copy_from_slice(&self.last_usable.to_le_bytes());
        sector[72..80].copy_from_slice(&self.entries_lba.to_le_bytes());
        sector[88..92].copy_from_slice(&crc32fast::hash(&self.entries).to_le_bytes());
        let checksum = header_checksum(&sector).unwrap_or_default();
        sector[16..20].copy_from_slice(&checksum.to_le_bytes());
        sector
    }
}

/// Checks a header at `lba`; where its entries are and how many bytes they take.
fn header(sector: &[u8; SECTOR as usize], lba: u64) -> Option<(u64, usize)> {
    let count = u32_at(sector, 80) as usize;
    let size = u32_at(sector, 84) as usize;
    let length = count.checked_mul(size)?;
    let valid = &sector[..8] == b"EFI PART"
        && header_checksum(sector)? == u32_at(sector, 16)
        && u64_at(sector, 24) == lba
        && size >= 128
        && size.is_power_of_two()
        && (1..=MAX_ENTRIES).contains(&length);
    valid.then(|| (u64_at(sector, 72), length))
}

/// CRC-32 over HeaderSize bytes, with the checksum itself as zero.
fn header_checksum(sector: &[u8; SECTOR as usize]) -> Option<u32> {
    let mut header = sector
        .get(..u32_at(sector, 12) as usize)
        .filter(|h| h.len() >= 92)?
        .to_vec();
    header[16..20].fill(0);
    Some(crc32fast::hash(&header))
}

/// Whether the entry's type GUID is not all zeros.
fn used(entry: &[u8]) -> bool {
    entry[..16].iter().any(|&byte| byte != 0)
}

/// A GUID as it is on the disk, whose first three fields are little-endian, in lower case.
fn text(guid: &[u8]) -> String {
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut text = String::with_capacity(36);
    for (position, index) in ORDER.into_iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [guid[index] >> 4, guid[index] & 15] {
            text.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    text
}

/// A little-endian number; callers give an offset that is within `bytes`.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut raw = [0; 4];
    raw.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(raw)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut raw = [0; 8];
    raw.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(raw)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// GUID of the second partition of [`sample`].
    pub(crate) const ROOT: &str = "04030201-0605-0807-090a-0b0c0d0e0f10";

    /// A table for a disk of `sectors` with two partitions, the second of which is
    /// `first..=last`.
    pub(crate) fn sample(sectors: u64, first: u64, last: u64) -> Table {
        let mut entries = vec![0; 128 * 128];
        for (index, (first, last)) in [(2048, 4095), (first, last)].into_iter().enumerate() {
            let entry = &mut entries[index * 128..][..128];
            entry[0] = 1;
            entry[16..32].copy_from_slice(&std::array::from_fn::<u8, 16, _>(|i| i as u8 + 1));
            entry[16] = index as u8;
            entry[32..40].copy_from_slice(&u64::to_le_bytes(first));
            entry[40..48].copy_from_slice(&u64::to_le_bytes(last));
        }
        let mut sector = [0; 512];
        sector[..8].copy_from_slice(b"EFI PART");
        sector[8..12].copy_from_slice(&0x10000_u32.to_le_bytes());
        sector[12..16].copy_from_slice(&92_u32.to_le_bytes());
        sector[40..48].copy_from_slice(&34_u64.to_le_bytes());
        sector[80..84].copy_from_slice(&128_u32.to_le_bytes());
        sector[84..88].copy_from_slice(&128_u32.to_le_bytes());
        Table {
            sector,
            alternate: sectors - 1,
            first_usable: 34,
            last_usable: sectors - 34,
            entries_lba: 2,
            entry_size: 128,
            entries,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let table = sample(20_000, 4096, 9999);
        let sector = table.header(PRIMARY);
        assert_eq!(header(&sector, PRIMARY), Some((2, 128 * 128)));
        let again = Table::parse(sector, table.entries().to_vec()).unwrap();
        assert_eq!(again.find("04030200-0605-0807-090a-0b0c0d0e0f10"), Some(0));
        assert_eq!(again.find(ROOT), Some(1));
        assert_eq!(again.find("00000000-0000-0000-0000-000000000000"), None);
        assert_eq!(
            again.entry(1),
            Some(Entry {
                first: 4096,
                last: 9999
            })
        );
        assert_eq!(again.entry(2), None);
        assert_eq!(again.entry(usize::MAX), None);
        assert_eq!((again.alternate, again.last_usable), (19_999, 19_966));
    }

    #[test]
    fn headers_that_lie_are_refused() {
        let table = sample(20_000, 4096, 9999);
        for (at, bytes) in [
            (0, &b"EFI PARX"[..]),
            (12, &u32::MAX.to_le_bytes()),
            (12, &0_u32.to_le_bytes()),
            (24, &7_u64.to_le_bytes()),
            (80, &u32::MAX.to_le_bytes()),
            (84, &u32::MAX.to_le_bytes()),
            (84, &0_u32.to_le_bytes()),
            (84, &100_u32.to_le_bytes()),
        ] {
            let mut sector = table.header(PRIMARY);
            sector[at..at + bytes.len()].copy_from_slice(bytes);
            if let Some(checksum) = header_checksum(&sector) {
                sector[16..20].copy_from_slice(&checksum.to_le_bytes());
            }
            assert_eq!(header(&sector, PRIMARY), None, "field at {at}");
        }
        let mut sector = table.header(PRIMARY);
        sector[16] ^= 1;
        assert_eq!(header(&sector, PRIMARY), None);
        let mut entries = table.entries().to_vec();
        entries[300] ^= 1;
        assert_eq!(Table::parse(table.header(PRIMARY), entries), None);
    }
}

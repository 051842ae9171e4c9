//! Disk images: partition table, FAT, ext4, and the files in them.

use std::io::Cursor;
use std::path::Path;

use imgtool::inspect::{Query, list};

const SECTOR: usize = 512;
const MAX_SECTORS: usize = 2048;

/// A disk as few bytes: its number of sectors (16 bits), then pieces, each with its first sector
/// (16 bits), its length in bytes (16 bits), and its bytes. The rest is zero.
///
/// The checksums of the partition table are put right, or hardly any change would get past them.
pub(crate) fn inspect(input: &[u8]) {
    let Some(mut disk) = unfold(input) else {
        return;
    };
    seal(&mut disk);
    let _ = imgtool::inspect::inspect(Cursor::new(disk));
}

/// The same disk, and the files in its root file system and in its first partition: sorted, and no
/// two of one path where a directory can't have two of one name.
pub(crate) fn ls(input: &[u8]) {
    let Some(mut disk) = unfold(input) else {
        return;
    };
    seal(&mut disk);
    for (partition, path) in [(None, ""), (None, "/link/../etc/"), (Some("1"), "EFI")] {
        let query = Query {
            partition: partition.map(str::to_owned),
            path: path.into(),
        };
        let Ok(listing) = list(Cursor::new(disk.clone()), Path::new("a.img"), &query) else {
            continue;
        };
        let is_ext4 = listing.file_system() == "ext4";
        let mut last = Vec::new();
        for entry in listing.map_while(Result::ok) {
            assert!(!entry.to_string().contains(char::is_control));
            assert!(last < entry.path || !is_ext4 && last == entry.path);
            last = entry.path;
        }
    }
}

fn unfold(input: &[u8]) -> Option<Vec<u8>> {
    let (sectors, mut rest) = input.split_first_chunk::<2>()?;
    let sectors = usize::from(u16::from_le_bytes(*sectors)).min(MAX_SECTORS);
    let mut disk = vec![0; sectors * SECTOR];
    while let Some((head, tail)) = rest.split_first_chunk::<4>() {
        let at = usize::from(u16::from_le_bytes([head[0], head[1]])) * SECTOR;
        let len = usize::from(u16::from_le_bytes([head[2], head[3]])).min(tail.len());
        let (piece, after) = tail.split_at(len);
        rest = after;
        if let Some(place) = disk.get_mut(at..at + len) {
            place.copy_from_slice(piece);
        }
    }
    Some(disk)
}

/// UEFI specification, 5.3.2: CRC-32 of the entries, then of the header.
fn seal(disk: &mut [u8]) {
    let sectors = disk.len() / SECTOR;
    for lba in [1, sectors.saturating_sub(1)] {
        let at = lba * SECTOR;
        let Some(header) = disk.get(at..at + SECTOR) else {
            continue;
        };
        let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("4 bytes"));
        let len = (word(12) as usize).clamp(92, SECTOR);
        let entries = word(72) as usize;
        let entries_len = (word(80) as usize).saturating_mul(word(84) as usize);
        let start = entries.saturating_mul(SECTOR);
        let sum = disk
            .get(start..start.saturating_add(entries_len))
            .map(crc32fast::hash);
        let header = &mut disk[at..at + SECTOR];
        if let Some(sum) = sum {
            header[88..92].copy_from_slice(&sum.to_le_bytes());
        }
        header[16..20].fill(0);
        let sum = crc32fast::hash(&header[..len]);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
    }
}

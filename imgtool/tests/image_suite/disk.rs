//! Disk images as other projects' tools see them.

use crate::support::{has, ok};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

const SECTOR: u64 = 512;

/// Where a partition is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) start: u64,
    pub(crate) len: u64,
}

/// Whether the tools that judge disks and file systems are installed.
pub(crate) fn have_tools() -> bool {
    [
        "sgdisk", "e2fsck", "dumpe2fs", "debugfs", "fsck.fat", "zstd",
    ]
    .iter()
    .all(|tool| has(tool))
}

/// The partition with a type code of sgdisk's: EF00 for the ESP, 8304 for root.
pub(crate) fn partition(image: &Path, code: &str) -> Partition {
    let table = ok(Command::new("sgdisk").arg("-p").arg(image));
    table
        .lines()
        .filter_map(|line| {
            // Number, start, end, size with its unit, code, name.
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |at: usize| words.get(at)?.parse::<u64>().ok();
            let (first, last) = (number(0).and(number(1))?, number(2)?);
            (words.get(5) == Some(&code)).then(|| Partition {
                start: first * SECTOR,
                len: (last - first + 1) * SECTOR,
            })
        })
        .next()
        .unwrap_or_else(|| panic!("no partition {code}:\n{table}"))
}

/// Root's partition.
pub(crate) fn root(image: &Path) -> Partition {
    partition(image, "8304")
}

/// The file system in a partition, as e2fsprogs' tools take it.
pub(crate) fn e2fs(image: &Path, partition: Partition) -> String {
    format!("{}?offset={}", image.display(), partition.start)
}

/// Copies a partition to a file of its own.
pub(crate) fn cut(image: &Path, partition: Partition, out: &Path) -> PathBuf {
    let mut image = File::open(image).unwrap();
    image.seek(SeekFrom::Start(partition.start)).unwrap();
    let mut out_file = File::create(out).unwrap();
    std::io::copy(&mut image.take(partition.len), &mut out_file).unwrap();
    out_file.flush().unwrap();
    out.to_path_buf()
}

/// `sgdisk -v`, `e2fsck -fn` and, for the ESP, `fsck.fat -n` find nothing to complain about.
pub(crate) fn check(image: &Path) {
    let found = ok(Command::new("sgdisk").arg("-v").arg(image));
    assert!(found.contains("No problems found"), "{found}");
    let root = e2fs(image, root(image));
    ok(Command::new("e2fsck").args(["-f", "-n", &root]));
    let dir = tempfile::tempdir().unwrap();
    let esp = cut(image, partition(image, "EF00"), &dir.path().join("esp"));
    ok(Command::new("fsck.fat").arg("-n").arg(esp));
}

/// The value of a line `name: value` of `dumpe2fs -h`.
pub(crate) fn superblock(image: &Path, name: &str) -> String {
    let text = ok(Command::new("dumpe2fs").args(["-h", &e2fs(image, root(image))]));
    let value = text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key == name).then(|| value.trim().to_string())
    });
    value.unwrap_or_else(|| panic!("no {name:?}:\n{text}"))
}

/// SHA-256 of a file, by `sha256sum`.
pub(crate) fn sha256(path: &Path) -> String {
    let line = ok(Command::new("sha256sum").arg(path));
    line.split(' ').next().unwrap().to_string()
}

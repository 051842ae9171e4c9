//! The root partition, found by its GUID.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::devices::{Modules, list};
use super::failure::{Context, Failure, Result};
use super::gpt::{PRIMARY, Table};
use super::grow;

/// How long disks may take to appear.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often `/sys` is looked at.
const POLL: Duration = Duration::from_millis(10);

/// After how long a disk that did not hold root is read again.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// The disk that holds the root partition.
#[derive(Debug)]
pub(crate) struct Root {
    /// The disk's device node.
    pub(crate) disk: PathBuf,
    /// The disk's size in sectors of 512 bytes.
    pub(crate) sectors: u64,
    /// The disk's partition table.
    pub(crate) table: Table,
    /// Index of root's entry in the table, from 0.
    pub(crate) index: usize,
    /// The partition's device node.
    pub(crate) partition: PathBuf,
}

/// What a disk turns out to be.
enum Examined {
    /// The one that holds root.
    Root(Root),
    /// It holds root, and the kernel does not show the partition yet.
    Unseen,
    /// Another.
    Other,
}

/// Waits for the partition with this GUID, loading modules as devices appear.
pub(crate) fn find(modules: &mut Modules, guid: &str) -> Result<Root> {
    let start = Instant::now();
    let mut read: BTreeMap<PathBuf, Instant> = BTreeMap::new();
    loop {
        for disk in disks() {
            if read
                .get(&disk)
                .is_some_and(|last| last.elapsed() < READ_AGAIN)
            {
                continue;
            }
            match examine(&disk, guid) {
                Ok(Examined::Root(root)) => {
                    say!(
                        "root is {}, {} MiB",
                        root.partition.display(),
                        mebibytes(&root)
                    );
                    return Ok(root);
                }
                // The kernel is looking through the disk just now.
                Ok(Examined::Unseen) => continue,
                Ok(Examined::Other) => {}
                Err(failure) => say!("warning: {failure}"),
            }
            read.insert(disk, Instant::now());
        }
        modules.load_for_devices();
        if start.elapsed() > PATIENCE {
            return Err(not_found(guid));
        }
        thread::sleep(POLL);
    }
}

fn mebibytes(root: &Root) -> u64 {
    let entry = root.table.entry(root.index);
    entry.map_or(0, |entry| {
        (entry.last - entry.first).saturating_add(1) / 2048
    })
}

/// Whether the disk has the partition that is looked for.
fn examine(sys: &Path, guid: &str) -> Result<Examined> {
    let disk = node(sys);
    let sectors = number(&sys.join("size")).unwrap_or(0);
    // The least that can hold a table: protective MBR, two headers, two arrays of entries.
    if sectors < 68 {
        return Ok(Examined::Other);
    }
    let can_not_read = || format!("can't read the partition table of {}", disk.display());
    let file = match File::open(&disk) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Examined::Unseen),
        file => file.context(can_not_read)?,
    };
    if let Some(table) = Table::read(&file, PRIMARY).context(can_not_read)? {
        return Ok(match table.find(guid) {
            Some(index) => with_partition(sys, disk, sectors, table, index),
            None => Examined::Other,
        });
    }
    // Power may have failed while the table was moved: the one at the disk's end is whole then.
    let Some(table) = Table::read(&file, sectors - 1).context(can_not_read)? else {
        return Ok(Examined::Other);
    };
    let Some(index) = table.find(guid) else {
        return Ok(Examined::Other);
    };
    say!(
        "the partition table of {} is damaged: restoring it from its backup",
        disk.display()
    );
    let table = grow::restore_primary(&disk, table, sectors)?;
    Ok(with_partition(sys, disk, sectors, table, index))
}

/// Finds the partition's device node; the kernel numbers partitions from 1.
fn with_partition(sys: &Path, disk: PathBuf, sectors: u64, table: Table, index: usize) -> Examined {
    let of_this_index = |path: &PathBuf| number(&path.join("partition")) == Some(index as u64 + 1);
    let found = list(sys.to_owned()).into_iter().find(of_this_index);
    match found.map(|path| node(&path)).filter(|it| it.exists()) {
        Some(partition) => Examined::Root(Root {
            partition,
            disk,
            sectors,
            table,
            index,
        }),
        None => Examined::Unseen,
    }
}

/// The disks in `/sys/class/block`: neither partitions nor what has no device behind it.
fn disks() -> Vec<PathBuf> {
    let whole = |path: &PathBuf| path.join("device").exists() && !path.join("partition").exists();
    list("/sys/class/block".into())
        .into_iter()
        .filter(whole)
        .collect()
}

/// The device node for an entry of `/sys/class/block`, where `!` stands for `/`.
fn node(sys: &Path) -> PathBuf {
    let name = sys
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .replace('!', "/");
    Path::new("/dev").join(name)
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn not_found(guid: &str) -> Failure {
    let seen: Vec<String> = disks()
        .iter()
        .map(|sys| {
            let size = number(&sys.join("size")).unwrap_or(0);
            format!("{} ({} MiB)", node(sys).display(), size / 2048)
        })
        .collect();
    let seen = if seen.is_empty() {
        "none".to_owned()
    } else {
        seen.join(", ")
    };
    Failure::new(format!(
        "no partition {guid} after {} s; disks seen: {seen}",
        PATIENCE.as_secs()
    ))
}

//! SHA-256 of an image and of its partitions, in one pass over its data. Holes are not read.

use crate::pack::PackDisk;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;

use rustix::fs::SeekFrom;
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::report::ImageReport;

const BLOCK: usize = 1 << 20;

/// Something to hash, which may know of holes.
pub(super) trait Disk {
    /// Fills `buf` from offset `at`.
    fn read_exact_at(&mut self, buf: &mut [u8], at: u64) -> io::Result<()>;

    /// The first range of data from `at` on; empty at `end` if only a hole is left.
    fn next_data(&mut self, at: u64, end: u64) -> io::Result<(u64, u64)>;
}

/// A raw disk, perhaps a sparse file.
pub(super) struct Sparse<'a>(pub(super) &'a File);

impl Disk for Sparse<'_> {
    fn read_exact_at(&mut self, buf: &mut [u8], at: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, at)
    }

    fn next_data(&mut self, at: u64, end: u64) -> io::Result<(u64, u64)> {
        next_data(self.0, at, end)
    }
}

impl Disk for PackDisk {
    fn read_exact_at(&mut self, buf: &mut [u8], at: u64) -> io::Result<()> {
        self.seek(io::SeekFrom::Start(at))?;
        self.read_exact(buf)
    }

    fn next_data(&mut self, at: u64, end: u64) -> io::Result<(u64, u64)> {
        Ok((at, end))
    }
}

/// Adds the digests to a report on `disk`.
pub(super) fn add(disk: &mut dyn Disk, report: &mut ImageReport) -> io::Result<()> {
    // By place on the disk; they don't overlap.
    let mut order: Vec<usize> = (0..report.partitions.len()).collect();
    order.sort_by_key(|&i| report.partitions[i].start);
    let mut whole = Feeder::new(disk);
    let mut at = 0;
    for index in order {
        let partition = &mut report.partitions[index];
        whole.feed(at, partition.start, None)?;
        let mut digest = Sha256::new();
        at = partition.start + partition.size;
        whole.feed(partition.start, at, Some(&mut digest))?;
        partition.sha256 = Some(hex::encode(digest.finalize()));
    }
    whole.feed(at, report.size, None)?;
    report.sha256 = Some(hex::encode(whole.digest.finalize()));
    Ok(())
}

struct Feeder<'a> {
    disk: &'a mut dyn Disk,
    digest: Sha256,
    buf: Vec<u8>,
    zeros: Vec<u8>,
}

impl<'a> Feeder<'a> {
    fn new(disk: &'a mut dyn Disk) -> Feeder<'a> {
        Feeder {
            disk,
            digest: Sha256::new(),
            buf: vec![0; BLOCK],
            zeros: vec![0; BLOCK],
        }
    }

    /// Hashes the bytes `at .. end` into the digest of all, and into `also`.
    fn feed(&mut self, mut at: u64, end: u64, mut also: Option<&mut Sha256>) -> io::Result<()> {
        while at < end {
            let (data, data_end) = self.disk.next_data(at, end)?;
            while at < data_end {
                let limit = if at < data { data } else { data_end };
                let len = (limit - at).min(BLOCK as u64) as usize;
                let bytes = if at < data {
                    &self.zeros[..len]
                } else {
                    let buf = &mut self.buf[..len];
                    self.disk.read_exact_at(buf, at)?;
                    &*buf
                };
                self.digest.update(bytes);
                if let Some(also) = also.as_deref_mut() {
                    also.update(bytes);
                }
                at += len as u64;
            }
        }
        Ok(())
    }
}

/// The first range of data from `at` on; empty at `end` if only a hole is left.
fn next_data(file: &File, at: u64, end: u64) -> io::Result<(u64, u64)> {
    let data = match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(data) if data < end => data,
        Ok(_) | Err(Errno::NXIO) => return Ok((end, end)),
        // This file system doesn't tell.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok((at, end)),
        Err(e) => return Err(e.into()),
    };
    match rustix::fs::seek(file, SeekFrom::Hole(data)) {
        Ok(hole) => Ok((data, hole.min(end))),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::{Boot, PartitionReport};
    use super::*;

    #[test]
    fn holes_and_data_hash_as_what_they_read_as() {
        let size = 5 << 20;
        let mut bytes = vec![0u8; size];
        bytes[1 << 20..(1 << 20) + 3].copy_from_slice(b"abc");
        bytes[size - 1] = 9;
        let file = tempfile::tempfile().unwrap();
        file.set_len(size as u64).unwrap();
        file.write_all_at(b"abc", 1 << 20).unwrap();
        file.write_all_at(&[9], size as u64 - 1).unwrap();
        let partition = |number, start: u64, size| PartitionReport {
            number,
            name: String::new(),
            type_guid: String::new(),
            type_name: None,
            guid: String::new(),
            first_lba: start / 512,
            last_lba: 0,
            start,
            size,
            content: None,
            sha256: None,
        };
        let mut report = ImageReport {
            pack: None,
            size: size as u64,
            disk_guid: String::new(),
            boot: Boot {
                bios: false,
                uefi: false,
            },
            kernel: None,
            guest: None,
            partitions: vec![
                partition(1, 3 << 20, 1 << 20),
                partition(2, 512 << 10, 1 << 20),
            ],
            sha256: None,
            problems: Vec::new(),
        };
        add(&mut Sparse(&file), &mut report).unwrap();
        let sha256 = |bytes: &[u8]| Some(hex::encode(Sha256::digest(bytes)));
        assert_eq!(report.sha256, sha256(&bytes));
        assert_eq!(
            report.partitions[0].sha256,
            sha256(&bytes[3 << 20..4 << 20])
        );
        assert_eq!(
            report.partitions[1].sha256,
            sha256(&bytes[512 << 10..1536 << 10])
        );
    }
}

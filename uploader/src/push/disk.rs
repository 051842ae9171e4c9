//! A disk whose blocks come as they are: a raw image, or what imgtool would write.
//!
//! A pack's name is its digest, which takes every frame's length, and S3 wants the name before the
//! first byte. So blocks are read twice: once to hash all and to compress those that the vault
//! lacks, and once, for those only, to send them. Frames of the first reading are kept as far as
//! there is room, so a new version of an image, of which the vault lacks little, is read once. No
//! file is made. Pushes to several vaults at the same time share what is kept, and take turns at the
//! first reading.

use super::delta::{Frame, Known};
use super::error::ImageError;
use super::kept::{Kept, locked};
use imgtool::build::Prepared;
use imgtool::disk::{Extent, ExtentSource};
use imgtool::pack::{
    InputRecord, MANIFEST_VERSION, MAX_SIZE, Manifest, ManifestBlocks, PackError, SnapshotRecord,
    compressor, frame,
};
use imgtool::pass::{BLOCK_LEN, BlockRun, RunKind, block_runs, read_block};
use imgtool::spec::Name;
use imgtool::tree::{HostFile, Source, is_zero};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;
use zstd::bulk::Compressor;

/// Bytes per sector.
const SECTOR: u64 = 512;

/// A disk of known layout.
#[derive(Debug)]
pub struct Disk {
    name: String,
    /// What the image's identifiers derive from, if it has such.
    identity: Option<[u8; 32]>,
    boot_modes: Vec<String>,
    inputs: Vec<InputRecord>,
    len: u64,
    extents: Vec<Extent>,
    level: i32,
    /// Frames of the first reading.
    kept: Kept,
    /// Held by who reads all of it: a second one would only take its threads from the first.
    reading: Mutex<()>,
}

/// A block with data, as the first reading found it.
struct Found {
    index: u64,
    sha256: [u8; 32],
    /// Length of its frame; 0 if the vault has it.
    len: u32,
}

impl Disk {
    /// What imgtool planned, and would write.
    pub fn planned(prepared: Prepared, level: i32) -> Disk {
        Disk {
            name: prepared.name,
            identity: Some(prepared.identity),
            boot_modes: prepared
                .boot_modes
                .iter()
                .map(ToString::to_string)
                .collect(),
            inputs: prepared.inputs,
            len: prepared.plan.len,
            extents: prepared.plan.extents,
            level,
            kept: Kept::default(),
            reading: Mutex::default(),
        }
    }

    /// A raw image. Nothing is known of what lies on it, so all its zeros mean something.
    ///
    /// # Errors
    /// It can't be read, or is no disk's size.
    pub fn raw(
        path: &Path,
        name: &Name,
        boot_modes: Vec<String>,
        level: i32,
    ) -> Result<Disk, ImageError> {
        let read = |cause| ImageError::Read {
            path: path.into(),
            cause,
        };
        let file = File::open(path).map_err(read)?;
        let metadata = file.metadata().map_err(read)?;
        let bytes = metadata.len();
        let why = if !metadata.is_file() {
            Some("not a regular file".to_owned())
        } else if bytes == 0 || !bytes.is_multiple_of(SECTOR) {
            Some(format!("{bytes} bytes are not a number of sectors"))
        } else if bytes > MAX_SIZE {
            Some(format!(
                "{bytes} bytes, and a volume has at most {MAX_SIZE}"
            ))
        } else {
            None
        };
        if let Some(why) = why {
            let path = path.into();
            return Err(ImageError::NotADisk { path, why });
        }
        let host = Arc::new(HostFile::new(path.into(), &metadata));
        let file = Arc::new(file);
        let source = Source::Archive { file, host };
        let len = bytes.next_multiple_of(BLOCK_LEN as u64);
        let mut extents = vec![Extent {
            offset: 0,
            len: bytes,
            source: ExtentSource::Content { source, at: 0 },
        }];
        if len > bytes {
            extents.push(Extent {
                offset: bytes,
                len: len - bytes,
                source: ExtentSource::Zero,
            });
        }
        Ok(Disk {
            name: name.to_string(),
            identity: None,
            boot_modes,
            inputs: vec![InputRecord {
                role: "application".into(),
                kind: "raw".into(),
                sha256: None,
            }],
            len,
            extents,
            level,
            kept: Kept::default(),
            reading: Mutex::default(),
        })
    }

    /// The image's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes that the first reading reads.
    pub fn content_len(&self) -> u64 {
        content(&block_runs(&self.extents)) * BLOCK_LEN as u64
    }

    /// Reads all blocks, in `jobs` threads: hashes them, and compresses those that are not `known`.
    /// The manifest is that of a pack of the latter; what is known has no place in it yet.
    ///
    /// # Errors
    /// A block can't be read, or `cancel` was called.
    pub fn scan(
        &self,
        known: &Known,
        jobs: usize,
        progress: &(dyn Fn(u64) + Send + Sync),
        cancel: &CancellationToken,
    ) -> Result<Manifest, ImageError> {
        let _reading = locked(&self.reading);
        let runs = block_runs(&self.extents);
        let scan = Scan {
            disk: self,
            known,
            starts: &starts(&runs),
            blocks: content(&runs),
            next: AtomicU64::new(0),
            progress,
            cancel,
        };
        let (mut data, mut zero) = (Vec::new(), Vec::new());
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..jobs.max(1))
                .map(|_| scope.spawn(|| scan.work()))
                .collect();
            for thread in threads {
                let (more, zeros) = thread
                    .join()
                    .map_err(|_| ImageError::Reader("it panicked".into()))??;
                data.extend(more);
                zero.extend(zeros.into_iter().map(|index| (index, 1)));
            }
            Ok::<_, ImageError>(())
        })?;
        data.sort_unstable_by_key(|found| found.index);
        let planned = |kind| move |run: &&BlockRun| run.kind == kind;
        let pair = |run: &BlockRun| (run.first, run.count);
        zero.extend(runs.iter().filter(planned(RunKind::Zero)).map(pair));
        let free = runs.iter().filter(planned(RunKind::Free)).map(pair);
        Ok(self.manifest(&data, merged(zero), merged(free.collect())))
    }

    fn manifest(&self, found: &[Found], zero: Vec<(u64, u64)>, free: Vec<(u64, u64)>) -> Manifest {
        let snapshot = SnapshotRecord::of(found.iter().map(|it| (it.index, it.sha256)), &zero);
        let mut end = 0;
        let data = found.iter().map(|it| {
            let offset = if it.len == 0 { 0 } else { end };
            end += u64::from(it.len);
            (it.index, hex::encode(it.sha256), 0, offset, it.len)
        });
        Manifest {
            version: MANIFEST_VERSION,
            name: self.name.clone(),
            // An image of unknown making is what it holds.
            identity: match &self.identity {
                Some(identity) => hex::encode(identity),
                None => snapshot.linear_checksum.clone(),
            },
            architecture: "x86_64".into(),
            boot_modes: self.boot_modes.clone(),
            size: self.len,
            block_size: BLOCK_LEN as u64,
            inputs: self.inputs.clone(),
            snapshot,
            packs: Vec::new(),
            blocks: ManifestBlocks {
                data: data.collect(),
                zero,
                free,
            },
        }
    }

    /// Appends the frames of these blocks to `out`.
    pub(super) fn read(
        &self,
        frames: &[Frame],
        block: &mut [u8],
        context: &mut Option<Compressor<'static>>,
        out: &mut Vec<u8>,
    ) -> Result<(), ImageError> {
        let mut made = Vec::new();
        for it in frames {
            let kept = self.kept.get(it.index, &it.sha256);
            if let Some(kept) = kept.filter(|kept| kept.len() == it.len as usize) {
                out.extend_from_slice(&kept);
                continue;
            }
            read_block(&self.extents, it.index, block)?;
            let compressor = match context {
                Some(compressor) => compressor,
                None => context.insert(compressor(self.level)?),
            };
            frame(compressor, block, &mut made)?;
            let sha256: [u8; 32] = Sha256::digest(&*block).into();
            if sha256 != it.sha256 || made.len() != it.len as usize {
                return Err(ImageError::Changed { index: it.index });
            }
            out.extend_from_slice(&made);
        }
        Ok(())
    }
}

/// The first reading.
struct Scan<'a> {
    disk: &'a Disk,
    known: &'a Known,
    /// Runs of blocks to read.
    starts: &'a [(u64, u64)],
    /// Blocks to read, and the next of them.
    blocks: u64,
    next: AtomicU64,
    progress: &'a (dyn Fn(u64) + Send + Sync),
    cancel: &'a CancellationToken,
}

impl Scan<'_> {
    /// One thread's: blocks with data, and indexes of those that are zero.
    fn work(&self) -> Result<(Vec<Found>, Vec<u64>), ImageError> {
        let done = self.blocks_of_one();
        if done.is_err() {
            // The other threads find nothing more to do.
            self.next.store(self.blocks, Ordering::Relaxed);
        }
        done
    }

    fn blocks_of_one(&self) -> Result<(Vec<Found>, Vec<u64>), ImageError> {
        let mut compressor = compressor(self.disk.level)?;
        let (mut block, mut made) = (vec![0; BLOCK_LEN], Vec::new());
        let (mut data, mut zero) = (Vec::new(), Vec::new());
        loop {
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(index) = (place < self.blocks)
                .then(|| nth(self.starts, place))
                .flatten()
            else {
                return Ok((data, zero));
            };
            if self.cancel.is_cancelled() {
                return Err(ImageError::Interrupted);
            }
            read_block(&self.disk.extents, index, &mut block)?;
            (self.progress)(BLOCK_LEN as u64);
            if is_zero(&block) {
                zero.push(index);
                continue;
            }
            let sha256 = Sha256::digest(&block).into();
            let mut len = 0;
            if !self.known.has(&sha256) {
                // Another vault's push may have made it.
                let kept = self.disk.kept.get(index, &sha256);
                if kept.is_none() {
                    frame(&mut compressor, &block, &mut made)?;
                    self.disk.kept.put(index, sha256, &made);
                }
                len = u32::try_from(kept.map_or(made.len(), |it| it.len()))
                    .map_err(|error| PackError::Compress(std::io::Error::other(error)))?;
            }
            data.push(Found { index, sha256, len });
        }
    }
}

/// Number of blocks that have to be read.
fn content(runs: &[BlockRun]) -> u64 {
    let content = runs.iter().filter(|run| run.kind == RunKind::Content);
    content.map(|run| run.count).sum()
}

/// Runs of blocks that have to be read: how many come before each, and its first.
fn starts(runs: &[BlockRun]) -> Vec<(u64, u64)> {
    let mut before = 0;
    let content = runs.iter().filter(|run| run.kind == RunKind::Content);
    content
        .map(|run| {
            let start = (before, run.first);
            before += run.count;
            start
        })
        .collect()
}

/// Index of the block to read at `place` in their order.
fn nth(starts: &[(u64, u64)], place: u64) -> Option<u64> {
    let at = starts.partition_point(|(before, _)| *before <= place);
    let (before, first) = starts.get(at.checked_sub(1)?)?;
    Some(first + (place - before))
}

/// Runs in order, those that touch as one.
fn merged(mut runs: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    runs.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (first, count) in runs {
        match merged.last_mut() {
            Some((start, n)) if *start + *n == first => *n += count,
            _ => merged.push((first, count)),
        }
    }
    merged
}

//! The one pass: every byte of the plan is read once, in parallel, in blocks of 512 KiB, and
//! hashed, compressed and written from there.
//!
//! Workers take blocks in disk order and finish them in any; what has an order (the pack, the
//! digests) goes through `order::InOrder`, which also bounds how far the fastest may run ahead.
//! So neither bytes nor memory depend on the number of workers or on the size of the image.

mod blocks;
mod order;

pub use crate::block::BLOCK_LEN;
pub use blocks::{BlockRun, RunKind, block_runs};

use crate::Class;
use crate::block::{BlockMap, DataBlock, push_run};
use crate::disk::{Extent, ExtentSource};
use crate::pack::{self, PackError, PackSummary, PackWriter};
use crate::tree::{ContentError, is_zero};
use order::InOrder;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Told how far the work is.
pub trait Progress: Sync {
    /// So many more bytes of content are done.
    fn advance(&self, bytes: u64);
}

/// Tells nobody.
impl Progress for () {
    fn advance(&self, _bytes: u64) {}
}

/// Where a raw image goes.
#[derive(Debug)]
pub struct RawOutput<'a> {
    /// The file, empty.
    pub file: &'a File,
    /// What messages call it.
    pub path: PathBuf,
}

/// What a pass is given.
pub struct Job<'a> {
    /// Size of the disk in bytes, a multiple of [`BLOCK_LEN`].
    pub len: u64,
    /// The plan: ordered, without overlap or gap.
    pub extents: &'a [Extent],
    /// Number of worker threads, at least 1.
    pub jobs: usize,
    /// Where the raw image goes, if one is wanted.
    pub raw: Option<RawOutput<'a>>,
    /// Where the pack goes, if one is wanted.
    pub pack: Option<PackWriter<'a>>,
    /// Told of each block.
    pub progress: &'a dyn Progress,
    /// Set from outside to stop.
    pub cancel: &'a AtomicBool,
}

/// What a pass found out.
#[derive(Debug)]
pub struct Outcome {
    /// What each block is, and where its frame is in the pack.
    pub blocks: BlockMap,
    /// The pack's digest and size, if one was written.
    pub pack: Option<PackSummary>,
}

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// Content could not be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The raw image could not be written.
    #[error("{path}: can't be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The pack could not be written.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// Threads could not be started.
    #[error("no worker threads")]
    Threads(#[source] rayon::ThreadPoolBuildError),
    /// Asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl PassError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            PassError::Content(_) | PassError::Write { .. } | PassError::Pack(_) => Class::Input,
            PassError::Threads(_) => Class::Surroundings,
            PassError::Interrupted => Class::Failed,
        }
    }
}

/// Runs the pass.
pub fn run(job: Job<'_>) -> Result<Outcome, PassError> {
    let runs = block_runs(job.extents);
    if let Some(raw) = &job.raw {
        let failed = |source| PassError::Write {
            path: raw.path.clone(),
            source,
        };
        raw.file.set_len(job.len).map_err(failed)?;
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(job.jobs.max(1))
        .build()
        .map_err(PassError::Threads)?;

    let mut blocks = BlockMap::default();
    for run in &runs {
        match run.kind {
            RunKind::Zero => push_run(&mut blocks.zero, run.first, run.count),
            RunKind::Free => push_run(&mut blocks.free, run.first, run.count),
            RunKind::Content => {}
        }
    }
    let tasks = Mutex::new(blocks::Tasks::new(&runs));
    let shared = Shared {
        extents: job.extents,
        raw: job.raw,
        level: job.pack.as_ref().map(PackWriter::level),
        frames: Mutex::new(Vec::new()),
        progress: job.progress,
        cancel: job.cancel,
    };
    let ordered = InOrder::new(
        Sink {
            pack: job.pack,
            blocks,
            frames: &shared.frames,
        },
        4 * job.jobs as u64 + 4,
    );
    let failure: Mutex<Option<PassError>> = Mutex::new(None);
    pool.broadcast(|_| {
        let mut worker = match Worker::new(&shared) {
            Ok(worker) => worker,
            Err(e) => return fail(&failure, &ordered, e),
        };
        loop {
            let Some(task) = lock(&tasks).next() else {
                return;
            };
            let done = worker
                .block(task.index)
                .and_then(|done| ordered.put(task.sequence, done, |sink, done| sink.take(done)));
            match done {
                Ok(true) => {}
                Ok(false) => return,
                Err(e) => return fail(&failure, &ordered, e),
            }
        }
    });
    if let Some(error) = failure.into_inner().unwrap_or_else(|e| e.into_inner()) {
        return Err(error);
    }
    let Sink {
        pack, mut blocks, ..
    } = ordered.into_inner();
    blocks.merge_zero_runs();
    Ok(Outcome {
        blocks,
        pack: pack.map(PackWriter::finish).transpose()?,
    })
}

fn fail(failure: &Mutex<Option<PassError>>, ordered: &InOrder<Sink<'_>, Done>, error: PassError) {
    lock(failure).get_or_insert(error);
    ordered.stop();
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

struct Shared<'a> {
    extents: &'a [Extent],
    raw: Option<RawOutput<'a>>,
    /// What frames are compressed at, if there is a pack.
    level: Option<i32>,
    /// Buffers for frames, handed back once a frame is written: the memory stays mapped.
    frames: Mutex<Vec<Vec<u8>>>,
    progress: &'a dyn Progress,
    cancel: &'a AtomicBool,
}

/// One thread's buffers.
struct Worker<'a> {
    shared: &'a Shared<'a>,
    block: Vec<u8>,
    compressor: Option<zstd::bulk::Compressor<'static>>,
}

/// A finished block on its way to the ordered side.
enum Done {
    /// Read, but nobody wants its digest.
    Written,
    Zero {
        index: u64,
    },
    Data {
        index: u64,
        sha256: [u8; 32],
        frame: Vec<u8>,
    },
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Shared<'a>) -> Result<Worker<'a>, PassError> {
        let compressor = shared.level.map(pack::compressor).transpose()?;
        Ok(Worker {
            shared,
            block: vec![0; BLOCK_LEN],
            compressor,
        })
    }

    fn block(&mut self, index: u64) -> Result<Done, PassError> {
        if self.shared.cancel.load(Ordering::Relaxed) {
            return Err(PassError::Interrupted);
        }
        read_block(self.shared.extents, index, &mut self.block)?;
        self.shared.progress.advance(BLOCK_LEN as u64);
        if is_zero(&self.block) {
            return Ok(Done::Zero { index });
        }
        if let Some(raw) = &self.shared.raw {
            raw.file
                .write_all_at(&self.block, index * BLOCK_LEN as u64)
                .map_err(|source| PassError::Write {
                    path: raw.path.clone(),
                    source,
                })?;
        }
        let Some(compressor) = &mut self.compressor else {
            return Ok(Done::Written);
        };
        let sha256 = Sha256::digest(&self.block).into();
        let mut frame = lock(&self.shared.frames).pop().unwrap_or_default();
        pack::frame(compressor, &self.block, &mut frame)?;
        Ok(Done::Data {
            index,
            sha256,
            frame,
        })
    }
}

/// Fills `buf` with block `index` of the plan.
pub fn read_block(extents: &[Extent], index: u64, buf: &mut [u8]) -> Result<(), ContentError> {
    let start = index * BLOCK_LEN as u64;
    let end = start + buf.len() as u64;
    let first = extents.partition_point(|e| e.offset + e.len <= start);
    for extent in &extents[first..] {
        if extent.offset >= end {
            break;
        }
        let from = extent.offset.max(start);
        let to = (extent.offset + extent.len).min(end);
        let part = &mut buf[(from - start) as usize..(to - start) as usize];
        let skip = from - extent.offset;
        match &extent.source {
            ExtentSource::Bytes { bytes, at } => {
                let at = at + skip as usize;
                part.copy_from_slice(&bytes[at..at + part.len()]);
            }
            ExtentSource::Content { source, at } => source.read_exact_at(at + skip, part)?,
            ExtentSource::Zero | ExtentSource::Free => part.fill(0),
        }
    }
    Ok(())
}

/// What takes finished blocks in disk order.
struct Sink<'a> {
    pack: Option<PackWriter<'a>>,
    blocks: BlockMap,
    frames: &'a Mutex<Vec<Vec<u8>>>,
}

impl Sink<'_> {
    fn take(&mut self, done: Done) -> Result<(), PassError> {
        match done {
            Done::Written => {}
            Done::Zero { index } => self.blocks.zero.push((index, 1)),
            Done::Data {
                index,
                sha256,
                frame,
            } => {
                if let Some(pack) = &mut self.pack {
                    let (offset, len) = pack.append(&frame, &sha256)?;
                    lock(self.frames).push(frame);
                    self.blocks.data.push(DataBlock {
                        index,
                        sha256,
                        offset,
                        len,
                    });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

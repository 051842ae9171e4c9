//! The block pipeline: from packs in the vault to the blocks of a snapshot.
//!
//! `plan → spans → frames → blocks → puts`. Ranges of packs are read ahead, frames are decoded and
//! checked on blocking threads, blocks are put by many calls at a time. What is in memory at any
//! moment is bounded by [`Limits::memory`], whatever the size of the image.

pub(crate) mod call;
mod decode;
mod error;
mod plan;
mod put;
mod read;
mod source;
mod spans;

pub use error::PutError;
pub use plan::{BlockPlan, Frame, MAX_FRAME, PlanError, PlannedPut, plan};

use crate::aws::Session;
use crate::pace::Patience;
use crate::vault::Vault;
use bytes::Bytes;
use decode::Decoders;
use imgtool::pack::Manifest;
use imgtool::pass::BLOCK_LEN;
use put::{Put, Putter};
use read::Packs;
use source::Source;
use spans::{Span, Spans};
use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// Longest span of a pack that is read at once.
const SPAN: u64 = 4 << 20;
/// Most spans that are in memory.
const SPANS: u64 = 4;
/// Most blocks of a span: what compresses well is a few bytes a block, and the list of its blocks
/// has a length, too.
const SPAN_BLOCKS: usize = 1024;
/// Why a block is refused that decodes well.
const NOT_IT: &str = "its content is not what the manifest says";

/// What may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Puts at a time.
    pub workers: usize,
    /// Bytes of frames and blocks in memory. Less than one span and one block (1 MiB) is taken for
    /// that.
    pub memory: u64,
}

impl Default for Limits {
    /// 48 puts at a time reach what AWS takes (some 1,000 puts/s for a snapshot) with up to 48 ms
    /// for each, and an agent stays well below 128 MiB.
    fn default() -> Limits {
        Limits {
            workers: 48,
            memory: 48 << 20,
        }
    }
}

impl Limits {
    /// Bytes of a span, and how many spans: a quarter of the memory.
    fn spans(&self) -> (u64, usize) {
        let all = self.memory / 4;
        let longest = (all / SPANS).clamp(MAX_FRAME.into(), SPAN);
        let most = (all / longest).clamp(1, SPANS);
        (longest, usize::try_from(most).unwrap_or(1))
    }

    /// How many blocks.
    fn blocks(&self) -> usize {
        let most = (self.memory - self.memory / 4) / BLOCK_LEN as u64;
        usize::try_from(most)
            .unwrap_or(usize::MAX)
            .min(self.workers)
            .max(1)
    }
}

/// Puts all of `plan`'s blocks into `snapshot`, which has to be pending. `progress` is told how many
/// blocks are there so far. Putting a block that is there already does no harm, so it can be called
/// again after anything.
///
/// # Errors
/// A pack is missing or is not what the manifest says; the snapshot takes no blocks; AWS refuses, or
/// fails for too long; `cancel`. Some of the blocks are there then.
#[allow(clippy::too_many_arguments)]
pub async fn put_blocks(
    vault: &Vault,
    manifest: &Manifest,
    plan: &BlockPlan,
    snapshot: &str,
    limits: &Limits,
    progress: &(dyn Fn(u64) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<(), PutError> {
    let packs = Packs::new(vault.bucket(), digests(manifest), Patience::default());
    let pipeline = Pipeline::new(&vault.session, packs, snapshot, limits);
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(PutError::Cancelled),
        put = pipeline.run(plan, limits, progress) => put,
    }
}

/// The same, from a pack that is a file, and the only one of its manifest.
///
/// # Errors
/// As [`put_blocks`].
#[allow(clippy::too_many_arguments)]
pub async fn put_blocks_of_file(
    session: &Session,
    pack: &Arc<File>,
    manifest: &Manifest,
    plan: &BlockPlan,
    snapshot: &str,
    limits: &Limits,
    progress: &(dyn Fn(u64) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<(), PutError> {
    let packs = Packs::local(Arc::clone(pack), digests(manifest), Patience::default());
    let pipeline = Pipeline::new(session, packs, snapshot, limits);
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(PutError::Cancelled),
        put = pipeline.run(plan, limits, progress) => put,
    }
}

fn digests(manifest: &Manifest) -> Vec<String> {
    manifest.packs.iter().map(|it| it.digest.clone()).collect()
}

/// What the tasks share.
struct Pipeline {
    packs: Arc<Packs>,
    decoders: Decoders,
    /// One permit for each thread that may decode at the same time.
    decoding: Semaphore,
    putter: Putter,
}

/// A block to put.
struct Job {
    put: PlannedPut,
    /// Where its content is, and the bytes there; without, it is zeros.
    frame: Option<(Frame, Bytes)>,
}

impl Job {
    /// Those of a span that was read.
    fn of((span, bytes): (Span, Bytes)) -> impl Iterator<Item = Job> {
        let Span { offset, blocks, .. } = span;
        blocks.into_iter().map(move |(put, frame)| {
            // A span has all of its blocks' frames.
            let place = |at: u64| usize::try_from(at - offset).unwrap_or(bytes.len());
            let frame = (frame, bytes.slice(place(frame.offset)..place(frame.end())));
            Job {
                put,
                frame: Some(frame),
            }
        })
    }
}

impl Pipeline {
    fn new(session: &Session, packs: Packs, snapshot: &str, limits: &Limits) -> Arc<Pipeline> {
        let patience = Patience::default();
        let threads = tokio::runtime::Handle::current().metrics().num_workers();
        Arc::new(Pipeline {
            packs: Arc::new(packs),
            decoders: Decoders::default(),
            decoding: Semaphore::new(threads.max(1)),
            putter: Putter::new(
                aws_sdk_ebs::Client::clone(&session.ebs),
                snapshot,
                limits.blocks(),
                patience,
            ),
        })
    }

    async fn run(
        self: Arc<Pipeline>,
        plan: &BlockPlan,
        limits: &Limits,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), PutError> {
        let (longest, most) = limits.spans();
        let spans = Spans::new(plan, longest, SPAN_BLOCKS);
        let mut source = Source::new(spans, Arc::clone(&self.packs), most);
        let slots = Arc::new(Semaphore::new(limits.blocks()));
        let mut zeros = plan.puts.iter().filter(|put| put.frame.is_none());
        let mut jobs: VecDeque<Job> = VecDeque::new();
        let mut all_read = false;
        let mut tasks: JoinSet<Result<(), PutError>> = JoinSet::new();
        let mut done = 0;
        loop {
            if jobs.is_empty() && all_read {
                jobs.extend(zeros.next().map(|put| Job {
                    put: *put,
                    frame: None,
                }));
            }
            if jobs.is_empty() && all_read && tasks.is_empty() {
                return Ok(());
            }
            tokio::select! {
                biased;
                Some(ended) = tasks.join_next() => {
                    joined(ended)??;
                    done += 1;
                    progress(done);
                }
                Ok(slot) = slots.clone().acquire_owned(), if !jobs.is_empty() => {
                    if let Some(job) = jobs.pop_front() {
                        tasks.spawn(Arc::clone(&self).work(job, slot));
                    }
                }
                next = source.next(), if jobs.is_empty() && !all_read => match next {
                    None => all_read = true,
                    Some(read) => jobs.extend(Job::of(read?)),
                },
            }
        }
    }

    async fn work(
        self: Arc<Pipeline>,
        job: Job,
        _memory: OwnedSemaphorePermit,
    ) -> Result<(), PutError> {
        let Job { put, frame } = job;
        let Some((frame, bytes)) = frame else {
            let (zeros, _) = decode::zeros();
            return match self.putter.put(put.index, &put.sha256, zeros).await? {
                Put::Done => Ok(()),
                Put::Wrong => Err(self.packs.corrupt(0, put.index, 0, NOT_IT.to_owned())),
            };
        };
        let why = match self.decoded(bytes).await? {
            Ok(block) => match self.putter.put(put.index, &put.sha256, block).await? {
                Put::Done => return Ok(()),
                Put::Wrong => NOT_IT.to_owned(),
            },
            Err(why) => why,
        };
        tracing::warn!(index = put.index, why, "a frame is read again");
        self.again(put, frame).await
    }

    /// Reads a frame that was wrong once more. Chance, or the pack? What is read twice and wrong is
    /// the pack.
    async fn again(&self, put: PlannedPut, frame: Frame) -> Result<(), PutError> {
        let corrupt = |why| self.packs.corrupt(frame.pack, put.index, frame.offset, why);
        let span = Span {
            pack: frame.pack,
            offset: frame.offset,
            len: frame.len.into(),
            blocks: vec![(put, frame)],
        };
        let bytes = self.packs.read(&span).await?.into();
        let block = self.decoded(bytes).await?.map_err(corrupt)?;
        match self.putter.put(put.index, &put.sha256, block).await? {
            Put::Done => Ok(()),
            Put::Wrong => Err(corrupt(NOT_IT.to_owned())),
        }
    }

    /// Decodes on a thread where that keeps nobody waiting. The inner error is about the frame.
    async fn decoded(&self, frame: Bytes) -> Result<Result<Bytes, String>, PutError> {
        // The semaphore is never closed.
        let _thread = self.decoding.acquire().await;
        let decoders = self.decoders.clone();
        joined(tokio::task::spawn_blocking(move || decoders.decode(&frame)).await)
    }
}

/// What a task gave. A panic goes on in whoever waits for it.
fn joined<T>(ended: Result<T, JoinError>) -> Result<T, PutError> {
    ended.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => PutError::Cancelled,
    })
}

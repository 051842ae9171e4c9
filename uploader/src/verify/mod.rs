//! `uploader verify`: an AMI's snapshot, read back block by block and compared with a manifest.

mod error;
mod find;
mod listing;
mod read;
mod report;

pub use error::VerifyError;
pub use find::{Subject, find};
pub use report::{Difference, Problem, Report};

use crate::aws::Session;
use crate::blocks::call::Calls;
use crate::blocks::plan;
use crate::pace::Patience;
use imgtool::pack::Manifest;
use imgtool::pass::BLOCK_LEN;
use listing::{Listed, Listing};
use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// How a snapshot is read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Blocks at a time.
    pub workers: usize,
    /// How many differing blocks the report names.
    pub most: usize,
    /// Where the disk that was read goes, which is empty: all but what is free or zero is written.
    pub copy: Option<Arc<File>>,
}

impl Default for Reading {
    fn default() -> Reading {
        Reading {
            workers: 64,
            most: 20,
            copy: None,
        }
    }
}

/// A block that is being compared.
struct Compared {
    index: u32,
    expected: [u8; 32],
    found: [u8; 32],
}

/// Compares every data and zero block of `manifest` with `snapshot`, which has to be completed.
/// `progress` is told how many of them were looked at so far.
///
/// # Errors
/// The manifest can't be one, the snapshot can't be read, AWS refuses or fails for too long, or
/// `cancel`. A block that differs is no error, but is in the report.
pub async fn verify(
    session: &Session,
    manifest: &Manifest,
    snapshot: &str,
    reading: &Reading,
    progress: &(dyn Fn(u64) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<Report, VerifyError> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(VerifyError::Cancelled),
        report = compare(session, manifest, snapshot, reading, progress) => report,
    }
}

async fn compare(
    session: &Session,
    manifest: &Manifest,
    snapshot: &str,
    reading: &Reading,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<Report, VerifyError> {
    let plan = plan(manifest, None)?;
    if let Some(copy) = &reading.copy {
        copy.set_len(manifest.size).map_err(VerifyError::Write)?;
    }
    let mut wanted = plan.puts.iter().peekable();
    let mut report = Report {
        blocks: plan.puts.len() as u64,
        ..Report::default()
    };
    let calls = Arc::new(Calls::new(reading.workers, Patience::default()));
    let list_calls = Arc::clone(&calls);
    let mut listing = Listing::new(
        aws_sdk_ebs::Client::clone(&session.ebs),
        snapshot,
        &list_calls,
    );
    let mut listed: VecDeque<Listed> = VecDeque::new();
    let mut all_listed = false;
    let mut tasks: JoinSet<Result<Compared, VerifyError>> = JoinSet::new();
    let mut seen = 0;
    while !(all_listed && listed.is_empty() && tasks.is_empty()) {
        while tasks.len() < reading.workers.max(1)
            && let Some(block) = listed.pop_front()
        {
            while let Some(put) = wanted.next_if(|it| it.index < block.index) {
                report.add(put.index, &put.sha256, None, reading.most);
                seen += 1;
            }
            // What is not wanted is free: it may hold anything.
            if let Some(put) = wanted.next_if(|it| it.index == block.index) {
                let (ebs, calls) = (aws_sdk_ebs::Client::clone(&session.ebs), Arc::clone(&calls));
                let (snapshot, expected) = (snapshot.to_owned(), put.sha256);
                // A zero block has no frame, and is a hole in the copy.
                let copy = reading.copy.clone().filter(|_| put.frame.is_some());
                tasks.spawn(async move {
                    let found =
                        read::block(&ebs, &snapshot, &block, &calls, copy.is_some()).await?;
                    if let Some(copy) = copy {
                        write(copy, block.index, found.bytes).await?;
                    }
                    Ok(Compared {
                        index: block.index,
                        expected,
                        found: found.sha256,
                    })
                });
            }
        }
        tokio::select! {
            biased;
            Some(ended) = tasks.join_next() => {
                let Compared { index, expected, found } = joined(ended)?;
                if found != expected {
                    report.add(index, &expected, Some(found), reading.most);
                }
                seen += 1;
                progress(seen);
            }
            page = listing.next(), if listed.is_empty() && !all_listed => match page? {
                Some(page) => listed.extend(page),
                None => all_listed = true,
            },
            else => {}
        }
    }
    for put in wanted {
        report.add(put.index, &put.sha256, None, reading.most);
    }
    progress(report.blocks);
    Ok(report)
}

/// Writes a block to where it is on the disk.
async fn write(copy: Arc<File>, index: u32, bytes: Vec<u8>) -> Result<(), VerifyError> {
    let at = u64::from(index) * BLOCK_LEN as u64;
    let written = tokio::task::spawn_blocking(move || copy.write_all_at(&bytes, at)).await;
    joined(written.map(|it| it.map_err(VerifyError::Write)))
}

/// What a task gave. A panic goes on in whoever waits for it.
fn joined<T>(ended: Result<Result<T, VerifyError>, JoinError>) -> Result<T, VerifyError> {
    ended.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Err(VerifyError::Cancelled),
    })
}

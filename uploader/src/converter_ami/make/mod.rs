//! A snapshot and an AMI, made in one go by whoever sits there; if anything goes wrong, or somebody
//! says stop, what was made is taken away again.
//!
//! [`machine`] decides, by the same [`crate::ami::creation`] as agents; here it is carried out.

mod machine;
mod task;
mod undo;

pub(super) use undo::Made;

use super::ConverterError;
use super::bootstrap::Image;
use super::tags;
use crate::ami::creation::Attempt;
use crate::ami::{Answer, BlocksPut, BootMode, FailedCall, NewImage, NewSnapshot, snapshots};
use crate::aws::Session;
use crate::blocks::{self, BlockPlan, Limits};
use crate::vault::Names;
use machine::{End, Try, Why};
use task::{Retry, Task};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use undo::Undo;

/// What is to be made.
pub(super) struct Order<'a> {
    pub(super) session: &'a Session,
    pub(super) names: &'a Names,
    pub(super) image: &'a Image,
    /// ARN of the key.
    pub(super) kms_key: &'a str,
    /// The snapshot that it is based on.
    pub(super) parent: Option<String>,
    pub(super) plan: &'a BlockPlan,
    pub(super) gib: u32,
    pub(super) boot: BootMode,
    pub(super) limits: &'a Limits,
    /// Of nobody else.
    pub(super) random: [u8; 16],
    /// When this began.
    pub(super) now: OffsetDateTime,
}

impl Order<'_> {
    /// Makes AMI and snapshot, and gives their ids; `None` if the parent can't be one. `progress` is
    /// told how many blocks are put.
    pub(super) async fn run(
        &self,
        progress: &(dyn Fn(u64) + Send + Sync),
        cancel: &CancellationToken,
    ) -> Result<Option<(String, String)>, ConverterError> {
        let began = Instant::now();
        let (mut this, mut task) = Try::start(self.attempt());
        while task != Task::Done {
            let answer = match &task {
                Task::PutBlocks(id) => match self.put_blocks(id, progress, cancel).await {
                    Ok(()) => Ok(Answer::BlocksPut(BlocksPut::All)),
                    // `stop` knows what to do.
                    Err(_) if cancel.is_cancelled() => Ok(Answer::Waited),
                    Err(error) => {
                        task = this.not_put(error);
                        continue;
                    }
                },
                Task::Complete(id) => self.complete(id).await,
                Task::Wait(pause) => {
                    let is_stopping = cancel.is_cancelled();
                    tokio::select! {
                        () = sleep(*pause) => {}
                        () = cancel.cancelled(), if !is_stopping => {}
                    }
                    Ok(Answer::Waited)
                }
                Task::Call(call) => call.make(self.session).await,
                Task::Done => break,
            };
            let now = self.now + began.elapsed();
            task = if cancel.is_cancelled() {
                this.stop(answer, now)
            } else {
                this.answered(answer, now)
            };
        }
        match this.end() {
            End::Made { ami, snapshot } => Ok(Some((ami, snapshot))),
            End::Undone {
                why: Why::Parent,
                left,
            } if left.is_empty() => Ok(None),
            End::Undone { why, left } => Err(with_left(why.into(), left)),
        }
    }

    async fn put_blocks(
        &self,
        snapshot: &str,
        progress: &(dyn Fn(u64) + Send + Sync),
        cancel: &CancellationToken,
    ) -> Result<(), ConverterError> {
        blocks::put_blocks_of_file(
            self.session,
            &self.image.pack,
            &self.image.manifest,
            self.plan,
            snapshot,
            self.limits,
            progress,
            cancel,
        )
        .await?;
        Ok(())
    }

    async fn complete(&self, snapshot: &str) -> Result<Answer, FailedCall> {
        let (count, linear) = (self.plan.puts.len(), &self.plan.linear_checksum);
        let completed = snapshots::complete(self.session, snapshot, count, linear).await?;
        Ok(Answer::Completed(completed))
    }

    fn attempt(&self) -> Attempt {
        let Image {
            digest,
            program_version,
            ..
        } = self.image;
        let [a, b, c, d, ..] = self.random;
        let description = format!(
            "uploader {program_version}, converter of {}",
            self.names.vault
        );
        Attempt {
            snapshot: NewSnapshot {
                token: format!("converter-{}", hex::encode(self.random)),
                parent: self.parent.clone(),
                kms_key: self.kms_key.to_owned(),
                gib: self.gib,
                description: tags::snapshot_description(self.names, digest),
                tags: self.tags(),
            },
            started: self.now,
            image: NewImage {
                name: tags::ami_name(self.names, digest, [a, b, c, d]),
                description,
                snapshot: String::new(),
                gib: self.gib,
                boot: self.boot,
                tags: self.tags(),
            },
        }
    }

    fn tags(&self) -> Vec<(String, String)> {
        let of = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        vec![
            of(tags::CONVERTER, &self.names.vault),
            of(tags::DIGEST, &self.image.digest.to_string()),
            of(tags::VERSION, &self.image.program_version),
            of("Name", &format!("{} converter", self.names.vault)),
        ]
    }
}

/// Takes away what was made. Gives what could not be.
pub(super) async fn undo(session: &Session, made: &Made) -> Vec<String> {
    let mut undo = Undo::new(made.clone(), None);
    let mut retry = Retry::new();
    let mut task = retry.begin(undo.next());
    loop {
        let answer = match &task {
            Task::Call(call) => call.make(session).await,
            Task::Wait(pause) => {
                sleep(*pause).await;
                Ok(Answer::Waited)
            }
            Task::PutBlocks(_) | Task::Complete(_) | Task::Done => return undo.left(),
        };
        task = match (retry.again(&answer), answer) {
            (Some(task), _) => task,
            (None, Ok(answer)) => retry.begin(undo.answered(answer, None)),
            (None, Err(failed)) => {
                let next = undo.failed(retry.task(), &failed);
                retry.begin(next)
            }
        };
    }
}

/// An error, with what could not be taken away after it.
pub(super) fn with_left(error: ConverterError, left: Vec<String>) -> ConverterError {
    if left.is_empty() {
        return error;
    }
    ConverterError::Left {
        why: Box::new(error),
        left,
    }
}

impl From<Why> for ConverterError {
    fn from(why: Why) -> ConverterError {
        match why {
            Why::Parent => ConverterError::Step("the snapshot's parent is of no use".to_owned()),
            Why::Interrupted => ConverterError::Interrupted,
            Why::Error(error) => error,
        }
    }
}

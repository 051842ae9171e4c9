//! A snapshot and an AMI, made in one go by whoever sits there; if anything goes wrong, or somebody
//! says stop, what was made is taken away again.

use super::ConverterError;
use super::bootstrap::Image;
use super::tags;
use crate::ami::images::Registered;
use crate::ami::snapshots::{Completed, Deleted, Started};
use crate::ami::{BootMode, FailedCall, NewImage, NewSnapshot, SnapshotState, images, snapshots};
use crate::aws::{AwsError, Session};
use crate::blocks::{self, BlockPlan, Limits};
use crate::polling::Polling;
use crate::vault::Names;
use aws_sdk_ec2::types::ImageState;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Pauses after a call that failed for the moment: two minutes in all.
const PAUSES: [u64; 7] = [1, 2, 4, 8, 15, 30, 60];
/// How long a state that will change is looked at: EBS takes minutes to complete a snapshot, at most.
const MAX_WAIT: Duration = Duration::from_secs(1800);
/// The same, after EBS refused to complete a snapshot.
const WAIT_IF_REFUSED: Duration = Duration::from_secs(120);
/// How often an AMI that may have been registered is looked for, and with what pauses.
const LOOKS_FOR_IMAGE: u32 = 5;
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is to be made.
pub(super) struct Order<'a> {
    pub(super) session: &'a Session,
    pub(super) names: &'a Names,
    pub(super) image: &'a Image,
    /// ARN of the key.
    pub(super) kms_key: &'a str,
    pub(super) parent: Option<String>,
    pub(super) plan: &'a BlockPlan,
    pub(super) gib: u32,
    pub(super) boot: BootMode,
    pub(super) limits: &'a Limits,
    /// Of nobody else.
    pub(super) random: [u8; 16],
}

/// What was made so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) snapshot: Option<String>,
    pub(super) ami: Option<String>,
}

/// Why a step did not work.
enum Stopped {
    /// The parent can't be one.
    Parent,
    Error(ConverterError),
}

impl<E: Into<ConverterError>> From<E> for Stopped {
    fn from(error: E) -> Stopped {
        Stopped::Error(error.into())
    }
}

fn step(what: &str, why: &str) -> Stopped {
    Stopped::Error(ConverterError::Step(format!("{what}: {why}")))
}

/// A step whose call failed.
fn failed(what: &str, call: FailedCall) -> Stopped {
    let why = format!("{what}: {}", call.text);
    Stopped::Error(match call.sign_in {
        Some(sign_in) => ConverterError::SignedOut { why, sign_in },
        None => ConverterError::Step(why),
    })
}

impl Order<'_> {
    /// Makes snapshot and AMI; `None` if the parent can't be one. `progress` is told how many blocks
    /// are put.
    pub(super) async fn run(
        &self,
        progress: &(dyn Fn(u64) + Send + Sync),
        cancel: &CancellationToken,
    ) -> Result<Option<(String, String)>, ConverterError> {
        let mut made = Made::default();
        // It stops between two calls: what one has made is known then.
        let done = match self.steps(&mut made, progress, cancel).await {
            Err(_) if cancel.is_cancelled() => Err(ConverterError::Interrupted.into()),
            done => done,
        };
        match done {
            Ok(ids) => Ok(Some(ids)),
            Err(Stopped::Parent) => match undo(self.session, &made).await {
                left if left.is_empty() => Ok(None),
                left => Err(ConverterError::Left {
                    why: Box::new(ConverterError::Step(
                        "the snapshot's parent is of no use".to_owned(),
                    )),
                    left,
                }),
            },
            Err(Stopped::Error(error)) => match undo(self.session, &made).await {
                left if left.is_empty() => Err(error),
                left => Err(ConverterError::Left {
                    why: Box::new(error),
                    left,
                }),
            },
        }
    }

    async fn steps(
        &self,
        made: &mut Made,
        progress: &(dyn Fn(u64) + Send + Sync),
        cancel: &CancellationToken,
    ) -> Result<(String, String), Stopped> {
        let session = self.session;
        let new = self.new_snapshot();
        let snapshot = match patiently(cancel, || snapshots::start(session, &new)).await {
            Ok(Started::Snapshot(id)) => id,
            Ok(Started::ParentRefused) if new.parent.is_some() => return Err(Stopped::Parent),
            Ok(Started::ParentRefused) => {
                return Err(step("no snapshot can be started", "its token is taken"));
            }
            Err(call) => return Err(failed("no snapshot can be started", call)),
        };
        made.snapshot = Some(snapshot.clone());
        blocks::put_blocks_of_file(
            session,
            &self.image.pack,
            &self.image.manifest,
            self.plan,
            &snapshot,
            self.limits,
            progress,
            cancel,
        )
        .await?;
        let (count, linear) = (self.plan.puts.len(), &self.plan.linear_checksum);
        let completed = patiently(cancel, || {
            snapshots::complete(session, &snapshot, count, linear)
        });
        match completed.await {
            Ok(Completed::Accepted) => {
                let late = "EBS does not complete it";
                self.until_completed(&snapshot, MAX_WAIT, late, cancel)
                    .await?;
            }
            // It may be completed: by a try before this one, whose answer was lost.
            Ok(Completed::NotPending) => {
                let refused = "EBS refuses to complete it";
                self.until_completed(&snapshot, WAIT_IF_REFUSED, refused, cancel)
                    .await?;
            }
            Err(call) => {
                return Err(failed(&format!("{snapshot} can't be completed"), call));
            }
        }
        let new = self.new_image(&snapshot);
        let ami = match patiently(cancel, || images::register(session, &new)).await {
            Ok(Registered::Image(id)) => id,
            answer => self.registered_before(&new, answer).await?,
        };
        made.ami = Some(ami.clone());
        self.until_available(&ami, cancel).await?;
        Ok((ami, snapshot))
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

    fn new_snapshot(&self) -> NewSnapshot {
        NewSnapshot {
            token: format!("converter-{}", hex::encode(self.random)),
            parent: self.parent.clone(),
            kms_key: self.kms_key.to_owned(),
            gib: self.gib,
            description: tags::snapshot_description(self.names, &self.image.digest),
            tags: self.tags(),
        }
    }

    fn new_image(&self, snapshot: &str) -> NewImage {
        let Image {
            digest,
            program_version,
            ..
        } = self.image;
        let [a, b, c, d, ..] = self.random;
        NewImage {
            name: tags::ami_name(self.names, digest, [a, b, c, d]),
            description: format!(
                "uploader {program_version}, converter of {}",
                self.names.vault
            ),
            snapshot: snapshot.to_owned(),
            gib: self.gib,
            boot: self.boot,
            tags: self.tags(),
        }
    }

    /// The AMI that a try before this one registered, and whose answer was lost. Nobody else has its
    /// name: it is a random one.
    async fn registered_before(
        &self,
        new: &NewImage,
        answer: Result<Registered, FailedCall>,
    ) -> Result<String, Stopped> {
        const WHAT: &str = "no AMI can be registered";
        let why = match answer {
            Ok(Registered::Image(id)) => return Ok(id),
            Ok(Registered::NameTaken) => step(WHAT, "its name is taken"),
            Ok(Registered::SnapshotNotReady) => {
                let why = "AWS says that its snapshot is in another state";
                return Err(step(WHAT, why));
            }
            Err(call) if call.is_transient => failed(WHAT, call),
            Err(call) => return Err(failed(WHAT, call)),
        };
        // Nor does Ctrl-C end this: what is found has to be taken away.
        let never = CancellationToken::new();
        for _ in 0..LOOKS_FOR_IMAGE {
            let found = patiently(&never, || images::find(self.session, &new.name)).await;
            if let Ok(Some(found)) = found {
                return if found.snapshot == new.snapshot {
                    Ok(found.id)
                } else {
                    Err(why)
                };
            }
            // EC2 may not list a new one at once.
            sleep(LOOK_EVERY).await;
        }
        Err(why)
    }

    /// Looks for so long whether a snapshot is complete; `late` is what is said if it is not.
    async fn until_completed(
        &self,
        id: &str,
        most: Duration,
        late: &str,
        cancel: &CancellationToken,
    ) -> Result<(), Stopped> {
        let mut waited = Duration::ZERO;
        while waited < most {
            match patiently(cancel, || snapshots::state(self.session, id)).await {
                Ok(SnapshotState::Completed) => return Ok(()),
                // EC2 may not know a new one for a minute or so.
                Ok(SnapshotState::Pending | SnapshotState::NotFound) => {}
                Ok(SnapshotState::Error) => {
                    return Err(step(id, "EBS says that the snapshot is of no use"));
                }
                Err(call) => return Err(failed(id, call)),
            }
            waited += next_look(waited, cancel).await?;
        }
        Err(step(id, late))
    }

    async fn until_available(&self, ami: &str, cancel: &CancellationToken) -> Result<(), Stopped> {
        let mut waited = Duration::ZERO;
        while waited < MAX_WAIT {
            let image = crate::aws::ec2::own_image(self.session, ami).await?;
            match image.as_ref().and_then(|it| it.state()) {
                Some(ImageState::Available) => return Ok(()),
                Some(ImageState::Failed | ImageState::Error | ImageState::Invalid) => {
                    return Err(step(ami, "EC2 says that the AMI is of no use"));
                }
                _ => {}
            }
            waited += next_look(waited, cancel).await?;
        }
        Err(step(ami, "EC2 does not make the AMI available"))
    }
}

/// Waits until it is time for the next look; says how long that was.
async fn next_look(
    waited: Duration,
    cancel: &CancellationToken,
) -> Result<Duration, ConverterError> {
    let time = Polling::STATE.pause(waited);
    pause(time, cancel).await?;
    Ok(time)
}

/// Waits, unless somebody says stop.
async fn pause(time: Duration, cancel: &CancellationToken) -> Result<(), ConverterError> {
    tokio::select! {
        () = sleep(time) => Ok(()),
        () = cancel.cancelled() => Err(ConverterError::Interrupted),
    }
}

/// Calls again while that may help. Credentials don't get better by it.
async fn patiently<T, F: Future<Output = Result<T, AwsError>>>(
    cancel: &CancellationToken,
    call: impl Fn() -> F,
) -> Result<T, FailedCall> {
    for seconds in PAUSES {
        match call().await.map_err(FailedCall::from) {
            Err(failed) if failed.is_transient && failed.sign_in.is_none() => {
                tracing::debug!(failed.text, "again");
                if pause(Duration::from_secs(seconds), cancel).await.is_err() {
                    return Err(failed);
                }
            }
            answer => return answer,
        }
    }
    call().await.map_err(FailedCall::from)
}

/// Takes away what was made. Gives what could not be.
pub(super) async fn undo(session: &Session, made: &Made) -> Vec<String> {
    let (mut left, never) = (Vec::new(), CancellationToken::new());
    if let Some(ami) = &made.ami
        && let Err(error) = images::deregister(session, ami).await
    {
        left.push(format!("{ami} ({error})"));
    }
    if let Some(snapshot) = &made.snapshot {
        match patiently(&never, || snapshots::delete(session, snapshot)).await {
            Ok(Deleted::Gone | Deleted::Missing) => {}
            Ok(Deleted::InUse) => left.push(format!("{snapshot} (an image needs it)")),
            Err(failed) => left.push(format!("{snapshot} ({failed})")),
        }
    }
    left
}

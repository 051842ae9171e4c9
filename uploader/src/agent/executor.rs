//! Carries out what the machine asks for, for one message.

use super::content::{ImageContent, Target};
use super::journal::{JournalError, Written};
use super::machine::Machine;
use super::machine::action::{Action, Event, Outcome};
use super::queue::{Message, Queues};
use super::{Clock, journal, tagged};
use crate::ami::{Answer, FailedCall};
use crate::blocks::Limits;
use crate::vault::Vault;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What an agent has for all messages.
#[derive(Clone)]
pub struct Agent {
    /// The vault whose requests it takes.
    pub vault: Vault,
    /// What it goes by.
    pub machine: Machine,
    /// What it is known by: an instance's id, or what its host chose.
    pub id: String,
    /// What may be used for the blocks of one message.
    pub limits: Limits,
    /// The time.
    pub clock: Clock,
    /// Seconds that a message is hidden from others; it is renewed while there is work on it.
    pub visibility: u32,
}

/// How work on a message ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As the machine says.
    Outcome(Outcome),
    /// Somebody said stop: the message comes again at once.
    Stopped,
}

impl Agent {
    /// Works on a message until it is done or laid aside. `told` hears each action.
    pub async fn work(
        &self,
        queues: &Queues,
        message: &Message,
        told: &(dyn Fn(&Action) + Send + Sync),
        cancel: &CancellationToken,
    ) -> Ended {
        tokio::select! {
            biased;
            ended = self.steps(queues, message, told, cancel) => ended,
            () = self.heartbeat(queues, message) => Ended::Stopped,
        }
    }

    async fn steps(
        &self,
        queues: &Queues,
        message: &Message,
        told: &(dyn Fn(&Action) + Send + Sync),
        cancel: &CancellationToken,
    ) -> Ended {
        let mut content = ImageContent::default();
        let (mut state, mut action) = self.machine.start(&message.delivery);
        loop {
            told(&action);
            if let Action::Done(outcome) = action {
                return Ended::Outcome(outcome);
            }
            let event = tokio::select! {
                biased;
                event = self.carry_out(&mut content, queues, message, &action, cancel) => {
                    event.unwrap_or_else(|failed| Event::Failed(self.signed(failed)))
                }
                // Waits have no end of their own that is worth waiting for.
                () = cancel.cancelled(), if matches!(action, Action::Wait(_)) => Event::Ami(Answer::Waited),
            };
            if cancel.is_cancelled() && !is_last(&action) {
                // All that counts is recorded, or is made again without doing it twice.
                queues.release(&self.vault.session, message, 0).await;
                return Ended::Stopped;
            }
            tracing::debug!(?event, "answer");
            (state, action) = self.machine.step(state, event, (self.clock)());
        }
    }

    /// A refusal with the name of who was refused: whoever reads it in the record is somebody else.
    fn signed(&self, failed: FailedCall) -> FailedCall {
        if !failed.is_denied {
            return failed;
        }
        FailedCall {
            text: format!(
                "{}; the caller was {}",
                failed.text, self.vault.session.caller_arn
            ),
            ..failed
        }
    }

    /// Keeps the message from others, as long as somebody works on it. Does not end.
    async fn heartbeat(&self, queues: &Queues, message: &Message) {
        let visibility = self.visibility;
        loop {
            tokio::time::sleep(Duration::from_secs(u64::from(visibility / 3).max(1))).await;
            let seconds = i32::try_from(visibility).unwrap_or(i32::MAX);
            if let Err(error) = queues.hide(&self.vault.session, message, seconds).await {
                tracing::warn!(%error, "another agent may get the message, too");
            }
        }
    }

    /// Carries an action out, and says what came of it in the machine's words.
    async fn carry_out(
        &self,
        content: &mut ImageContent,
        queues: &Queues,
        message: &Message,
        action: &Action,
        cancel: &CancellationToken,
    ) -> Result<Event, FailedCall> {
        let vault = &self.vault;
        let session = &vault.session;
        let vault_key = &self.machine.vault_key;
        Ok(match action {
            Action::Verify { sha256, signature } => {
                Event::Verified(crate::request::verify(vault, sha256, signature).await?)
            }
            Action::ReadRecord(id) => Event::Record(journal::read(vault, id).await?.map(Box::new)),
            Action::WriteRecord { record, replaces } => {
                let replaces = replaces.clone();
                match journal::write(vault, vault_key, record, replaces).await? {
                    Written::Done(etag) => Event::RecordWritten(etag),
                    Written::Lost => Event::RecordChanged,
                }
            }
            Action::FetchManifest(image) => Event::Manifest(content.fetch(vault, image).await?),
            Action::FindParent {
                image,
                kms_key,
                gib,
            } => Event::Parent(tagged::find_parent(vault, image, kms_key, *gib).await?),
            Action::Ami(call) => Event::Ami(call.make(session).await?),
            Action::PutBlocks {
                id,
                image,
                parent,
                snapshot,
            } => {
                let target = Target {
                    vault,
                    vault_key,
                    id,
                    snapshot,
                    limits: &self.limits,
                    clock: &self.clock,
                    cancel,
                };
                let put = content.put(&target, image, parent.as_ref()).await?;
                Event::Ami(Answer::BlocksPut(put))
            }
            Action::CompleteSnapshot(id) => {
                Event::Ami(Answer::Completed(content.complete(session, id).await?))
            }
            Action::ListSnapshots(id) => Event::Snapshots(tagged::list(vault, id).await?),
            Action::DeadLetter { id, reason } => {
                queues.dead_letter(session, message, *id, reason).await?;
                Event::DeadLetterSent
            }
            Action::DeleteMessage => {
                queues.delete(session, message).await?;
                Event::MessageDeleted
            }
            Action::Release(delay) => {
                let seconds = i32::try_from(*delay).unwrap_or(i32::MAX);
                queues.release(session, message, seconds).await;
                Event::MessageReleased
            }
            Action::Wait(pause) => {
                tokio::time::sleep(*pause).await;
                Event::Ami(Answer::Waited)
            }
            Action::Done(_) => Event::Ami(Answer::Waited),
        })
    }
}

impl From<JournalError> for FailedCall {
    fn from(error: JournalError) -> FailedCall {
        match error {
            JournalError::Aws(error) => error.into(),
            JournalError::Broken { .. } => FailedCall::permanent(error.to_string()),
        }
    }
}

/// Whether there is nothing to stop any more after this.
fn is_last(action: &Action) -> bool {
    matches!(
        action,
        Action::DeleteMessage | Action::Release(_) | Action::Done(_)
    )
}

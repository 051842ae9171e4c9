//! Carries out what the machine asks for, for one message.

use super::convert::{Converter, Target};
use super::journal::JournalError;
use super::machine::action::{Action, Event, Fault, Outcome};
use super::queue::{Message, Queues};
use super::{Clock, journal, snapshots};
use crate::agent::machine::Machine;
use crate::ami::{failed_call as fault, images};
use crate::aws::Session;
use crate::blocks::Limits;
use crate::vault::{Names, Vault};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What an agent has for all messages.
#[derive(Clone)]
pub struct Agent {
    /// Clients.
    pub session: Session,
    /// The vault.
    pub names: Names,
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
        let mut converter = Converter::default();
        let (mut state, mut action) = self.machine.start(&message.delivery);
        loop {
            told(&action);
            if let Action::Done(outcome) = action {
                return Ended::Outcome(outcome);
            }
            let event = tokio::select! {
                biased;
                event = self.carry_out(&mut converter, queues, message, &action, cancel) => event,
                // Waits have no end of their own that is worth waiting for.
                () = cancel.cancelled(), if matches!(action, Action::Wait(_)) => Event::Woken,
            };
            if cancel.is_cancelled() && !is_last(&action) {
                // All that counts is recorded, or is made again without doing it twice.
                queues.release(&self.session, message, 0).await;
                return Ended::Stopped;
            }
            tracing::debug!(?event, "answer");
            let event = self.signed(event);
            (state, action) = self.machine.step(state, event, (self.clock)());
        }
    }

    /// A refusal with the name of who was refused: whoever reads it in the record is somebody else.
    fn signed(&self, event: Event) -> Event {
        match event {
            Event::Fault(fault) if fault.is_denied => Event::Fault(Fault {
                text: format!("{}; the caller was {}", fault.text, self.session.caller_arn),
                ..fault
            }),
            event => event,
        }
    }

    /// Keeps the message from others, as long as somebody works on it. Does not end.
    async fn heartbeat(&self, queues: &Queues, message: &Message) {
        let visibility = self.visibility;
        loop {
            tokio::time::sleep(Duration::from_secs(u64::from(visibility / 3).max(1))).await;
            let seconds = i32::try_from(visibility).unwrap_or(i32::MAX);
            if let Err(error) = queues.hide(&self.session, message, seconds).await {
                tracing::warn!(%error, "another agent may get the message, too");
            }
        }
    }

    async fn carry_out(
        &self,
        converter: &mut Converter,
        queues: &Queues,
        message: &Message,
        action: &Action,
        cancel: &CancellationToken,
    ) -> Event {
        let Agent { session, names, .. } = self;
        let vault_key = &self.machine.vault_key;
        match action {
            Action::Verify { sha256, signature } => {
                match crate::request::verify(&Vault::of(session, names), sha256, signature).await {
                    Ok(is_right) => Event::Verified(is_right),
                    Err(error) => fault::of(&error),
                }
            }
            Action::ReadRecord(id) => match journal::read(session, names, id).await {
                Ok(stored) => Event::Record(stored.map(Box::new)),
                Err(JournalError::Aws(error)) => fault::of(&error),
                Err(error) => fault::permanent(error.to_string()),
            },
            Action::WriteRecord { record, replaces } => {
                let replaces = replaces.clone();
                journal::write(session, names, vault_key, record, replaces).await
            }
            Action::FetchManifest(image) => converter.fetch(session, names, image).await,
            Action::FindParent {
                image,
                kms_key,
                gib,
            } => snapshots::find_parent(session, names, image, kms_key, *gib).await,
            Action::StartSnapshot(new) => snapshots::start(session, new).await,
            Action::LookAtSnapshot(id) => snapshots::look(session, id).await,
            Action::PutBlocks {
                id,
                image,
                parent,
                snapshot,
            } => {
                let target = Target {
                    session,
                    names,
                    vault_key,
                    id,
                    snapshot,
                    limits: &self.limits,
                    clock: &self.clock,
                    cancel,
                };
                converter.put(&target, image, parent.as_ref()).await
            }
            Action::CompleteSnapshot(id) => converter.complete(session, id).await,
            Action::RegisterImage(new) => images::register(session, new).await,
            Action::FindImage(name) => images::find(session, name).await,
            Action::ListSnapshots(id) => snapshots::list(session, names, id).await,
            Action::DeleteSnapshot(id) => snapshots::delete(session, id).await,
            Action::DeadLetter { id, reason } => {
                queues.dead_letter(session, message, *id, reason).await
            }
            Action::DeleteMessage => queues.delete(session, message).await,
            Action::Release(delay) => {
                let seconds = i32::try_from(*delay).unwrap_or(i32::MAX);
                queues.release(session, message, seconds).await;
                Event::Released
            }
            Action::Wait(pause) => {
                tokio::time::sleep(*pause).await;
                Event::Woken
            }
            Action::Done(_) => Event::Woken,
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

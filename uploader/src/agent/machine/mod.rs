//! What to do about a request, as a pure function: `(state, event) → (state, action)`.
//!
//! There is no lease: two agents may work on one request, and either may die at any point. That is
//! safe because of four rules, which docs/agent.md explains and the model (`model/`) tests:
//!
//! 1. Whatever is made has a name that follows from the request: a snapshot its client token, an
//!    image its name. Doing it twice is doing it once.
//! 2. What such a name depends on is in the record before it is used, and the record is only
//!    written on condition that nobody wrote it meanwhile.
//! 3. Whoever is surprised reads the record again, and goes on from what it says.
//! 4. EC2 decides between an image and the deletion of its snapshot. Whoever finds the snapshot in
//!    use takes the image over.

mod accept;
pub mod action;
mod end;
mod make;
#[cfg(test)]
mod model;

use crate::agent::record::{Record, Stored};
use crate::ami::creation::Creation;
use crate::ami::{Answer, Deleted, FailedCall};
use crate::polling::Polling;
use crate::request::{Opened, Whereabouts};
use action::{Action, Event, Facts, Outcome};
use std::time::Duration;
use time::OffsetDateTime;

/// What an agent goes by.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The only account, region and vault that it works for.
    pub own: Whereabouts,
    /// ARN of the vault's key.
    pub vault_key: String,
    /// How many times a message may come before the request is given up.
    pub max_receives: u32,
    /// How many snapshots are begun for one request.
    pub max_attempts: u32,
    /// Seconds that a message is laid aside the first time; each time, twice as long.
    pub pause: u32,
}

/// A message, as the queue gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What it says.
    pub body: String,
    /// How many times it came, this time included.
    pub receives: u32,
}

/// All that an agent knows of the message in its hands.
#[derive(Clone, Debug)]
pub struct State {
    receives: u32,
    /// [`Machine::pause`].
    first_pause: u32,
    /// The request; `None` if the message is none.
    opened: Option<Opened>,
    stored: Option<Stored>,
    facts: Option<Facts>,
    /// Snapshots that this agent started, with their attempt: the record may have moved on.
    started: Vec<(u32, String)>,
    /// This attempt's snapshot and image, once the record says how the snapshot is started.
    creation: Option<Creation>,
    /// How long it was waited for what was to be deleted, or for who uses it.
    waited: Duration,
    /// How many times somebody else wrote the record first.
    changes: u32,
    /// Snapshots still to be deleted.
    doomed: Vec<String>,
    /// What could not be.
    left: Vec<String>,
    step: Step,
}

/// What is being waited for.
#[derive(Clone, Debug)]
enum Step {
    Verify,
    ReadRecord,
    /// This record, if it can be written.
    Write(Box<Record>),
    Manifest,
    Parent,
    /// A step of the [`Creation`].
    Create,
    /// The deletion of a lost attempt's snapshot; then another attempt.
    Discard {
        incremental: bool,
    },
    /// Snapshots to delete, before the message goes.
    List,
    Delete(String),
    /// A pause: it may only not be seen yet.
    WaitDelete(String),
    /// Who needs a snapshot that was to be deleted.
    FindUser(String),
    WaitUser(String),
    DeadLetter {
        reason: String,
    },
    DeleteMessage(Outcome),
    /// Trouble is being written down.
    Note(FailedCall),
    Release(Outcome),
    Done(Outcome),
}

/// What a step leads to.
type Next = (State, Action);

impl Machine {
    /// Takes up a message.
    pub fn start(&self, delivery: &Delivery) -> Next {
        let (opened, wrong) = match crate::request::Envelope::open(&delivery.body) {
            Ok(opened) => (Some(opened), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let state = State {
            receives: delivery.receives,
            first_pause: self.pause,
            opened,
            stored: None,
            facts: None,
            started: Vec::new(),
            creation: None,
            waited: Duration::ZERO,
            changes: 0,
            doomed: Vec::new(),
            left: Vec::new(),
            step: Step::Verify,
        };
        match (&state.opened, wrong) {
            (Some(opened), _) => {
                let action = Action::Verify {
                    sha256: opened.sha256,
                    signature: opened.signature.clone(),
                };
                state.to(Step::Verify, action)
            }
            (None, wrong) => state.reject(None, &wrong.unwrap_or_default()),
        }
    }

    /// Goes on: `event` is what came of the action before, at `now`.
    pub fn step(&self, mut state: State, event: Event, now: OffsetDateTime) -> Next {
        let step = std::mem::replace(&mut state.step, Step::ReadRecord);
        match (step, event) {
            (step, Event::Failed(failed)) => self.failed(state, step, failed, now),
            (Step::Verify, Event::Verified(is_right)) => self.verified(state, is_right),
            (Step::ReadRecord, Event::Record(stored)) => self.read(state, stored, now),
            (Step::Write(record), Event::RecordWritten(etag)) => {
                state.stored = Some(Stored {
                    record: *record,
                    etag,
                });
                self.resume(state, now)
            }
            (Step::Write(_), Event::RecordChanged) => {
                state.changes += 1;
                state.read_again()
            }
            (Step::Manifest, Event::Manifest(facts)) => {
                state.facts = Some(facts);
                self.resume(state, now)
            }
            (Step::Parent, Event::Parent(parent)) => self.parent_found(state, parent, now),
            (Step::Create, Event::Ami(answer)) => self.created(state, answer, now),
            (Step::Discard { incremental }, Event::Ami(Answer::Deleted(deleted))) => {
                match deleted {
                    Deleted::Gone => self.next_attempt(state, incremental, true, now),
                    Deleted::Missing => self.next_attempt(state, incremental, false, now),
                    Deleted::InUse => self.find_image(state, now),
                }
            }
            (Step::List, Event::Snapshots(ids)) => self.listed(state, ids, now),
            (Step::Delete(id), Event::Ami(Answer::Deleted(deleted))) => match deleted {
                Deleted::Gone => self.delete_next(state, now),
                Deleted::Missing => self.missing(state, id, now),
                Deleted::InUse => state.find_user(id),
            },
            (Step::WaitDelete(id), Event::Ami(Answer::Waited)) => state.delete(id),
            (Step::WaitUser(id), Event::Ami(Answer::Waited)) => state.find_user(id),
            (Step::FindUser(id), Event::Ami(Answer::Image(found))) => {
                self.user_found(state, id, found, now)
            }
            (Step::DeadLetter { reason }, Event::DeadLetterSent) => {
                self.dead_letter_sent(state, reason, now)
            }
            (Step::DeleteMessage(outcome), Event::MessageDeleted)
            | (Step::Release(outcome), Event::MessageReleased) => state.done(outcome),
            (Step::Note(failed), _) => state.release(&failed.text),
            (Step::Done(outcome), _) => state.done(outcome),
            // An answer to something else: an executor that is not ours. What is recorded counts.
            (_, _) => state.read_again(),
        }
    }
}

impl State {
    fn to(mut self, step: Step, action: Action) -> Next {
        self.step = step;
        (self, action)
    }

    /// A pause, longer the longer this has waited, and then what `step` says.
    fn wait(mut self, step: Step) -> Next {
        let pause = Polling::STATE.pause(self.waited);
        self.waited += pause;
        self.to(step, Action::Wait(pause))
    }

    /// The request's id, once there is a request.
    fn id(&self) -> Option<uuid::Uuid> {
        self.opened.as_ref().map(|it| it.request.id)
    }

    /// Reads the record: what it says is where to go on. Who is surprised again and again lays the
    /// message aside.
    fn read_again(self) -> Next {
        const MOST: u32 = 64;
        match self.id() {
            Some(id) if self.changes < MOST => self.to(Step::ReadRecord, Action::ReadRecord(id)),
            _ => self.release("the record is being written by others all the time"),
        }
    }

    /// Writes a record in the place of the one that was read.
    fn write(self, record: Record, now: OffsetDateTime) -> Next {
        let record = Box::new(Record {
            updated: now,
            ..record
        });
        let action = Action::WriteRecord {
            record: record.clone(),
            replaces: self.stored.as_ref().map(|it| it.etag.clone()),
        };
        self.to(Step::Write(record), action)
    }

    fn done(self, outcome: Outcome) -> Next {
        self.to(Step::Done(outcome.clone()), Action::Done(outcome))
    }
}

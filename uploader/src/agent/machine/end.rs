//! How a message leaves an agent's hands: done, refused, or laid aside.

use super::action::{Action, Outcome};
use super::{Machine, Next, State, Step};
use crate::agent::record::Phase;
use crate::ami::creation::GRACE;
use crate::ami::{Call, FailedCall, FoundImage, ImageState};
use std::time::Duration;
use time::OffsetDateTime;

/// Longest that a message is laid aside, in seconds.
const MAX_DELAY: u32 = 900;
/// How long a snapshot's user that must be there is looked for.
const USER_SEEN: Duration = Duration::from_secs(15);

impl Machine {
    /// A call that failed, by where.
    pub(super) fn failed(
        &self,
        state: State,
        step: Step,
        failed: FailedCall,
        now: OffsetDateTime,
    ) -> Next {
        let is_believed = !matches!(step, Step::Verify);
        match step {
            // A snapshot that can't be deleted is named; one that can't be now is tried later.
            Step::Delete(id) | Step::FindUser(id) if !failed.is_transient => {
                let mut state = state;
                state.left.push(format!("{id}: {}", failed.text));
                self.delete_next(state, now)
            }
            Step::Manifest | Step::Parent | Step::Create | Step::Discard { .. } => {
                match &state.stored {
                    Some(stored) if !failed.is_transient => {
                        let record = stored.record.clone().failing(&failed.text);
                        state.write(record, now)
                    }
                    Some(stored) => {
                        // For `uploader requests`: if it can't be written, it is not.
                        let record = stored.record.clone().troubled(&failed.text);
                        let (state, action) = state.write(record, now);
                        state.to(Step::Note(failed), action)
                    }
                    None => state.release(&failed.text),
                }
            }
            Step::DeleteMessage(outcome) => {
                // It comes again, and is found to be done.
                state.done(outcome)
            }
            Step::Release(outcome) | Step::Done(outcome) => state.done(outcome),
            // Each time the same, before anything could be written down: the dead letter says why.
            Step::Verify | Step::ReadRecord | Step::Write(_)
                if !failed.is_transient && state.receives > self.max_receives =>
            {
                let reason = format!(
                    "given up after {} tries: {}",
                    self.max_receives, failed.text
                );
                let id = state.id().filter(|_| is_believed);
                state.reject(id, &reason)
            }
            // Of records and queues nothing is final: without them nothing can be written down.
            _ => state.release(&failed.text),
        }
    }

    /// Snapshots of the request, when it is finished, failing or failed: those that are not the
    /// finished image's have to go.
    pub(super) fn listed(&self, mut state: State, ids: Vec<String>, now: OffsetDateTime) -> Next {
        let Some(record) = state.stored.as_ref().map(|it| &it.record) else {
            return state.read_again();
        };
        let keep = match record.phase {
            Phase::Finished => record.snapshot.clone(),
            Phase::Working | Phase::Failing | Phase::Failed => None,
        };
        let known = record.snapshot.iter().chain(&record.earlier).cloned();
        let mut doomed: Vec<String> = ids.into_iter().chain(known).collect();
        doomed.extend(state.started.drain(..).map(|(_, id)| id));
        doomed.sort_unstable();
        doomed.dedup();
        doomed.retain(|id| Some(id) != keep.as_ref());
        state.doomed = doomed;
        state.left.clear();
        self.delete_next(state, now)
    }

    /// Deletes the next snapshot, or goes on to what follows.
    pub(super) fn delete_next(&self, mut state: State, now: OffsetDateTime) -> Next {
        state.waited = Duration::ZERO;
        if let Some(id) = state.doomed.pop() {
            return state.delete(id);
        }
        let Some(record) = state.stored.as_ref().map(|it| it.record.clone()) else {
            return state.read_again();
        };
        let reason = record.reason.clone().unwrap_or_default();
        match record.phase {
            Phase::Working => self.resume(state, now),
            Phase::Finished => {
                let ami = record.ami.unwrap_or_default();
                state.delete_message(Outcome::Finished { ami })
            }
            Phase::Failing => {
                let action = Action::DeadLetter {
                    id: Some(record.id),
                    reason: reason.clone(),
                };
                state.to(Step::DeadLetter { reason }, action)
            }
            Phase::Failed => {
                let left = record.left;
                state.delete_message(Outcome::Failed { reason, left })
            }
        }
    }

    /// A snapshot that was to be deleted is not there. One that was just started may come to be
    /// seen, and stay, or be registered by another agent: it has to be gone before the
    /// request has failed. All that a record names was started before the record was written.
    pub(super) fn missing(&self, state: State, id: String, now: OffsetDateTime) -> Next {
        let record = state.stored.as_ref().map(|it| &it.record);
        let may_come = record.is_some_and(|it| {
            matches!(it.phase, Phase::Failing | Phase::Finished)
                && it.snapshot.iter().chain(&it.earlier).any(|it| *it == id)
                && now - it.updated < GRACE
        });
        if !may_come {
            return self.delete_next(state, now);
        }
        state.wait(Step::WaitDelete(id))
    }

    /// Who needs a snapshot that was to go: the request's own image, which is then its result.
    pub(super) fn user_found(
        &self,
        mut state: State,
        id: String,
        found: Option<FoundImage>,
        now: OffsetDateTime,
    ) -> Next {
        let Some(record) = state.stored.as_ref().map(|it| it.record.clone()) else {
            return state.read_again();
        };
        let own = record.id.to_string();
        let is_own = |it: &FoundImage| it.request.as_deref() == Some(own.as_str());
        match found {
            Some(image) if is_own(&image) => match (record.phase, image.state) {
                (Phase::Failing, ImageState::Failed) => {
                    let image = image.id;
                    state
                        .left
                        .push(format!("{image}, which failed, and its snapshot {id}"));
                    self.delete_next(state, now)
                }
                // Failed, because the snapshot could not be deleted, and then it was registered.
                (Phase::Failing, _)
                | (Phase::Failed, ImageState::Pending | ImageState::Available) => {
                    let record = record.finished(image.id, image.snapshot);
                    state.write(record, now)
                }
                // Another agent's image, of an attempt that was given up: see `image_found`.
                _ => self.delete_next(state, now),
            },
            // It may take a moment until it is seen.
            None if state.waited < USER_SEEN => state.wait(Step::WaitUser(id)),
            _ => {
                state.left.push(format!("{id}, which something uses"));
                self.delete_next(state, now)
            }
        }
    }

    pub(super) fn dead_letter_sent(
        &self,
        state: State,
        reason: String,
        now: OffsetDateTime,
    ) -> Next {
        match &state.stored {
            Some(stored) => {
                let record = stored.record.clone().failed(&state.left);
                state.write(record, now)
            }
            None => state.delete_message(Outcome::Rejected { reason }),
        }
    }
}

impl State {
    pub(super) fn delete(self, id: String) -> Next {
        self.to(
            Step::Delete(id.clone()),
            Action::Ami(Call::DeleteSnapshot(id)),
        )
    }

    pub(super) fn find_user(self, id: String) -> Next {
        match self.stored.as_ref().map(|it| it.record.ami_name.clone()) {
            Some(name) => self.to(Step::FindUser(id), Action::Ami(Call::FindImage(name))),
            None => self.read_again(),
        }
    }

    /// Lays the message aside: the more often it came, the longer.
    pub(super) fn release(self, why: &str) -> Next {
        let delay = (self.first_pause << self.receives.saturating_sub(1).min(6)).min(MAX_DELAY);
        let outcome = Outcome::Released {
            reason: why.to_owned(),
            delay,
        };
        self.to(Step::Release(outcome), Action::Release(delay))
    }
}

//! From a message to the record, and from the record to what is to be done next.

use super::action::{Action, Outcome};
use super::{Machine, Next, State, Step};
use crate::agent::record::{Phase, Record, Start, Stored};
use crate::ami::creation::Creation;
use std::time::Duration;
use time::OffsetDateTime;

impl Machine {
    pub(super) fn verified(&self, state: State, is_right: bool) -> Next {
        if is_right {
            return state.read_again();
        }
        // Nothing in it is to be believed, its id least of all: no record is touched.
        let id = state.id();
        let who = id.map_or(String::new(), |id| {
            format!(" of the request that calls itself {id}")
        });
        let reason = format!(
            "the signature{who} is not by the vault's key, or the message was changed since"
        );
        state.reject(None, &reason)
    }

    /// The record is known, or that there is none.
    pub(super) fn read(
        &self,
        mut state: State,
        stored: Option<Box<Stored>>,
        now: OffsetDateTime,
    ) -> Next {
        let Some(opened) = &state.opened else {
            return state.reject(None, "the message holds no request");
        };
        let Some(stored) = stored else {
            let record = Record::new(&opened.request, &opened.sha256, now);
            let record = match opened.request.admit(&self.own, now) {
                Ok(()) => record,
                Err(refusal) => record.failing(&refusal.to_string()),
            };
            state.stored = None;
            return state.write(record, now);
        };
        if stored.record.request_sha256 != hex::encode(opened.sha256) {
            let id = opened.request.id;
            let reason = format!("another request with the id {id} was here before");
            return state.reject(Some(id), &reason);
        }
        let attempt = |it: &Stored| it.record.attempt;
        if state.stored.as_ref().map(attempt) != Some(attempt(&stored)) {
            state.creation = None;
        }
        state.stored = Some(*stored);
        self.resume(state, now)
    }

    /// Goes on from what the record says.
    pub(super) fn resume(&self, mut state: State, now: OffsetDateTime) -> Next {
        state.waited = Duration::ZERO;
        let Some(record) = state.stored.as_ref().map(|it| it.record.clone()) else {
            return state.read_again();
        };
        match record.phase {
            Phase::Working => self.work(state, record, now),
            Phase::Failing | Phase::Finished | Phase::Failed => {
                let action = Action::ListSnapshots(record.id);
                state.to(Step::List, action)
            }
        }
    }

    fn work(&self, mut state: State, record: Record, now: OffsetDateTime) -> Next {
        if state.receives > self.max_receives {
            let last = record
                .trouble
                .as_deref()
                .unwrap_or("the agent was killed each time");
            let reason = format!("given up after {} tries: {last}", self.max_receives);
            return state.write(record.failing(&reason), now);
        }
        if record.attempt > self.max_attempts {
            let reason = format!("{} snapshots in a row were lost", self.max_attempts);
            return state.write(record.failing(&reason), now);
        }
        // What this agent started for an attempt that others gave up.
        let stale = |it: &(u32, String)| {
            it.0 < record.attempt && record.snapshot.as_deref() != Some(it.1.as_str())
        };
        if let Some(at) = state.started.iter().position(stale) {
            let (_, id) = state.started.swap_remove(at);
            return state.delete(id);
        }
        let Some(facts) = state.facts else {
            return state.to(Step::Manifest, Action::FetchManifest(record.image));
        };
        match &record.start {
            Some(start) => {
                let attempt = self.attempt(&state, &record, start, facts);
                let creation = state.creation.get_or_insert_with(|| Creation::new(attempt));
                let next = creation.resume(record.snapshot);
                self.create(state, next, now)
            }
            None if record.incremental => {
                let kms_key = self.kms_key(&state);
                let action = Action::FindParent {
                    image: record.image,
                    kms_key,
                    gib: facts.gib,
                };
                state.to(Step::Parent, action)
            }
            None => {
                let start = Start {
                    parent: None,
                    kms_key: self.kms_key(&state),
                    at: now,
                };
                let record = Record {
                    start: Some(start),
                    ..record
                };
                state.write(record, now)
            }
        }
    }

    /// The key that the snapshot is encrypted with.
    pub(super) fn kms_key(&self, state: &State) -> String {
        let asked = state
            .opened
            .as_ref()
            .and_then(|it| it.request.ami.kms_key.clone());
        asked.unwrap_or_else(|| self.vault_key.clone())
    }
}

impl State {
    /// The message is no request of ours: it goes to the dead-letter queue as it is.
    pub(super) fn reject(self, id: Option<uuid::Uuid>, reason: &str) -> Next {
        let action = Action::DeadLetter {
            id,
            reason: reason.to_owned(),
        };
        // A record that was read belongs to another request.
        let state = State {
            stored: None,
            ..self
        };
        let reason = reason.to_owned();
        state.to(Step::DeadLetter { reason }, action)
    }

    pub(super) fn delete_message(self, outcome: Outcome) -> Next {
        self.to(Step::DeleteMessage(outcome), Action::DeleteMessage)
    }
}

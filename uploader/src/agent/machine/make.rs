//! The snapshot and the image.

use super::action::{Action, Facts};
use super::{Machine, Next, State, Step};
use crate::agent::record::{Parent, Record, Start};
use crate::agent::tags;
use crate::ami::{FoundImage, ImageState, NewImage, NewSnapshot, SnapshotState};
use std::time::Duration;
use time::OffsetDateTime;

/// How long a snapshot that was just started may be said not to exist, and how long one that
/// refuses blocks may look pending.
pub(super) const GRACE: Duration = Duration::from_secs(120);
/// How long a sealed snapshot may take.
const MAX_SEALING: Duration = Duration::from_secs(3600);
/// How long an image that must be there is looked for.
const IMAGE_SEEN: Duration = Duration::from_secs(150);

impl Machine {
    pub(super) fn parent_found(
        &self,
        state: State,
        parent: Option<Parent>,
        now: OffsetDateTime,
    ) -> Next {
        let Some(stored) = &state.stored else {
            return state.read_again();
        };
        let start = Start {
            parent,
            kms_key: self.kms_key(&state),
            at: now,
        };
        let record = Record {
            start: Some(start),
            ..stored.record.clone()
        };
        state.write(record, now)
    }

    pub(super) fn start_snapshot(
        &self,
        state: &State,
        record: &Record,
        start: &Start,
        facts: Facts,
    ) -> Action {
        Action::StartSnapshot(Box::new(NewSnapshot {
            token: format!("{}-{}", record.id, record.attempt),
            parent: start.parent.as_ref().map(|parent| parent.snapshot.clone()),
            kms_key: start.kms_key.clone(),
            gib: facts.gib,
            description: tags::snapshot_description(&record.id, record.attempt),
            tags: tags::of(&self.own.vault, record, state.opened.as_ref()),
        }))
    }

    pub(super) fn started(&self, mut state: State, id: String, now: OffsetDateTime) -> Next {
        let Some(stored) = &state.stored else {
            return state.read_again();
        };
        let record = Record {
            snapshot: Some(id.clone()),
            ..stored.record.clone()
        };
        state.started.push((record.attempt, id));
        state.write(record, now)
    }

    pub(super) fn looked(&self, mut state: State, is: SnapshotState, now: OffsetDateTime) -> Next {
        let Some(record) = state.stored.as_ref().map(|it| &it.record) else {
            return state.read_again();
        };
        let young = record.start.as_ref().is_some_and(|it| now - it.at < GRACE);
        match is {
            SnapshotState::Completed => self.register(state),
            SnapshotState::NotFound if young => state.wait(Step::WaitSnapshot),
            SnapshotState::NotFound | SnapshotState::Error => self.discard(state, true, now),
            SnapshotState::Pending => match (state.sealed, state.refuses) {
                (Some(at), _) if now - at > MAX_SEALING => {
                    state.release("the snapshot is still pending an hour after its completion")
                }
                (Some(_), _) => state.wait(Step::WaitSnapshot),
                // Somebody else completed it, or it is of no use.
                (None, Some(at)) if now - at > GRACE => self.discard(state, true, now),
                (None, Some(_)) => state.wait(Step::WaitSnapshot),
                (None, None) => {
                    state.waited = Duration::ZERO;
                    self.put(state)
                }
            },
        }
    }

    fn put(&self, state: State) -> Next {
        let Some(record) = state.stored.as_ref().map(|it| it.record.clone()) else {
            return state.read_again();
        };
        let action = Action::PutBlocks {
            id: record.id,
            image: record.image,
            parent: record.start.and_then(|it| it.parent),
            snapshot: record.snapshot.unwrap_or_default(),
        };
        state.to(Step::Put, action)
    }

    pub(super) fn complete(&self, state: State) -> Next {
        let snapshot = state
            .stored
            .as_ref()
            .and_then(|it| it.record.snapshot.clone());
        match snapshot {
            Some(id) => state.to(Step::Complete, Action::CompleteSnapshot(id)),
            None => state.read_again(),
        }
    }

    /// This attempt's snapshot is of no use: away with it, and once more.
    pub(super) fn discard(&self, state: State, incremental: bool, now: OffsetDateTime) -> Next {
        let Some(record) = state.stored.as_ref().map(|it| &it.record) else {
            return state.read_again();
        };
        let incremental = incremental && record.incremental;
        match record.snapshot.clone() {
            Some(id) => state.to(Step::Discard { incremental }, Action::DeleteSnapshot(id)),
            None => self.next_attempt(state, incremental, false, now),
        }
    }

    pub(super) fn next_attempt(
        &self,
        mut state: State,
        incremental: bool,
        is_deleted: bool,
        now: OffsetDateTime,
    ) -> Next {
        let Some(record) = state.stored.as_ref().map(|it| it.record.clone()) else {
            return state.read_again();
        };
        state.sealed = None;
        state.refuses = None;
        state.unregistered = None;
        state.write(record.next_attempt(incremental, is_deleted), now)
    }

    fn register(&self, mut state: State) -> Next {
        state.waited = Duration::ZERO;
        let (Some(stored), Some(facts)) = (&state.stored, state.facts) else {
            return state.read_again();
        };
        let record = &stored.record;
        let request = state.opened.as_ref().map(|it| &it.request);
        let said = request.and_then(|it| it.ami.description.clone());
        let action = Action::RegisterImage(Box::new(NewImage {
            name: record.ami_name.clone(),
            description: said.unwrap_or_else(|| tags::image_description(&record.image)),
            snapshot: record.snapshot.clone().unwrap_or_default(),
            gib: facts.gib,
            boot: facts.boot,
            tags: tags::of(&self.own.vault, record, state.opened.as_ref()),
        }));
        state.to(Step::Register, action)
    }

    /// EC2 says of a snapshot that was completed a moment ago that it is not, or is not there. It is
    /// asked again, after as long again as this has lasted; in the end the snapshot is of no use.
    pub(super) fn not_registered(&self, mut state: State, now: OffsetDateTime) -> Next {
        state.refuses.get_or_insert(now);
        let since = *state.unregistered.get_or_insert(now);
        if now - since > GRACE {
            return self.discard(state, true, now);
        }
        let lasted = Duration::try_from(now - since).unwrap_or_default();
        let pause = lasted.clamp(Duration::from_secs(1), Duration::from_secs(15));
        state.to(Step::WaitRegister, Action::Wait(pause))
    }

    /// The image by the request's name, which is there by all that is known.
    pub(super) fn image_found(
        &self,
        state: State,
        found: Option<FoundImage>,
        now: OffsetDateTime,
    ) -> Next {
        let Some(record) = state.stored.as_ref().map(|it| it.record.clone()) else {
            return state.read_again();
        };
        let id = record.id.to_string();
        match found {
            Some(image) if image.request.as_deref() != Some(id.as_str()) => {
                let reason = format!(
                    "the name {:?} is taken by {}, which is not of this request",
                    record.ami_name, image.id
                );
                state.write(record.failing(&reason), now)
            }
            Some(image) if image.state == ImageState::Failed => {
                let reason = format!("EC2 says that {} failed", image.id);
                state.write(record.failing(&reason), now)
            }
            Some(image) if image.state == ImageState::Available => {
                let record = record.finished(image.id, image.snapshot);
                state.write(record, now)
            }
            Some(_) => state.wait(Step::WaitImage),
            None if state.waited < IMAGE_SEEN => state.wait(Step::WaitImage),
            None => {
                let text = format!(
                    "an image {:?} is registered, and not found",
                    record.ami_name
                );
                state.release(&text)
            }
        }
    }
}

impl State {
    pub(super) fn look(self) -> Next {
        match self
            .stored
            .as_ref()
            .and_then(|it| it.record.snapshot.clone())
        {
            Some(id) => self.to(Step::Look, Action::LookAtSnapshot(id)),
            None => self.read_again(),
        }
    }

    pub(super) fn find_image(self) -> Next {
        match self.stored.as_ref().map(|it| it.record.ami_name.clone()) {
            Some(name) => self.to(Step::FindImage, Action::FindImage(name)),
            None => self.read_again(),
        }
    }
}

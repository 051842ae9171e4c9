//! The snapshot and the image of a request: [`Creation`] says how they are made, the record what of it
//! others have to know.

use super::action::{Action, Facts};
use super::{Machine, Next, State, Step};
use crate::agent::record::{Parent, Record, Start};
use crate::agent::tags;
use crate::ami::creation::{self, Attempt, Creation, Late, Lost};
use crate::ami::{Answer, Call, FoundImage, ImageState, NewImage, NewSnapshot};
use time::OffsetDateTime;

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

    /// What this attempt's calls say: all of it follows from the record, the request and the image.
    pub(super) fn attempt(
        &self,
        state: &State,
        record: &Record,
        start: &Start,
        facts: Facts,
    ) -> Attempt {
        let opened = state.opened.as_ref();
        let tags = tags::of(&self.own.vault, record, opened);
        let description = opened.and_then(|opened| opened.request.ami.description.clone());
        let parent = start.parent.as_ref();
        Attempt {
            snapshot: NewSnapshot {
                token: format!("{}-{}", record.id, record.attempt),
                parent: parent.map(|parent| parent.snapshot.clone()),
                kms_key: start.kms_key.clone(),
                gib: facts.gib,
                description: tags::snapshot_description(&record.id, record.attempt),
                tags: tags.clone(),
            },
            started: start.at,
            image: NewImage {
                name: record.ami_name.clone(),
                description: description.unwrap_or_else(|| tags::image_description(&record.image)),
                snapshot: String::new(),
                gib: facts.gib,
                boot: facts.boot,
                tags,
            },
        }
    }

    /// A step of the creation is done.
    pub(super) fn created(&self, mut state: State, answer: Answer, now: OffsetDateTime) -> Next {
        let Some(creation) = &mut state.creation else {
            return state.read_again();
        };
        let next = creation.answered(answer, now);
        self.create(state, next, now)
    }

    /// The image of this request is there by all that is known: it is looked for.
    pub(super) fn find_image(&self, mut state: State, now: OffsetDateTime) -> Next {
        match state.creation.as_mut().map(Creation::find_image) {
            Some(next) => self.create(state, next, now),
            None => state.read_again(),
        }
    }

    /// Does what the creation of snapshot and image wants next.
    pub(super) fn create(&self, state: State, next: creation::Next, now: OffsetDateTime) -> Next {
        use creation::Next as Wanted;
        match next {
            Wanted::Call(call) => state.to(Step::Create, Action::Ami(call)),
            Wanted::PutBlocks(snapshot) => self.put_blocks(state, snapshot),
            Wanted::Complete(id) => state.to(Step::Create, Action::CompleteSnapshot(id)),
            Wanted::Wait(pause) => state.to(Step::Create, Action::Wait(pause)),
            Wanted::Started(id) => self.started(state, id, now),
            Wanted::Surprised => state.read_again(),
            Wanted::Image(image) => self.image_found(state, image, now),
            Wanted::Lost(lost) => self.discard(state, lost != Lost::Parent, now),
            Wanted::Late(Late::Completion) => {
                state.release("the snapshot is still pending an hour after its completion")
            }
            Wanted::Late(Late::Image) => {
                let record = state.stored.as_ref().map(|stored| &stored.record);
                let name = record.map_or("", |record| record.ami_name.as_str());
                let text = format!("an image {name:?} is registered, and not found");
                state.release(&text)
            }
        }
    }

    fn started(&self, mut state: State, id: String, now: OffsetDateTime) -> Next {
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

    fn put_blocks(&self, state: State, snapshot: String) -> Next {
        let Some(record) = state.stored.as_ref().map(|stored| stored.record.clone()) else {
            return state.read_again();
        };
        let action = Action::PutBlocks {
            id: record.id,
            image: record.image,
            parent: record.start.and_then(|start| start.parent),
            snapshot,
        };
        state.to(Step::Create, action)
    }

    /// This attempt's snapshot is of no use: away with it, and once more.
    fn discard(&self, state: State, incremental: bool, now: OffsetDateTime) -> Next {
        let Some(record) = state.stored.as_ref().map(|stored| &stored.record) else {
            return state.read_again();
        };
        let incremental = incremental && record.incremental;
        match record.snapshot.clone() {
            Some(id) => {
                let action = Action::Ami(Call::DeleteSnapshot(id));
                state.to(Step::Discard { incremental }, action)
            }
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
        let Some(record) = state.stored.as_ref().map(|stored| stored.record.clone()) else {
            return state.read_again();
        };
        state.creation = None;
        state.write(record.next_attempt(incremental, is_deleted), now)
    }

    /// The image by the request's name: if it is not the request's own, the name is taken.
    fn image_found(&self, mut state: State, image: FoundImage, now: OffsetDateTime) -> Next {
        let Some(record) = state.stored.as_ref().map(|stored| stored.record.clone()) else {
            return state.read_again();
        };
        if image.request.as_deref() != Some(record.id.to_string().as_str()) {
            let reason = format!(
                "the name {:?} is taken by {}, which is not of this request",
                record.ami_name, image.id
            );
            return state.write(record.failing(&reason), now);
        }
        match image.state {
            ImageState::Failed => {
                let reason = format!("EC2 says that {} failed", image.id);
                state.write(record.failing(&reason), now)
            }
            ImageState::Available => state.write(record.finished(image.id, image.snapshot), now),
            ImageState::Pending => match state.creation.as_mut().map(Creation::wait_for_image) {
                Some(next) => self.create(state, next, now),
                None => state.read_again(),
            },
        }
    }
}

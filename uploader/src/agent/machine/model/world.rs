//! AWS as the machine sees it: snapshots with tokens, images with names, a record with ETags, and a
//! queue with redelivery.

use crate::agent::machine::action::{Action, Event, Facts};
use crate::agent::record::{Parent, Phase, Stored};
use crate::agent::tags;
use crate::ami::{BootMode, FoundImage, ImageState, SnapshotState};
use std::collections::BTreeMap;
use time::{Duration, OffsetDateTime};

/// How long EC2 may not see what was just made.
const LAG: Duration = Duration::seconds(119);
/// How long a message is hidden from others.
const VISIBILITY: Duration = Duration::seconds(60);

#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) token: String,
    pub(super) born: OffsetDateTime,
    pub(super) state: SnapshotState,
    /// Whether all blocks are put.
    pub(super) full: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) snapshot: String,
    pub(super) request: String,
    pub(super) state: ImageState,
    pub(super) born: OffsetDateTime,
}

#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) receives: u32,
    pub(super) visible: OffsetDateTime,
    pub(super) gone: bool,
}

/// What a message was taken with: an old one is good for nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receipt {
    message: usize,
    pub(super) receives: u32,
}

pub(super) struct World {
    pub(super) now: OffsetDateTime,
    /// Whether the message's signature is right.
    pub(super) signed: bool,
    pub(super) record: Option<Stored>,
    pub(super) writes: u32,
    pub(super) snapshots: BTreeMap<String, Snapshot>,
    /// How many snapshots were ever made.
    pub(super) made: u32,
    pub(super) images: Vec<Image>,
    /// EC2 says that snapshots are complete, and registers no image of them.
    pub(super) registers_none: bool,
    /// How often it was asked to.
    pub(super) registrations: u32,
    pub(super) queue: Vec<Message>,
    pub(super) dead: Vec<String>,
    /// Whose the dead letters are, as far as that is believed.
    pub(super) dead_ids: Vec<Option<String>>,
    pub(super) parent: bool,
    pub(super) parent_manifest: bool,
}

impl World {
    /// With one message on the queue.
    pub(super) fn new(now: OffsetDateTime) -> World {
        let mut world = World {
            now,
            signed: true,
            record: None,
            writes: 0,
            snapshots: BTreeMap::new(),
            made: 0,
            images: Vec::new(),
            registers_none: false,
            registrations: 0,
            queue: Vec::new(),
            dead: Vec::new(),
            dead_ids: Vec::new(),
            parent: true,
            parent_manifest: true,
        };
        world.send();
        world
    }

    /// Somebody sends the message.
    pub(super) fn send(&mut self) {
        self.queue.push(Message {
            receives: 0,
            visible: self.now,
            gone: false,
        });
    }

    /// All messages come again, whoever has them.
    pub(super) fn redeliver(&mut self) {
        let now = self.now;
        self.queue.iter_mut().for_each(|it| it.visible = now);
    }

    /// A message that is there for everybody, and its receipt: how many times it came.
    pub(super) fn receive(&mut self) -> Option<Receipt> {
        let now = self.now;
        let visible = |it: &Message| !it.gone && it.visible <= now;
        let message = self.queue.iter().position(visible)?;
        let it = &mut self.queue[message];
        it.receives += 1;
        it.visible = now + VISIBILITY;
        Some(Receipt {
            message,
            receives: it.receives,
        })
    }

    /// The heartbeat: the message stays with whoever has it, unless it went to another.
    pub(super) fn hold(&mut self, receipt: Receipt) {
        let message = &mut self.queue[receipt.message];
        if message.receives == receipt.receives && message.visible > self.now {
            message.visible = message.visible.max(self.now + VISIBILITY);
        }
    }

    /// SQS says "deleted" to an old receipt, too.
    pub(super) fn delete_message(&mut self, receipt: Receipt) {
        let message = &mut self.queue[receipt.message];
        message.gone |= message.receives == receipt.receives;
    }

    pub(super) fn release(&mut self, receipt: Receipt, delay: u32) {
        let message = &mut self.queue[receipt.message];
        if message.receives == receipt.receives {
            message.visible = self.now + Duration::seconds(delay.into());
        }
    }

    /// A pending snapshot goes wrong.
    pub(super) fn break_snapshot(&mut self) {
        let pending = self.pending();
        if let Some(it) = pending.and_then(|id| self.snapshots.get_mut(&id)) {
            it.state = SnapshotState::Error;
        }
    }

    /// A pending snapshot goes.
    pub(super) fn drop_snapshot(&mut self) {
        if let Some(id) = self.pending() {
            self.snapshots.remove(&id);
        }
    }

    /// A pending image goes wrong.
    pub(super) fn break_image(&mut self) {
        let pending = |it: &&mut Image| it.state == ImageState::Pending;
        if let Some(it) = self.images.iter_mut().find(pending) {
            it.state = ImageState::Failed;
        }
    }

    fn pending(&self) -> Option<String> {
        let mut all = self.snapshots.iter();
        let found = all.find(|(_, it)| it.state == SnapshotState::Pending);
        found.map(|(id, _)| id.clone())
    }

    /// What AWS does. With `lag`, it does not see what was just made.
    pub(super) fn perform(&mut self, action: &Action, lag: bool) -> Event {
        let now = self.now;
        let unseen = |born: OffsetDateTime| lag && now - born < LAG;
        match action {
            Action::Verify { .. } => Event::Verified(self.signed),
            Action::ReadRecord(_) => Event::Record(self.record.clone().map(Box::new)),
            Action::WriteRecord { record, replaces } => {
                if self.record.as_ref().map(|it| &it.etag) != replaces.as_ref() {
                    return Event::Changed;
                }
                if let Some(before) = &self.record {
                    // See `properties::check_settled` for the one way back.
                    let back =
                        before.record.phase == Phase::Failed && record.phase == Phase::Finished;
                    assert!(
                        !before.record.is_final() || back,
                        "a final record is written"
                    );
                }
                self.writes += 1;
                let etag = self.writes.to_string();
                self.record = Some(Stored {
                    record: (**record).clone(),
                    etag: etag.clone(),
                });
                Event::Written(etag)
            }
            Action::FetchManifest(_) => Event::Manifest(Facts {
                gib: 2,
                boot: BootMode::Both,
            }),
            Action::FindParent { image, .. } => {
                Event::Parent((self.parent && self.parent_manifest).then(|| Parent {
                    snapshot: "parent".to_owned(),
                    image: image.clone(),
                }))
            }
            Action::StartSnapshot(new) => {
                let mut all = self.snapshots.iter();
                if let Some((id, _)) = all.find(|(_, it)| it.token == new.token) {
                    return Event::Snapshot(id.clone());
                }
                if new.parent.is_some() && !self.parent {
                    return Event::ParentGone;
                }
                self.made += 1;
                let id = format!("snap-{}", self.made);
                let snapshot = Snapshot {
                    token: new.token.clone(),
                    born: now,
                    state: SnapshotState::Pending,
                    full: false,
                };
                self.snapshots.insert(id.clone(), snapshot);
                Event::Snapshot(id)
            }
            Action::LookAtSnapshot(id) => Event::SnapshotIs(match self.snapshots.get(id) {
                Some(it) if !unseen(it.born) => it.state,
                _ => SnapshotState::NotFound,
            }),
            Action::PutBlocks {
                snapshot, parent, ..
            } => {
                if parent.is_some() && !self.parent_manifest {
                    return Event::ParentGone;
                }
                match self.snapshots.get_mut(snapshot) {
                    Some(it) if it.state == SnapshotState::Pending => {
                        it.full = true;
                        Event::Put
                    }
                    _ => Event::NotPending,
                }
            }
            Action::CompleteSnapshot(id) => match self.snapshots.get_mut(id) {
                Some(it) if it.state == SnapshotState::Pending => {
                    assert!(it.full, "completed before all blocks are put");
                    it.state = SnapshotState::Completed;
                    Event::Sealed
                }
                _ => Event::NotPending,
            },
            Action::RegisterImage(new) => {
                self.registrations += 1;
                if self.registers_none {
                    return Event::NotPending;
                }
                if self.images.iter().any(|it| it.name == new.name) {
                    return Event::NameTaken;
                }
                match self.snapshots.get(&new.snapshot) {
                    Some(it) if it.state == SnapshotState::Completed => {}
                    _ => return Event::NotPending,
                }
                let id = format!("ami-{}", self.images.len());
                let tag = new.tags.iter().find(|it| it.0 == tags::REQUEST);
                self.images.push(Image {
                    id: id.clone(),
                    name: new.name.clone(),
                    snapshot: new.snapshot.clone(),
                    request: tag.unwrap().1.clone(),
                    state: ImageState::Pending,
                    born: now,
                });
                Event::Registered(id)
            }
            Action::FindImage(name) => {
                let mut all = self.images.iter_mut();
                let found = all.find(|it| it.name == *name && !unseen(it.born));
                Event::Image(found.map(|it| {
                    let answer = FoundImage {
                        id: it.id.clone(),
                        snapshot: it.snapshot.clone(),
                        request: Some(it.request.clone()),
                        state: it.state,
                    };
                    // The next look finds it there.
                    if it.state == ImageState::Pending {
                        it.state = ImageState::Available;
                    }
                    answer
                }))
            }
            Action::ListSnapshots(_) => {
                let seen = self.snapshots.iter().filter(|(_, it)| !unseen(it.born));
                Event::Snapshots(seen.map(|(id, _)| id.clone()).collect())
            }
            Action::DeleteSnapshot(id) => {
                if self.images.iter().any(|it| it.snapshot == *id) {
                    return Event::InUse;
                }
                if self.snapshots.get(id).is_none_or(|it| unseen(it.born)) {
                    return Event::Missing;
                }
                self.snapshots.remove(id);
                Event::Deleted
            }
            Action::DeadLetter { id, reason } => {
                self.dead.push(reason.clone());
                self.dead_ids.push(id.map(|it| it.to_string()));
                Event::Sent
            }
            Action::DeleteMessage => Event::MessageDeleted,
            Action::Release(_) => Event::Released,
            Action::Wait(_) | Action::Done(_) => Event::Woken,
        }
    }

    /// What holds at any moment.
    pub(super) fn check_always(&self) {
        assert!(self.images.len() <= 1 || self.images[0].name != self.images[1].name);
        for image in &self.images {
            let snapshot = self
                .snapshots
                .get(&image.snapshot)
                .expect("an image's snapshot");
            assert!(snapshot.full && snapshot.state == SnapshotState::Completed);
        }
    }

    /// What an agent without work does: snapshots of requests that are done with go.
    pub(super) fn sweep(&mut self) {
        let record = self.record.as_ref().map(|it| &it.record);
        let Some(record) = record.filter(|it| it.is_final()) else {
            return;
        };
        let keep = record
            .snapshot
            .clone()
            .filter(|_| record.phase == Phase::Finished);
        let images = &self.images;
        self.snapshots.retain(|id, _| {
            Some(id) == keep.as_ref() || images.iter().any(|it| it.snapshot == *id)
        });
    }
}

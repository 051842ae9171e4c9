//! AWS as the machine sees it: EC2 and EBS, a record with ETags, and a queue with redelivery.

use crate::agent::machine::action::{Action, Event, Facts};
use crate::agent::record::{Parent, Phase, Stored};
use crate::ami::model::Ec2;
use crate::ami::{Answer, BlocksPut, BootMode};
use time::{Duration, OffsetDateTime};

/// How long a message is hidden from others.
const VISIBILITY: Duration = Duration::seconds(60);

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
    pub(super) ec2: Ec2,
    pub(super) queue: Vec<Message>,
    pub(super) dead: Vec<String>,
    /// Whose the dead letters are, as far as that is believed.
    pub(super) dead_ids: Vec<Option<String>>,
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
            ec2: Ec2::default(),
            queue: Vec::new(),
            dead: Vec::new(),
            dead_ids: Vec::new(),
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

    /// What AWS does. With `lag`, it does not see what was just made.
    pub(super) fn perform(&mut self, action: &Action, lag: bool) -> Event {
        let now = self.now;
        match action {
            Action::Verify { .. } => Event::Verified(self.signed),
            Action::ReadRecord(_) => Event::Record(self.record.clone().map(Box::new)),
            Action::WriteRecord { record, replaces } => {
                if self.record.as_ref().map(|it| &it.etag) != replaces.as_ref() {
                    return Event::RecordChanged;
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
                Event::RecordWritten(etag)
            }
            Action::FetchManifest(_) => Event::Manifest(Facts {
                gib: 2,
                boot: BootMode::Both,
            }),
            Action::FindParent { image, .. } => {
                Event::Parent((self.ec2.parent && self.parent_manifest).then(|| Parent {
                    snapshot: "parent".to_owned(),
                    image: image.clone(),
                }))
            }
            Action::Ami(call) => Event::Ami(self.ec2.call(call, now, lag)),
            Action::PutBlocks {
                snapshot, parent, ..
            } => {
                let put = if parent.is_some() && !self.parent_manifest {
                    Answer::BlocksPut(BlocksPut::ParentUnknown)
                } else {
                    self.ec2.put_blocks(snapshot)
                };
                Event::Ami(put)
            }
            Action::CompleteSnapshot(id) => Event::Ami(self.ec2.complete(id)),
            Action::ListSnapshots(_) => {
                let seen = self.ec2.snapshots.iter();
                let seen = seen.filter(|(_, it)| !Ec2::is_unseen(it.born, now, lag));
                Event::Snapshots(seen.map(|(id, _)| id.clone()).collect())
            }
            Action::DeadLetter { id, reason } => {
                self.dead.push(reason.clone());
                self.dead_ids.push(id.map(|it| it.to_string()));
                Event::DeadLetterSent
            }
            Action::DeleteMessage => Event::MessageDeleted,
            Action::Release(_) => Event::MessageReleased,
            Action::Wait(_) | Action::Done(_) => Event::Ami(Answer::Waited),
        }
    }

    /// What holds at any moment.
    pub(super) fn check_always(&self) {
        self.ec2.check();
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
        let images = &self.ec2.images;
        self.ec2.snapshots.retain(|id, _| {
            Some(id) == keep.as_ref() || images.iter().any(|it| it.snapshot == *id)
        });
    }
}

//! EC2 and EBS as state machines see them: snapshots with tokens, images with names, and what was just
//! made is not seen for a while. For tests.

use super::images::{FoundImage, ImageState, Registered};
use super::snapshots::{Completed, Deleted, SnapshotState, Started};
use super::{Answer, BlocksPut, Call};
use crate::vault::tags;
use std::collections::BTreeMap;
use time::{Duration, OffsetDateTime};

/// How long EC2 may not see what was just made.
const LAG: Duration = Duration::seconds(119);

#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) token: String,
    pub(crate) born: OffsetDateTime,
    pub(crate) state: SnapshotState,
    /// Whether all blocks are put.
    pub(crate) full: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) snapshot: String,
    /// Its tag `image-vault:request`; empty if it has none.
    pub(crate) request: String,
    pub(crate) state: ImageState,
    pub(crate) born: OffsetDateTime,
}

/// An account in a region.
#[derive(Clone, Debug)]
pub(crate) struct Ec2 {
    pub(crate) snapshots: BTreeMap<String, Snapshot>,
    /// How many snapshots were ever made.
    pub(crate) made: u32,
    pub(crate) images: Vec<Image>,
    /// How many images were ever registered.
    registered: u32,
    /// EC2 says that snapshots are complete, and registers no image of them.
    pub(crate) registers_none: bool,
    /// How often it was asked to.
    pub(crate) registrations: u32,
    /// Whether the snapshot that others are based on is there.
    pub(crate) parent: bool,
}

impl Default for Ec2 {
    fn default() -> Ec2 {
        Ec2 {
            snapshots: BTreeMap::new(),
            made: 0,
            images: Vec::new(),
            registered: 0,
            registers_none: false,
            registrations: 0,
            parent: true,
        }
    }
}

impl Ec2 {
    /// A pending snapshot goes wrong.
    pub(crate) fn break_snapshot(&mut self) {
        let pending = self.pending();
        if let Some(snapshot) = pending.and_then(|id| self.snapshots.get_mut(&id)) {
            snapshot.state = SnapshotState::Error;
        }
    }

    /// A pending snapshot goes.
    pub(crate) fn drop_snapshot(&mut self) {
        if let Some(id) = self.pending() {
            self.snapshots.remove(&id);
        }
    }

    /// A pending image goes wrong.
    pub(crate) fn break_image(&mut self) {
        let is_pending = |image: &&mut Image| image.state == ImageState::Pending;
        if let Some(image) = self.images.iter_mut().find(is_pending) {
            image.state = ImageState::Failed;
        }
    }

    fn pending(&self) -> Option<String> {
        let mut all = self.snapshots.iter();
        let found = all.find(|(_, snapshot)| snapshot.state == SnapshotState::Pending);
        found.map(|(id, _)| id.clone())
    }

    /// Whether something made at `born` is not seen yet, where there is a lag at all.
    pub(crate) fn is_unseen(born: OffsetDateTime, now: OffsetDateTime, lag: bool) -> bool {
        lag && now - born < LAG
    }

    /// What comes of a call. With `lag`, EC2 does not see what was just made.
    pub(crate) fn call(&mut self, call: &Call, now: OffsetDateTime, lag: bool) -> Answer {
        let unseen = |born| Ec2::is_unseen(born, now, lag);
        match call {
            Call::StartSnapshot(new) => {
                let mut all = self.snapshots.iter();
                if let Some((id, _)) = all.find(|(_, snapshot)| snapshot.token == new.token) {
                    return Answer::Started(Started::Snapshot(id.clone()));
                }
                if new.parent.is_some() && !self.parent {
                    return Answer::Started(Started::ParentRefused);
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
                Answer::Started(Started::Snapshot(id))
            }
            Call::DescribeSnapshot(id) => Answer::Snapshot(match self.snapshots.get(id) {
                Some(snapshot) if !unseen(snapshot.born) => snapshot.state,
                _ => SnapshotState::NotFound,
            }),
            Call::RegisterImage(new) => {
                self.registrations += 1;
                if self.registers_none {
                    return Answer::Registered(Registered::SnapshotNotReady);
                }
                if self.images.iter().any(|image| image.name == new.name) {
                    return Answer::Registered(Registered::NameTaken);
                }
                match self.snapshots.get(&new.snapshot) {
                    Some(snapshot) if snapshot.state == SnapshotState::Completed => {}
                    _ => return Answer::Registered(Registered::SnapshotNotReady),
                }
                let id = format!("ami-{}", self.registered);
                self.registered += 1;
                let tag = new.tags.iter().find(|(key, _)| key == tags::REQUEST);
                self.images.push(Image {
                    id: id.clone(),
                    name: new.name.clone(),
                    snapshot: new.snapshot.clone(),
                    request: tag.map(|(_, value)| value.clone()).unwrap_or_default(),
                    state: ImageState::Pending,
                    born: now,
                });
                Answer::Registered(Registered::Image(id))
            }
            Call::FindImage(name) => {
                let mut all = self.images.iter_mut();
                let found = all.find(|image| image.name == *name && !unseen(image.born));
                Answer::Image(found.map(|image| {
                    let answer = FoundImage {
                        id: image.id.clone(),
                        snapshot: image.snapshot.clone(),
                        request: Some(image.request.clone()),
                        state: image.state,
                    };
                    // The next look finds it there.
                    if image.state == ImageState::Pending {
                        image.state = ImageState::Available;
                    }
                    answer
                }))
            }
            Call::DeleteSnapshot(id) => {
                if self.images.iter().any(|image| image.snapshot == *id) {
                    return Answer::Deleted(Deleted::InUse);
                }
                let seen = self
                    .snapshots
                    .get(id)
                    .is_some_and(|snapshot| !unseen(snapshot.born));
                if !seen {
                    return Answer::Deleted(Deleted::Missing);
                }
                self.snapshots.remove(id);
                Answer::Deleted(Deleted::Gone)
            }
            Call::DeregisterImage(id) => {
                self.images.retain(|image| image.id != *id);
                Answer::Deregistered
            }
        }
    }

    /// All blocks are put.
    pub(crate) fn put_blocks(&mut self, id: &str) -> Answer {
        Answer::BlocksPut(match self.snapshots.get_mut(id) {
            Some(snapshot) if snapshot.state == SnapshotState::Pending => {
                snapshot.full = true;
                BlocksPut::All
            }
            _ => BlocksPut::NotPending,
        })
    }

    /// Blocks are counted, and the snapshot is sealed.
    pub(crate) fn complete(&mut self, id: &str) -> Answer {
        Answer::Completed(match self.snapshots.get_mut(id) {
            Some(snapshot) if snapshot.state == SnapshotState::Pending => {
                assert!(snapshot.full, "completed before all blocks are put");
                snapshot.state = SnapshotState::Completed;
                Completed::Accepted
            }
            _ => Completed::NotPending,
        })
    }

    /// What holds at any moment.
    pub(crate) fn check(&self) {
        let mut names: Vec<&str> = self
            .images
            .iter()
            .map(|image| image.name.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), self.images.len(), "a name is of one image");
        for image in &self.images {
            let snapshot = self
                .snapshots
                .get(&image.snapshot)
                .expect("an image's snapshot");
            assert!(snapshot.full && snapshot.state == SnapshotState::Completed);
        }
    }
}

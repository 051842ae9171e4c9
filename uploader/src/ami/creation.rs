//! From a snapshot that is to be started to an AMI: a pure function of what EC2 and EBS answer.
//!
//! The start, the blocks, the completion and the registration can each be asked for twice: the snapshot
//! has its token, the blocks their digests, the image its name. So a call whose answer was lost is made
//! again, and whoever is surprised looks at the snapshot and goes on from what it is.
//!
//! Who drives it decides all else: what is written down before the next call ([`Next::Started`],
//! [`Next::Surprised`]), whose an image of the right name is ([`Next::Image`]), and what to do once
//! the snapshot is of no use ([`Next::Lost`]). Agents do that for requests, with a record that others
//! read; the converter's own AMI is made by one process, which takes back what it made.

use super::call::{Answer, BlocksPut, Call};
use super::images::{FoundImage, NewImage, Registered};
use super::snapshots::{Completed, NewSnapshot, SnapshotState, Started};
use crate::polling::Polling;
use std::time::Duration;
use time::OffsetDateTime;

/// How long a snapshot that was just started may be said not to exist, and how long one that
/// refuses blocks may look pending.
pub(crate) const GRACE: Duration = Duration::from_secs(120);
/// How long a snapshot may take after its completion was accepted.
const LONGEST_COMPLETION: Duration = Duration::from_secs(3600);
/// How long an image that must be there is looked for.
const IMAGE_SEEN: Duration = Duration::from_secs(150);

/// One attempt: what its calls say, each time they are made.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// The snapshot.
    pub(crate) snapshot: NewSnapshot,
    /// When the snapshot is, or was first, started.
    pub(crate) started: OffsetDateTime,
    /// The image; of the attempt's snapshot, whatever it says of that.
    pub(crate) image: NewImage,
}

/// How far an attempt is.
#[derive(Clone, Debug)]
pub(crate) struct Creation {
    attempt: Attempt,
    snapshot: Option<String>,
    /// When EBS accepted the completion.
    completed: Option<OffsetDateTime>,
    /// Since when the snapshot refuses blocks, though it looks pending.
    refuses: Option<OffsetDateTime>,
    /// Since when EC2 registers no image of the snapshot, though it looks completed.
    unregistered: Option<OffsetDateTime>,
    /// How long the snapshot, or then the image, was waited for.
    waited: Duration,
    step: Step,
}

/// What is being waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Start,
    Describe,
    /// A pause, and then a look at the snapshot.
    WaitSnapshot,
    PutBlocks,
    Complete,
    Register,
    /// Some seconds, and then all is looked at again.
    WaitRegister,
    /// The image, which is ours as soon as it is there.
    FindImage,
    WaitImage,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next {
    /// This call.
    Call(Call),
    /// Put all blocks into this snapshot: [`Answer::BlocksPut`].
    PutBlocks(String),
    /// Complete this snapshot, with count and checksum of the blocks: [`Answer::Completed`].
    Complete(String),
    /// Wait: [`Answer::Waited`].
    Wait(Duration),
    /// The snapshot has this id: once that is written down, [`Creation::resume`].
    Started(String),
    /// Something is not as it should be, and may be so by somebody else's doing: once that is looked
    /// at, [`Creation::resume`].
    Surprised,
    /// There is an image of that name: if it is to be waited for, [`Creation::wait_for_image`].
    Image(FoundImage),
    /// This attempt leads nowhere.
    Lost(Lost),
    /// It takes too long; it may help to come back later.
    Late(Late),
}

/// Why an attempt leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The snapshot can't be based on its parent, or its token is another's.
    Parent,
    /// There is no such snapshot.
    Missing,
    /// EBS says that it failed.
    Error,
    /// It takes no blocks, or is not completed, and is pending all the same.
    Refuses,
    /// EC2 registers no image of it.
    Unregistered,
}

/// What takes too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    /// The snapshot is still pending an hour after its completion.
    Completion,
    /// The image is registered, and not found.
    Image,
}

impl Creation {
    /// That of an attempt; [`Creation::resume`] begins it.
    pub(crate) fn new(attempt: Attempt) -> Creation {
        Creation {
            attempt,
            snapshot: None,
            completed: None,
            refuses: None,
            unregistered: None,
            waited: Duration::ZERO,
            step: Step::Start,
        }
    }

    /// How long the snapshot, or then the image, was waited for.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    /// Begins, or goes on, with the snapshot that is known by now.
    pub(crate) fn resume(&mut self, snapshot: Option<String>) -> Next {
        self.waited = Duration::ZERO;
        self.snapshot = snapshot;
        if self.snapshot.is_some() {
            return self.describe();
        }
        self.step = Step::Start;
        Next::Call(Call::StartSnapshot(Box::new(self.attempt.snapshot.clone())))
    }

    /// Goes on: `answer` is what came of the last step, at `now`.
    pub(crate) fn answered(&mut self, answer: Answer, now: OffsetDateTime) -> Next {
        match (self.step, answer) {
            (Step::Start, Answer::Started(Started::Snapshot(id))) => Next::Started(id),
            (Step::Start, Answer::Started(Started::ParentRefused))
            | (Step::PutBlocks, Answer::BlocksPut(BlocksPut::ParentUnknown)) => {
                Next::Lost(Lost::Parent)
            }
            (Step::Describe, Answer::Snapshot(state)) => self.described(state, now),
            (Step::WaitSnapshot, Answer::Waited) => self.describe(),
            (Step::PutBlocks, Answer::BlocksPut(BlocksPut::All)) => self.complete(),
            (Step::Complete, Answer::Completed(Completed::Accepted)) => {
                self.completed = Some(now);
                self.describe()
            }
            (Step::PutBlocks, Answer::BlocksPut(BlocksPut::NotPending))
            | (Step::Complete, Answer::Completed(Completed::NotPending)) => {
                self.refuses.get_or_insert(now);
                Next::Surprised
            }
            (Step::Register, Answer::Registered(Registered::SnapshotNotReady)) => {
                self.not_registered(now)
            }
            (Step::Register, Answer::Registered(_)) | (Step::WaitImage, Answer::Waited) => {
                self.find_image()
            }
            (Step::FindImage, Answer::Image(Some(image))) => Next::Image(image),
            (Step::FindImage, Answer::Image(None)) if self.waited < IMAGE_SEEN => {
                self.wait_for_image()
            }
            (Step::FindImage, Answer::Image(None)) => Next::Late(Late::Image),
            // After `WaitRegister`; or an answer to something else, by a driver that is not ours.
            (_, _) => Next::Surprised,
        }
    }

    /// Looks for the image, which is there by all that is known.
    pub(crate) fn find_image(&mut self) -> Next {
        self.step = Step::FindImage;
        Next::Call(Call::FindImage(self.attempt.image.name.clone()))
    }

    /// A pause, and then another look for the image.
    pub(crate) fn wait_for_image(&mut self) -> Next {
        self.wait(Step::WaitImage)
    }

    /// A pause, longer the longer this has waited.
    fn wait(&mut self, step: Step) -> Next {
        let pause = Polling::STATE.pause(self.waited);
        self.waited += pause;
        self.step = step;
        Next::Wait(pause)
    }

    fn describe(&mut self) -> Next {
        let Some(id) = self.snapshot.clone() else {
            return Next::Surprised;
        };
        self.step = Step::Describe;
        Next::Call(Call::DescribeSnapshot(id))
    }

    fn described(&mut self, state: SnapshotState, now: OffsetDateTime) -> Next {
        let is_young = now - self.attempt.started < GRACE;
        match state {
            SnapshotState::Completed => self.register(),
            SnapshotState::NotFound if is_young => self.wait(Step::WaitSnapshot),
            SnapshotState::NotFound => Next::Lost(Lost::Missing),
            SnapshotState::Error => Next::Lost(Lost::Error),
            SnapshotState::Pending => match (self.completed, self.refuses) {
                (Some(at), _) if now - at > LONGEST_COMPLETION => Next::Late(Late::Completion),
                (Some(_), _) => self.wait(Step::WaitSnapshot),
                // Somebody else completed it, or it is of no use.
                (None, Some(at)) if now - at > GRACE => Next::Lost(Lost::Refuses),
                (None, Some(_)) => self.wait(Step::WaitSnapshot),
                (None, None) => self.put_blocks(),
            },
        }
    }

    fn put_blocks(&mut self) -> Next {
        self.waited = Duration::ZERO;
        self.step = Step::PutBlocks;
        Next::PutBlocks(self.snapshot.clone().unwrap_or_default())
    }

    fn complete(&mut self) -> Next {
        self.step = Step::Complete;
        Next::Complete(self.snapshot.clone().unwrap_or_default())
    }

    fn register(&mut self) -> Next {
        self.waited = Duration::ZERO;
        self.step = Step::Register;
        Next::Call(Call::RegisterImage(Box::new(NewImage {
            snapshot: self.snapshot.clone().unwrap_or_default(),
            ..self.attempt.image.clone()
        })))
    }

    /// EC2 says of a snapshot that was completed a moment ago that it is not, or is not there. It is
    /// asked again, after as long again as this has lasted; in the end the snapshot is of no use.
    fn not_registered(&mut self, now: OffsetDateTime) -> Next {
        self.refuses.get_or_insert(now);
        let since = *self.unregistered.get_or_insert(now);
        if now - since > GRACE {
            return Next::Lost(Lost::Unregistered);
        }
        let lasted = Duration::try_from(now - since).unwrap_or_default();
        self.step = Step::WaitRegister;
        Next::Wait(lasted.clamp(Duration::from_secs(1), Duration::from_secs(15)))
    }
}

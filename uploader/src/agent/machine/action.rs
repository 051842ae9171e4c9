//! What the state machine asks for, and what it is told: its whole view of AWS.

use crate::agent::record::{Parent, Record, Stored};
use crate::ami::{BootMode, FailedCall, FoundImage, NewImage, NewSnapshot, SnapshotState};
use crate::request::ImageRef;
use std::time::Duration;
use uuid::Uuid;

/// What is to be done next. Each is answered by one event.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Whether the vault's key signed this: [`Event::Verified`].
    Verify {
        /// SHA-256 of what was signed.
        sha256: [u8; 32],
        /// The signature.
        signature: Vec<u8>,
    },
    /// [`Event::Record`].
    ReadRecord(Uuid),
    /// Writes a record if nobody did since `replaces` was read, or if there is none:
    /// [`Event::Written`], [`Event::Changed`].
    WriteRecord {
        /// The record.
        record: Box<Record>,
        /// ETag of the one before.
        replaces: Option<String>,
    },
    /// [`Event::Manifest`].
    FetchManifest(ImageRef),
    /// The newest snapshot that this one can be based on: [`Event::Parent`].
    FindParent {
        /// The image.
        image: ImageRef,
        /// The key that it has to have.
        kms_key: String,
        /// The new volume's size.
        gib: u32,
    },
    /// [`Event::Snapshot`], [`Event::ParentGone`].
    StartSnapshot(Box<NewSnapshot>),
    /// [`Event::SnapshotIs`].
    LookAtSnapshot(String),
    /// [`Event::Put`], [`Event::NotPending`], [`Event::ParentGone`].
    PutBlocks {
        /// The request, under which progress is told.
        id: Uuid,
        /// The image.
        image: ImageRef,
        /// What the snapshot is based on.
        parent: Option<Parent>,
        /// Where to.
        snapshot: String,
    },
    /// With the count and the checksum of the blocks just put: [`Event::Sealed`],
    /// [`Event::NotPending`].
    CompleteSnapshot(String),
    /// [`Event::Registered`], [`Event::NameTaken`], [`Event::NotPending`].
    RegisterImage(Box<NewImage>),
    /// The account's own image of this name: [`Event::Image`].
    FindImage(String),
    /// Snapshots with this request's tag: [`Event::Snapshots`].
    ListSnapshots(Uuid),
    /// [`Event::Deleted`], [`Event::Missing`], [`Event::InUse`].
    DeleteSnapshot(String),
    /// Puts the message on the dead-letter queue: [`Event::Sent`].
    DeadLetter {
        /// Whose it is; unknown where the message can't be believed.
        id: Option<Uuid>,
        /// Why.
        reason: String,
    },
    /// Takes the message from the queue: [`Event::MessageDeleted`].
    DeleteMessage,
    /// Leaves the message on the queue for that many seconds: [`Event::Released`].
    Release(u32),
    /// Waits so long: [`Event::Woken`].
    Wait(Duration),
    /// Nothing: this was all.
    Done(Outcome),
}

impl Action {
    /// What it is called in an agent's story, and in docs/agent.md.
    pub fn name(&self) -> &'static str {
        match self {
            Action::Verify { .. } => "verify",
            Action::ReadRecord(_) => "read-record",
            Action::WriteRecord { .. } => "write-record",
            Action::FetchManifest(_) => "fetch-manifest",
            Action::FindParent { .. } => "find-parent",
            Action::StartSnapshot(_) => "start-snapshot",
            Action::LookAtSnapshot(_) => "look-at-snapshot",
            Action::PutBlocks { .. } => "put-blocks",
            Action::CompleteSnapshot(_) => "complete-snapshot",
            Action::RegisterImage(_) => "register-image",
            Action::FindImage(_) => "find-image",
            Action::ListSnapshots(_) => "list-snapshots",
            Action::DeleteSnapshot(_) => "delete-snapshot",
            Action::DeadLetter { .. } => "dead-letter",
            Action::DeleteMessage => "delete-message",
            Action::Release(_) => "release",
            Action::Wait(_) => "wait",
            Action::Done(_) => "done",
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Whether the signature is right.
    Verified(bool),
    /// The record, if there is one.
    Record(Option<Box<Stored>>),
    /// The record is written, and has this ETag.
    Written(String),
    /// Somebody else wrote the record first.
    Changed,
    /// The manifest is in order.
    Manifest(Facts),
    /// A snapshot to base on, or none.
    Parent(Option<Parent>),
    /// A snapshot is started, or was with the same token.
    Snapshot(String),
    /// The parent snapshot, or its manifest, is no more.
    ParentGone,
    /// What a snapshot is.
    SnapshotIs(SnapshotState),
    /// All blocks are put.
    Put,
    /// The snapshot is not in the state in which this can be done.
    NotPending,
    /// The snapshot is complete, or will be.
    Sealed,
    /// The image is registered.
    Registered(String),
    /// There is an image of that name.
    NameTaken,
    /// The image of that name.
    Image(Option<FoundImage>),
    /// Ids of snapshots.
    Snapshots(Vec<String>),
    /// The snapshot is gone.
    Deleted,
    /// There is no such snapshot, or it is not seen yet.
    Missing,
    /// An image needs the snapshot.
    InUse,
    /// The dead-letter queue has it.
    Sent,
    /// The message is gone from the queue.
    MessageDeleted,
    /// The message will come again.
    Released,
    /// Time has passed.
    Woken,
    /// It did not work; whether it was carried out is not known.
    Failed(FailedCall),
}

/// Of a manifest, what the machine has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Size of the volume.
    pub gib: u32,
    /// How the image boots.
    pub boot: BootMode,
}

/// How the work on a message ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The request has its AMI.
    Finished {
        /// The AMI.
        ami: String,
    },
    /// The request can't succeed.
    Failed {
        /// Why.
        reason: String,
        /// What is left of it.
        left: Vec<String>,
    },
    /// The message is no request of this vault's.
    Rejected {
        /// Why.
        reason: String,
    },
    /// It comes again.
    Released {
        /// Why.
        reason: String,
        /// Seconds until then.
        delay: u32,
    },
}

//! What the state machine asks for, and what it is told: its whole view of AWS.

use crate::agent::record::{Parent, Record, Stored};
use crate::ami::{Answer, BootMode, Call, FailedCall};
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
    /// [`Event::RecordWritten`], [`Event::RecordChanged`].
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
    /// This call: [`Event::Ami`].
    Ami(Call),
    /// [`Event::Ami`], of [`Answer::BlocksPut`].
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
    /// With the count and the checksum of the blocks just put: [`Event::Ami`], of
    /// [`Answer::Completed`].
    CompleteSnapshot(String),
    /// Snapshots with this request's tag: [`Event::Snapshots`].
    ListSnapshots(Uuid),
    /// Puts the message on the dead-letter queue: [`Event::DeadLetterSent`].
    DeadLetter {
        /// Whose it is; unknown where the message can't be believed.
        id: Option<Uuid>,
        /// Why.
        reason: String,
    },
    /// Takes the message from the queue: [`Event::MessageDeleted`].
    DeleteMessage,
    /// Leaves the message on the queue for that many seconds: [`Event::MessageReleased`].
    Release(u32),
    /// Waits so long: [`Event::Ami`], of [`Answer::Waited`].
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
            Action::Ami(call) => call.name(),
            Action::PutBlocks { .. } => "put-blocks",
            Action::CompleteSnapshot(_) => "complete-snapshot",
            Action::ListSnapshots(_) => "list-snapshots",
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
    RecordWritten(String),
    /// Somebody else wrote the record first.
    RecordChanged,
    /// The manifest is in order.
    Manifest(Facts),
    /// A snapshot to base on, or none.
    Parent(Option<Parent>),
    /// What came of a call, of putting blocks, of a completion, or of a pause.
    Ami(Answer),
    /// Ids of snapshots.
    Snapshots(Vec<String>),
    /// The dead-letter queue has it.
    DeadLetterSent,
    /// The message is gone from the queue.
    MessageDeleted,
    /// The message will come again.
    MessageReleased,
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

//! Calls of EC2 and EBS as values: what a state machine asks for, and what comes of it.

use super::failed_call::FailedCall;
use super::images::{self, FoundImage, NewImage, Registered};
use super::snapshots::{self, Completed, Deleted, NewSnapshot, SnapshotState, Started};
use crate::aws::{AwsError, Session};

/// A call that needs nothing but what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// [`Answer::Started`].
    StartSnapshot(Box<NewSnapshot>),
    /// [`Answer::Snapshot`].
    DescribeSnapshot(String),
    /// [`Answer::Deleted`].
    DeleteSnapshot(String),
    /// [`Answer::Registered`].
    RegisterImage(Box<NewImage>),
    /// The account's own image of this name: [`Answer::Image`].
    FindImage(String),
    /// [`Answer::Deregistered`].
    DeregisterImage(String),
}

/// What came of a call that did not fail, or of a step that is more than one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The snapshot was to be started.
    Started(Started),
    /// What the snapshot is.
    Snapshot(SnapshotState),
    /// Blocks were to be put into it.
    BlocksPut(BlocksPut),
    /// It was to be completed.
    Completed(Completed),
    /// It was to be deleted.
    Deleted(Deleted),
    /// An image was to be registered.
    Registered(Registered),
    /// The image of that name.
    Image(Option<FoundImage>),
    /// The image is gone.
    Deregistered,
    /// Time has passed.
    Waited,
}

/// What came of putting a snapshot's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlocksPut {
    /// All are there.
    All,
    /// What the parent holds is not known: its manifest is gone or broken.
    ParentUnknown,
    /// The snapshot takes none.
    NotPending,
}

impl Call {
    /// What it is called in docs/agent.md, and by `uploader agent --verbose`.
    pub fn name(&self) -> &'static str {
        match self {
            Call::StartSnapshot(_) => "start-snapshot",
            Call::DescribeSnapshot(_) => "look-at-snapshot",
            Call::DeleteSnapshot(_) => "delete-snapshot",
            Call::RegisterImage(_) => "register-image",
            Call::FindImage(_) => "find-image",
            Call::DeregisterImage(_) => "deregister-image",
        }
    }

    /// Makes the call.
    ///
    /// # Errors
    /// EC2 or EBS refuses, or does not answer: then it is not known whether the call was carried out.
    pub(crate) async fn make(&self, session: &Session) -> Result<Answer, FailedCall> {
        let answer: Result<Answer, AwsError> = match self {
            Call::StartSnapshot(new) => snapshots::start(session, new).await.map(Answer::Started),
            Call::DescribeSnapshot(id) => snapshots::state(session, id).await.map(Answer::Snapshot),
            Call::DeleteSnapshot(id) => snapshots::delete(session, id).await.map(Answer::Deleted),
            Call::RegisterImage(new) => {
                images::register(session, new).await.map(Answer::Registered)
            }
            Call::FindImage(name) => images::find(session, name).await.map(Answer::Image),
            Call::DeregisterImage(id) => images::deregister(session, id)
                .await
                .map(|()| Answer::Deregistered),
        };
        answer.map_err(FailedCall::from)
    }
}

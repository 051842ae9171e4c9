//! Snapshots: started, looked at, completed and deleted.

use super::failed_call::may_pass;
use crate::aws::{AwsError, Kind, Session, ec2};
use aws_sdk_ebs::types::{ChecksumAggregationMethod, ChecksumAlgorithm, Tag};
use aws_sdk_ec2::types::{Snapshot, SnapshotState as Ec2State};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Minutes after which EBS gives a snapshot up that nobody puts blocks into: time enough for a
/// successor to come.
const TIMEOUT: i32 = 240;

/// A snapshot to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSnapshot {
    /// Two calls with the same token start one snapshot.
    pub token: String,
    /// The snapshot that it is based on.
    pub parent: Option<String>,
    /// ARN of the key; with a parent it has to be the parent's.
    pub kms_key: String,
    /// Size of the volume.
    pub gib: u32,
    /// By which whoever finds it knows who made it, and for what.
    pub description: String,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

/// What a snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotState {
    /// It takes blocks, or is on its way to completion.
    Pending,
    /// It is whole.
    Completed,
    /// Of no use.
    Error,
    /// Not there, or not there yet.
    NotFound,
}

/// What came of the start of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Started {
    /// It is there, or was started with the same token before: its id.
    Snapshot(String),
    /// Not with this parent or not with this token: another attempt may do.
    ParentRefused,
}

/// What came of the completion of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completed {
    /// EBS has all blocks, and seals it.
    Accepted,
    /// It is not pending any more, or is not the snapshot that count and checksum are of.
    NotPending,
}

/// What came of the deletion of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone.
    Gone,
    /// There is none such, or none that EC2 sees yet.
    Missing,
    /// An image needs it.
    InUse,
}

/// Starts a snapshot, or finds the one that was started with the same token.
pub(crate) async fn start(session: &Session, new: &NewSnapshot) -> Result<Started, AwsError> {
    const OPERATION: &str = "ebs StartSnapshot";
    let mut call = session
        .ebs
        .start_snapshot()
        .client_token(&new.token)
        .volume_size(i64::from(new.gib))
        .description(&new.description)
        .timeout(TIMEOUT);
    for (key, value) in &new.tags {
        call = call.tags(Tag::builder().key(key).value(value).build());
    }
    call = match &new.parent {
        // The key is the parent's: EBS takes none beside it.
        Some(parent) => call.parent_snapshot_id(parent),
        None => call.encrypted(true).kms_key_arn(&new.kms_key),
    };
    let answer = call.send().await;
    match answer.map_err(|error| AwsError::new(OPERATION, error)) {
        Ok(answer) => match answer.snapshot_id {
            Some(id) if is_snapshot(&id) => Ok(Started::Snapshot(id)),
            _ => Err(AwsError::without_id(OPERATION, "snapshot")),
        },
        Err(error) if may_pass(&error) => Err(error),
        // Whatever is wrong with the parent, without one it may work. Or the token was used for
        // something else: the next attempt has another.
        Err(error) => match error.kind {
            Kind::NotFound | Kind::Refused if new.parent.is_some() => Ok(Started::ParentRefused),
            Kind::Conflict => Ok(Started::ParentRefused),
            _ => Err(AwsError {
                message: format!("{} (the key is {})", error.message, new.kms_key),
                ..error
            }),
        },
    }
}

/// What a snapshot is.
pub(crate) async fn state(session: &Session, id: &str) -> Result<SnapshotState, AwsError> {
    let snapshot = ec2::snapshot(session, id).await?;
    Ok(match snapshot.as_ref().and_then(Snapshot::state) {
        Some(Ec2State::Completed) => SnapshotState::Completed,
        Some(Ec2State::Error) => SnapshotState::Error,
        Some(_) => SnapshotState::Pending,
        None => SnapshotState::NotFound,
    })
}

/// Completes a snapshot of `count` blocks, whose digests have this checksum.
pub(crate) async fn complete(
    session: &Session,
    id: &str,
    count: usize,
    linear: &[u8; 32],
) -> Result<Completed, AwsError> {
    let answer = session
        .ebs
        .complete_snapshot()
        .snapshot_id(id)
        .changed_blocks_count(i32::try_from(count).unwrap_or(i32::MAX))
        .checksum(STANDARD.encode(linear))
        .checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256)
        .checksum_aggregation_method(ChecksumAggregationMethod::ChecksumAggregationLinear)
        .send()
        .await
        .map_err(|error| AwsError::new("ebs CompleteSnapshot", error));
    match answer {
        Ok(_) => Ok(Completed::Accepted),
        Err(error) if may_pass(&error) => Err(error),
        Err(error) if matches!(error.kind, Kind::NotFound | Kind::Refused | Kind::Conflict) => {
            tracing::debug!(%error, snapshot = id, "not completed");
            Ok(Completed::NotPending)
        }
        Err(error) => Err(error),
    }
}

/// Deletes a snapshot, unless an image needs it.
pub(crate) async fn delete(session: &Session, id: &str) -> Result<Deleted, AwsError> {
    let answer = session
        .ec2
        .delete_snapshot()
        .snapshot_id(id)
        .send()
        .await
        .map_err(|error| AwsError::new("ec2 DeleteSnapshot", error));
    match answer {
        Ok(_) => Ok(Deleted::Gone),
        Err(error) if error.kind == Kind::NotFound => Ok(Deleted::Missing),
        Err(error) if error.code == "InvalidSnapshot.InUse" => Ok(Deleted::InUse),
        Err(error) => Err(error),
    }
}

/// An id as EC2 makes them.
fn is_snapshot(id: &str) -> bool {
    let is_tail =
        |tail: &str| !tail.is_empty() && tail.bytes().all(|byte| byte.is_ascii_alphanumeric());
    id.len() <= 64 && id.strip_prefix("snap-").is_some_and(is_tail)
}

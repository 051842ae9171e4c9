//! Snapshots: started, looked at, completed, listed and deleted.

use super::machine::action::{Event, NewSnapshot, SnapshotState};
use super::record::{Parent, Phase};
use super::{journal, tags};
use crate::ami::failed_call as fault;
use crate::aws::{AwsError, Kind, Session};
use crate::request::ImageRef;
use crate::vault::Names;
use aws_sdk_ebs::types::{ChecksumAggregationMethod, ChecksumAlgorithm, Tag};
use aws_sdk_ec2::types::{Filter, Snapshot, SnapshotState as Ec2State};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

/// Minutes after which EBS gives a snapshot up that nobody puts blocks into: time enough for a
/// successor to come.
const TIMEOUT: i32 = 240;
/// Most snapshots of one request, or one image, that are looked at.
const MAX_SNAPSHOTS: usize = 1000;
/// Most of them that are asked about as parents.
const MAX_PARENTS: usize = 10;

/// Starts a snapshot, or finds the one that was started with the same token.
pub(crate) async fn start(session: &Session, new: &NewSnapshot) -> Event {
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
        Some(parent) => call.parent_snapshot_id(&parent.snapshot),
        None => call.encrypted(true).kms_key_arn(&new.kms_key),
    };
    match call.send().await {
        Ok(answer) => match answer.snapshot_id {
            Some(id) if is_snapshot(&id) => Event::Snapshot(id),
            _ => fault::transient("ebs StartSnapshot: the answer names no snapshot"),
        },
        Err(error) => {
            let error = AwsError::new("ebs StartSnapshot", error);
            match error.kind {
                _ if fault::is_transient(&error) => fault::of(&error),
                // Whatever is wrong with the parent, without one it may work. Or the token was
                // used for something else: the next attempt has another.
                Kind::NotFound | Kind::Refused if new.parent.is_some() => Event::ParentGone,
                Kind::Conflict => Event::ParentGone,
                _ => Event::Fault(super::machine::action::Fault {
                    text: format!("{error} (the key is {})", new.kms_key),
                    is_transient: false,
                    is_denied: error.kind == Kind::Denied,
                    sign_in: None,
                }),
            }
        }
    }
}

/// What a snapshot is.
pub(crate) async fn look(session: &Session, id: &str) -> Event {
    let answer = session
        .ec2
        .describe_snapshots()
        .snapshot_ids(id)
        .send()
        .await
        .map_err(|error| AwsError::new("ec2 DescribeSnapshots", error));
    let state = match answer {
        Ok(answer) => match answer.snapshots().first().and_then(Snapshot::state) {
            Some(Ec2State::Completed) => SnapshotState::Completed,
            Some(Ec2State::Error) => SnapshotState::Error,
            Some(_) => SnapshotState::Pending,
            None => SnapshotState::NotFound,
        },
        Err(error) if error.kind == Kind::NotFound => SnapshotState::NotFound,
        Err(error) => return fault::of(&error),
    };
    Event::SnapshotIs(state)
}

/// Completes a snapshot of `count` blocks, whose digests have this checksum.
pub(crate) async fn complete(
    session: &Session,
    id: &str,
    count: usize,
    linear: &[u8; 32],
) -> Event {
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
        Ok(_) => Event::Sealed,
        Err(error) if fault::is_transient(&error) => fault::of(&error),
        Err(error) if matches!(error.kind, Kind::NotFound | Kind::Refused | Kind::Conflict) => {
            tracing::debug!(%error, snapshot = id, "not completed");
            Event::NotPending
        }
        Err(error) => fault::of(&error),
    }
}

/// Deletes a snapshot, unless an image needs it.
pub(crate) async fn delete(session: &Session, id: &str) -> Event {
    let answer = session
        .ec2
        .delete_snapshot()
        .snapshot_id(id)
        .send()
        .await
        .map_err(|error| AwsError::new("ec2 DeleteSnapshot", error));
    match answer {
        Ok(_) => Event::Deleted,
        Err(error) if error.kind == Kind::NotFound => Event::Missing,
        Err(error) if error.code == "InvalidSnapshot.InUse" => Event::InUse,
        Err(error) => fault::of(&error),
    }
}

/// Ids of the snapshots that agents made for a request.
pub(super) async fn list(session: &Session, names: &Names, id: &Uuid) -> Event {
    match tagged(session, names, tags::REQUEST, &id.to_string()).await {
        Ok(found) => {
            let ours = found.iter().filter(|it| request_of(it) == Some(*id));
            Event::Snapshots(
                ours.filter_map(|it| it.snapshot_id().map(str::to_owned))
                    .collect(),
            )
        }
        Err(error) => fault::of(&error),
    }
}

/// The newest snapshot of an image that another can be based on: it is complete, has the key, fits,
/// belongs to a finished request, and its manifest is in the vault.
pub(super) async fn find_parent(
    session: &Session,
    names: &Names,
    image: &ImageRef,
    kms_key: &str,
    gib: u32,
) -> Event {
    let mut found = match tagged(session, names, tags::IMAGE, &image.name).await {
        Ok(found) => found,
        Err(error) => return fault::of(&error),
    };
    found.retain(|it| {
        let fits = it
            .volume_size()
            .is_some_and(|it| i64::from(it) <= i64::from(gib));
        it.state() == Some(&Ec2State::Completed)
            && it.encrypted() == Some(true)
            && it.kms_key_id() == Some(kms_key)
            && fits
    });
    found.sort_by_key(|it| std::cmp::Reverse(it.start_time().map(|it| it.secs())));
    for snapshot in found.iter().take(MAX_PARENTS) {
        match vouched(session, names, snapshot).await {
            Ok(Some(parent)) if parent.image.name == image.name => {
                return Event::Parent(Some(parent));
            }
            Ok(_) => {}
            Err(error) => return error,
        }
    }
    Event::Parent(None)
}

/// A snapshot as the vault's own records know it. Tags alone are not believed: whoever may tag could
/// pass any snapshot off as any image.
async fn vouched(
    session: &Session,
    names: &Names,
    snapshot: &Snapshot,
) -> Result<Option<Parent>, Event> {
    let (Some(id), Some(request)) = (snapshot.snapshot_id(), request_of(snapshot)) else {
        return Ok(None);
    };
    let stored = match journal::read(session, names, &request).await {
        Ok(stored) => stored,
        Err(journal::JournalError::Broken { .. }) => None,
        Err(journal::JournalError::Aws(error)) => return Err(fault::of(&error)),
    };
    let record = stored
        .map(|it| it.record)
        .filter(|it| it.phase == Phase::Finished && it.snapshot.as_deref() == Some(id));
    let Some(record) = record else {
        return Ok(None);
    };
    let key = Names::manifest_key(&record.image.name, &record.image.digest);
    let head = session
        .s3
        .head_object()
        .bucket(names.bucket())
        .key(key)
        .expected_bucket_owner(&names.account)
        .send()
        .await
        .map_err(|error| AwsError::new("s3 HeadObject", error));
    match head {
        Ok(_) => Ok(Some(Parent {
            snapshot: id.to_owned(),
            image: record.image,
        })),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(fault::of(&error)),
    }
}

/// The account's own snapshots of this vault that have a tag.
pub(super) async fn tagged(
    session: &Session,
    names: &Names,
    key: &str,
    value: &str,
) -> Result<Vec<Snapshot>, AwsError> {
    let filter = |key: &str, value: &str| {
        Filter::builder()
            .name(format!("tag:{key}"))
            .values(value)
            .build()
    };
    let mut pages = session
        .ec2
        .describe_snapshots()
        .owner_ids("self")
        .filters(filter(tags::VAULT, &names.vault))
        .filters(filter(key, value))
        .into_paginator()
        .page_size(500)
        .send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new("ec2 DescribeSnapshots", error))?;
        found.extend(page.snapshots.unwrap_or_default());
        if found.len() >= MAX_SNAPSHOTS {
            break;
        }
    }
    Ok(found)
}

/// The request that an agent made a snapshot for, by its tag and description: a copy has at most
/// one of them.
pub(super) fn request_of(snapshot: &Snapshot) -> Option<Uuid> {
    let tag = snapshot
        .tags()
        .iter()
        .find(|it| it.key() == Some(tags::REQUEST))?;
    let id = Uuid::try_parse(tag.value()?).ok()?;
    let description = snapshot.description()?;
    let of_request = description.strip_prefix(&tags::snapshot_prefix(&id))?;
    of_request.parse::<u32>().ok()?;
    Some(id)
}

/// An id as EC2 makes them.
fn is_snapshot(id: &str) -> bool {
    id.len() <= 64
        && id
            .strip_prefix("snap-")
            .is_some_and(|it| !it.is_empty() && it.bytes().all(|it| it.is_ascii_alphanumeric()))
}

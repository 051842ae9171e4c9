//! Snapshots that agents made, by their tags: a request's own, and those that another can be based on.

use super::journal::{self, JournalError};
use super::record::{Parent, Phase};
use super::tags;
use crate::aws::{AwsError, ec2};
use crate::request::ImageRef;
use crate::vault::{Names, Vault};
use aws_sdk_ec2::types::{Snapshot, SnapshotState};
use uuid::Uuid;

/// Most snapshots of one request, or one image, that are looked at.
const MAX_SNAPSHOTS: usize = 1000;
/// Most of them that are asked about as parents.
const MAX_PARENTS: usize = 10;

/// Ids of the snapshots that agents made for a request.
pub(super) async fn list(vault: &Vault, id: &Uuid) -> Result<Vec<String>, AwsError> {
    let found = with_tag(vault, tags::REQUEST, &id.to_string()).await?;
    let ours = found
        .iter()
        .filter(|snapshot| request_of(snapshot) == Some(*id));
    Ok(ours
        .filter_map(|snapshot| snapshot.snapshot_id().map(str::to_owned))
        .collect())
}

/// The newest snapshot of an image that another can be based on: it is complete, has the key, fits,
/// belongs to a finished request, and its manifest is in the vault.
pub(super) async fn find_parent(
    vault: &Vault,
    image: &ImageRef,
    kms_key: &str,
    gib: u32,
) -> Result<Option<Parent>, AwsError> {
    let mut found = with_tag(vault, tags::IMAGE, &image.name).await?;
    found.retain(|it| {
        let fits = it
            .volume_size()
            .is_some_and(|it| i64::from(it) <= i64::from(gib));
        it.state() == Some(&SnapshotState::Completed)
            && it.encrypted() == Some(true)
            && it.kms_key_id() == Some(kms_key)
            && fits
    });
    found.sort_by_key(|it| std::cmp::Reverse(it.start_time().map(|it| it.secs())));
    for snapshot in found.iter().take(MAX_PARENTS) {
        let parent = vouched(vault, snapshot).await?;
        if parent
            .as_ref()
            .is_some_and(|parent| parent.image.name == image.name)
        {
            return Ok(parent);
        }
    }
    Ok(None)
}

/// A snapshot as the vault's own records know it. Tags alone are not believed: whoever may tag could
/// pass any snapshot off as any image.
async fn vouched(vault: &Vault, snapshot: &Snapshot) -> Result<Option<Parent>, AwsError> {
    let (Some(id), Some(request)) = (snapshot.snapshot_id(), request_of(snapshot)) else {
        return Ok(None);
    };
    let stored = match journal::read(vault, &request).await {
        Ok(stored) => stored,
        Err(JournalError::Broken { .. }) => None,
        Err(JournalError::Aws(error)) => return Err(error),
    };
    let record = stored
        .map(|it| it.record)
        .filter(|it| it.phase == Phase::Finished && it.snapshot.as_deref() == Some(id));
    let Some(record) = record else {
        return Ok(None);
    };
    let key = Names::manifest_key(&record.image.name, &record.image.digest);
    let head = vault.bucket().head(&key).await?;
    Ok(head.map(|_| Parent {
        snapshot: id.to_owned(),
        image: record.image,
    }))
}

/// The account's own snapshots of this vault that have a tag.
pub(super) async fn with_tag(
    vault: &Vault,
    key: &str,
    value: &str,
) -> Result<Vec<Snapshot>, AwsError> {
    let filters = vec![
        ec2::tag_filter(tags::VAULT, &vault.names.vault),
        ec2::tag_filter(key, value),
    ];
    ec2::own_snapshots(&vault.session, filters, MAX_SNAPSHOTS).await
}

/// The request that an agent made a snapshot for, by its tag and description: a copy has at most
/// one of them.
pub(super) fn request_of(snapshot: &Snapshot) -> Option<Uuid> {
    let tag = ec2::tag(snapshot.tags(), tags::REQUEST)?;
    let id = Uuid::try_parse(tag).ok()?;
    let description = snapshot.description()?;
    let of_request = description.strip_prefix(&tags::snapshot_prefix(&id))?;
    of_request.parse::<u32>().ok()?;
    Some(id)
}

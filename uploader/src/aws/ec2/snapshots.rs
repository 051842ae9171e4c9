//! Snapshots and volumes.

use super::known;
use crate::aws::{AwsError, Session};
use aws_sdk_ec2::types::{Filter, Snapshot, Volume};

const DESCRIBE_SNAPSHOTS: &str = "ec2 DescribeSnapshots";
/// Snapshots in one answer: an account may have many thousands.
const PAGE: i32 = 500;

/// A snapshot that the account may use, whoever owns it.
///
/// # Errors
/// EC2 refuses.
pub async fn snapshot(session: &Session, id: &str) -> Result<Option<Snapshot>, AwsError> {
    let call = session.ec2.describe_snapshots().snapshot_ids(id);
    let answer = call.send().await;
    let answer = known(answer.map_err(|error| AwsError::new(DESCRIBE_SNAPSHOTS, error)))?;
    Ok(answer.and_then(|answer| answer.snapshots?.into_iter().next()))
}

/// The account's own snapshots that all filters let through. No more pages are asked for once there are
/// `enough`.
///
/// # Errors
/// EC2 refuses.
pub async fn own_snapshots(
    session: &Session,
    filters: Vec<Filter>,
    enough: usize,
) -> Result<Vec<Snapshot>, AwsError> {
    let call = session.ec2.describe_snapshots().owner_ids("self");
    let mut pages = call
        .set_filters(Some(filters))
        .into_paginator()
        .page_size(PAGE)
        .send();
    let mut snapshots = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new(DESCRIBE_SNAPSHOTS, error))?;
        snapshots.extend(page.snapshots.unwrap_or_default());
        if snapshots.len() >= enough {
            break;
        }
    }
    Ok(snapshots)
}

/// The account's volumes that all filters let through.
///
/// # Errors
/// EC2 refuses.
pub async fn volumes(session: &Session, filters: Vec<Filter>) -> Result<Vec<Volume>, AwsError> {
    let call = session.ec2.describe_volumes().set_filters(Some(filters));
    let mut pages = call.into_paginator().send();
    let mut volumes = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new("ec2 DescribeVolumes", error))?;
        volumes.extend(page.volumes.unwrap_or_default());
    }
    Ok(volumes)
}

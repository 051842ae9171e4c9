//! EC2's images, as far as they are looked at here.

use crate::aws::{AwsError, Kind, Session};
use aws_sdk_ec2::types::{Filter, Image};

/// The account's own images with these tags.
///
/// # Errors
/// EC2 refuses.
pub(super) async fn tagged(
    session: &Session,
    tags: &[(&str, &str)],
) -> Result<Vec<Image>, AwsError> {
    let filters = tags.iter().map(|(key, value)| {
        let filter = Filter::builder().name(format!("tag:{key}"));
        filter.values(*value).build()
    });
    let call = session.ec2.describe_images().owners("self");
    let mut pages = call
        .set_filters(Some(filters.collect()))
        .into_paginator()
        .send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new("ec2 DescribeImages", error))?;
        found.extend(page.images.unwrap_or_default());
    }
    Ok(found)
}

/// One image, once EC2 knows it.
///
/// # Errors
/// EC2 refuses.
pub(super) async fn look(session: &Session, ami: &str) -> Result<Option<Image>, AwsError> {
    let answer = session
        .ec2
        .describe_images()
        .image_ids(ami)
        .send()
        .await
        .map_err(|error| AwsError::new("ec2 DescribeImages", error));
    match answer {
        Ok(answer) => Ok(answer.images.unwrap_or_default().into_iter().next()),
        // EC2 may not know it yet.
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) if error.is_transient() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A tag's value.
pub(super) fn tag<'a>(image: &'a Image, key: &str) -> Option<&'a str> {
    let found = image.tags().iter().find(|it| it.key() == Some(key))?;
    found.value()
}

/// Its root's snapshot.
pub(super) fn root_snapshot(image: &Image) -> Option<&str> {
    let devices = image.block_device_mappings().iter();
    devices
        .filter(|it| it.device_name() == image.root_device_name())
        .find_map(|it| it.ebs()?.snapshot_id())
}

//! Images (AMIs).

use super::known;
use crate::aws::{AwsError, Session};
use aws_sdk_ec2::types::{Filter, Image};

const DESCRIBE_IMAGES: &str = "ec2 DescribeImages";

/// An image that the account may use, whoever owns it.
///
/// # Errors
/// EC2 refuses.
pub async fn image(session: &Session, id: &str) -> Result<Option<Image>, AwsError> {
    let call = session.ec2.describe_images().image_ids(id);
    let answer = call.send().await;
    let answer = known(answer.map_err(|error| AwsError::new(DESCRIBE_IMAGES, error)))?;
    Ok(answer.and_then(|answer| answer.images?.into_iter().next()))
}

/// The account's own image of this id, also one that is disabled or deprecated.
///
/// # Errors
/// EC2 refuses.
pub async fn own_image(session: &Session, id: &str) -> Result<Option<Image>, AwsError> {
    let call = session.ec2.describe_images().image_ids(id).owners("self");
    let call = call.include_deprecated(true).include_disabled(true);
    let answer = call.send().await;
    let answer = known(answer.map_err(|error| AwsError::new(DESCRIBE_IMAGES, error)))?;
    Ok(answer.and_then(|answer| answer.images?.into_iter().next()))
}

/// The account's own images that all filters let through, also those that are disabled or deprecated.
///
/// # Errors
/// EC2 refuses.
pub async fn own_images(session: &Session, filters: Vec<Filter>) -> Result<Vec<Image>, AwsError> {
    let call = session.ec2.describe_images().owners("self");
    let mut pages = call
        .set_filters(Some(filters))
        .include_deprecated(true)
        .include_disabled(true)
        .into_paginator()
        .send();
    let mut images = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new(DESCRIBE_IMAGES, error))?;
        images.extend(page.images.unwrap_or_default());
    }
    Ok(images)
}

/// The snapshot of an image's root.
pub fn root_snapshot(image: &Image) -> Option<&str> {
    let root = image.root_device_name()?;
    let mut devices = image.block_device_mappings().iter();
    let device = devices.find(|device| device.device_name() == Some(root))?;
    device.ebs()?.snapshot_id()
}

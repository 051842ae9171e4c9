//! Instances, asked for and terminated.

use super::instance::{Instance, is_id};
use super::tags::CONVERTER;
use crate::aws::{AwsError, Kind, Session};
use crate::vault::Names;
use aws_sdk_ec2::types::Filter;

/// All of a vault's converters by launch time, those that are gone included for the hour or so that
/// EC2 lists them.
///
/// # Errors
/// EC2 refuses.
pub async fn of_vault(session: &Session, names: &Names) -> Result<Vec<Instance>, AwsError> {
    listed(session, &format!("tag:{CONVERTER}"), &[&names.vault]).await
}

/// Those that run of an AMI, whatever their tags.
pub(super) async fn of_ami(session: &Session, ami: &str) -> Result<Vec<Instance>, AwsError> {
    listed(session, "image-id", &[ami]).await
}

/// Whichever of these names are ids of instances that EC2 lists.
pub(super) async fn among(session: &Session, names: &[&str]) -> Result<Vec<Instance>, AwsError> {
    let ids: Vec<&str> = names.iter().copied().filter(|it| is_id(it)).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    listed(session, "instance-id", &ids).await
}

async fn listed(session: &Session, name: &str, any: &[&str]) -> Result<Vec<Instance>, AwsError> {
    let values = any.iter().map(|&it| it.to_owned()).collect();
    let filter = Filter::builder().name(name).set_values(Some(values));
    let call = session.ec2.describe_instances().filters(filter.build());
    let mut pages = call.into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new("ec2 DescribeInstances", error))?;
        for reservation in page.reservations() {
            found.extend(reservation.instances().iter().filter_map(Instance::of));
        }
    }
    found.sort_by(|a, b| (a.launched, &a.id).cmp(&(b.launched, &b.id)));
    Ok(found)
}

/// Ids of the instances that are pending or running and have a tag.
///
/// # Errors
/// EC2 refuses.
pub(crate) async fn up_with_tag(
    session: &Session,
    key: &str,
    value: &str,
) -> Result<Vec<String>, AwsError> {
    let found = listed(session, &format!("tag:{key}"), &[value]).await?;
    let up = found.into_iter().filter(Instance::is_up);
    Ok(up.map(|it| it.id).collect())
}

/// One instance; `None` if EC2 does not know it (yet, or any more).
///
/// # Errors
/// EC2 refuses.
pub(crate) async fn one(session: &Session, id: &str) -> Result<Option<Instance>, AwsError> {
    let call = session.ec2.describe_instances().instance_ids(id);
    let answer = call.send().await;
    match answer.map_err(|error| AwsError::new("ec2 DescribeInstances", error)) {
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(answer) => {
            let mut all = answer.reservations().iter().flat_map(|it| it.instances());
            Ok(all.find_map(Instance::of))
        }
    }
}

/// Terminates an instance; it is no error if it is gone already.
///
/// # Errors
/// EC2 refuses.
pub async fn terminate(session: &Session, id: &str) -> Result<(), AwsError> {
    let call = session.ec2.terminate_instances().instance_ids(id);
    let answer = call.send().await;
    match answer.map_err(|error| AwsError::new("ec2 TerminateInstances", error)) {
        Err(error) if error.kind != Kind::NotFound => Err(error),
        _ => Ok(()),
    }
}

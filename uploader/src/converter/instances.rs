//! The vault's instances, as EC2 lists them.

use super::judge::{Machine, MachineState};
use super::tags::CONVERTER;
use crate::aws::{AwsError, Kind, Session};
use crate::vault::Names;
use aws_sdk_ec2::types::{Filter, Instance, InstanceStateName};
use time::OffsetDateTime;

/// All of a vault's converters, those that are gone included as long as EC2 lists them, and
/// whichever of `ids` are instances without the tag.
///
/// # Errors
/// EC2 refuses.
pub async fn of_vault(
    session: &Session,
    names: &Names,
    ids: &[String],
    now: OffsetDateTime,
) -> Result<Vec<Machine>, AwsError> {
    let filter = |name: &str, values: Vec<String>| {
        Filter::builder()
            .name(name)
            .set_values(Some(values))
            .build()
    };
    let tag = filter(&format!("tag:{CONVERTER}"), vec![names.vault.clone()]);
    let mut found = listed(session, tag, now).await?;
    let others: Vec<String> = ids
        .iter()
        .filter(|id| is_instance(id) && !found.iter().any(|it| it.id == **id))
        .cloned()
        .collect();
    if !others.is_empty() {
        found.extend(listed(session, filter("instance-id", others), now).await?);
    }
    Ok(found)
}

fn is_instance(id: &str) -> bool {
    let digits = id.strip_prefix("i-").unwrap_or_default();
    matches!(digits.len(), 8 | 17) && digits.bytes().all(|it| it.is_ascii_hexdigit())
}

async fn listed(
    session: &Session,
    filter: Filter,
    now: OffsetDateTime,
) -> Result<Vec<Machine>, AwsError> {
    let found = all(session, filter).await?;
    Ok(found.iter().filter_map(|it| machine(it, now)).collect())
}

async fn all(session: &Session, filter: Filter) -> Result<Vec<Instance>, AwsError> {
    let call = session.ec2.describe_instances().filters(filter);
    let mut pages = call.into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new("ec2 DescribeInstances", error))?;
        for reservation in page.reservations.unwrap_or_default() {
            found.extend(reservation.instances.unwrap_or_default());
        }
    }
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
    let tag = Filter::builder().name(format!("tag:{key}")).values(value);
    let mut found = all(session, tag.build()).await?;
    found.retain(is_up);
    Ok(found.into_iter().filter_map(|it| it.instance_id).collect())
}

/// What EC2 says of one instance; `None` if it does not know it (yet, or any more).
///
/// # Errors
/// EC2 refuses.
pub(crate) async fn one(session: &Session, id: &str) -> Result<Option<Instance>, AwsError> {
    let answer = session
        .ec2
        .describe_instances()
        .instance_ids(id)
        .send()
        .await
        .map_err(|error| AwsError::new("ec2 DescribeInstances", error));
    let answer = match answer {
        Err(error) if error.kind == Kind::NotFound => return Ok(None),
        answer => answer?,
    };
    let mut reservations = answer.reservations.unwrap_or_default().into_iter();
    Ok(reservations.find_map(|it| it.instances.unwrap_or_default().into_iter().next()))
}

/// Whether an instance is pending or running.
pub(crate) fn is_up(instance: &Instance) -> bool {
    let state = instance.state().and_then(|it| it.name());
    matches!(
        state,
        Some(InstanceStateName::Pending | InstanceStateName::Running)
    )
}

fn machine(instance: &Instance, now: OffsetDateTime) -> Option<Machine> {
    let launched = instance
        .launch_time()
        .and_then(|it| OffsetDateTime::from_unix_timestamp(it.secs()).ok());
    Some(Machine {
        id: instance.instance_id()?.to_owned(),
        state: match is_up(instance) {
            true => MachineState::Up,
            false => MachineState::Down,
        },
        age: launched.map_or(0, |it| (now - it).whole_seconds()),
    })
}

/// Terminates an instance; it is no error if it is gone already.
///
/// # Errors
/// EC2 refuses.
pub async fn terminate(session: &Session, id: &str) -> Result<(), AwsError> {
    let answer = session
        .ec2
        .terminate_instances()
        .instance_ids(id)
        .send()
        .await
        .map_err(|error| AwsError::new("ec2 TerminateInstances", error));
    match answer {
        Err(error) if error.kind != Kind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_names_are_no_instances() {
        assert!(is_instance("i-0123456789abcdef0") && is_instance("i-01234567"));
        assert!(!is_instance("i-robot") && !is_instance("host-1") && !is_instance(""));
    }
}

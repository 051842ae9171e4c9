//! Instances: as EC2 shows them, asked for and terminated.

use super::{filter, known, tag_filter};
use crate::aws::{AwsError, Kind, Session};
use aws_sdk_ec2::types::{Filter, Instance as Shown, InstanceStateName};
use time::OffsetDateTime;

const DESCRIBE_INSTANCES: &str = "ec2 DescribeInstances";

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// What it is, in EC2's words: `pending`, `running`, ….
    pub state: String,
    /// Why it is that, in EC2's words, if it says so.
    pub reason: Option<String>,
    /// Its type.
    pub kind: String,
    /// The AMI that it runs of.
    pub ami: String,
    /// Where.
    pub zone: String,
    /// When it was launched.
    pub launched: Option<OffsetDateTime>,
    /// Its address for everybody, if it has one.
    pub public_ip: Option<String>,
    /// Its address in its network.
    pub private_ip: Option<String>,
}

impl Instance {
    /// Whether it is pending or running.
    pub fn is_up(&self) -> bool {
        matches!(self.state.as_str(), "pending" | "running")
    }

    /// Whether there is something to terminate.
    pub fn is_there(&self) -> bool {
        !matches!(self.state.as_str(), "shutting-down" | "terminated")
    }

    /// Whether its disk may still be read.
    pub fn has_disk(&self) -> bool {
        self.state != "terminated"
    }

    /// Of what EC2 says; `None` without an id.
    fn of(shown: &Shown) -> Option<Instance> {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let address = |it: Option<&str>| it.filter(|it| !it.is_empty()).map(str::to_owned);
        let state = shown.state().and_then(|it| it.name());
        let reason = shown.state_reason().and_then(|it| it.message());
        Some(Instance {
            id: shown.instance_id()?.to_owned(),
            state: text(state.map(InstanceStateName::as_str)),
            reason: reason.map(str::to_owned),
            kind: text(shown.instance_type().map(|it| it.as_str())),
            ami: text(shown.image_id()),
            zone: text(shown.placement().and_then(|it| it.availability_zone())),
            launched: shown
                .launch_time()
                .and_then(|it| OffsetDateTime::from_unix_timestamp(it.secs()).ok()),
            public_ip: address(shown.public_ip_address()),
            private_ip: address(shown.private_ip_address()),
        })
    }
}

/// Whether a name is an instance's id.
fn is_id(name: &str) -> bool {
    let digits = name.strip_prefix("i-").unwrap_or_default();
    matches!(digits.len(), 8 | 17) && digits.bytes().all(|it| it.is_ascii_hexdigit())
}

/// Those that run of an AMI, whatever their tags.
pub(crate) async fn of_ami(session: &Session, ami: &str) -> Result<Vec<Instance>, AwsError> {
    listed(session, filter("image-id", &[ami])).await
}

/// Whichever of these names are ids of instances that EC2 lists.
pub(crate) async fn among(session: &Session, names: &[&str]) -> Result<Vec<Instance>, AwsError> {
    let ids: Vec<&str> = names.iter().copied().filter(|it| is_id(it)).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    listed(session, filter("instance-id", &ids)).await
}

/// Those that have a tag, by launch time; those that are gone included for the hour or so that EC2
/// lists them.
///
/// # Errors
/// EC2 refuses.
pub(crate) async fn with_tag(
    session: &Session,
    key: &str,
    value: &str,
) -> Result<Vec<Instance>, AwsError> {
    listed(session, tag_filter(key, value)).await
}

async fn listed(session: &Session, filter: Filter) -> Result<Vec<Instance>, AwsError> {
    let call = session.ec2.describe_instances().filters(filter);
    let mut pages = call.into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new(DESCRIBE_INSTANCES, error))?;
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
    let found = with_tag(session, key, value).await?;
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
    let answer = known(answer.map_err(|error| AwsError::new(DESCRIBE_INSTANCES, error)))?;
    let reservations = answer.and_then(|answer| answer.reservations);
    let reservations = reservations.unwrap_or_default();
    let mut instances = reservations.iter().flat_map(|one| one.instances());
    Ok(instances.find_map(Instance::of))
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::InstanceState;

    #[test]
    fn hosts_names_are_no_instances() {
        assert!(is_id("i-0123456789abcdef0") && is_id("i-01234567"));
        assert!(!is_id("i-robot") && !is_id("host-1") && !is_id(""));
    }

    #[test]
    fn its_state_says_what_there_is_of_it() {
        use InstanceStateName::{Pending, Running, ShuttingDown, Stopped, Stopping, Terminated};
        for (state, up, there, disk) in [
            (Pending, true, true, true),
            (Running, true, true, true),
            (Stopping, false, true, true),
            (Stopped, false, true, true),
            (ShuttingDown, false, false, true),
            (Terminated, false, false, false),
        ] {
            let shown = Shown::builder()
                .instance_id("i-01234567")
                .state(InstanceState::builder().name(state).build())
                .public_ip_address("");
            let it = Instance::of(&shown.build()).unwrap();
            assert_eq!(
                (it.is_up(), it.is_there(), it.has_disk()),
                (up, there, disk)
            );
            assert_eq!(it.public_ip, None);
        }
        assert_eq!(Instance::of(&Shown::builder().build()), None);
    }
}

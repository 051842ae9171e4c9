//! A vault's converter instances, as EC2 shows them.

use super::tags;
use crate::aws::{AwsError, Session};
use crate::vault::Names;
use aws_sdk_ec2::types::{Filter, InstanceStateName};
use time::OffsetDateTime;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// What it is, in EC2's words: `pending`, `running`, ….
    pub state: String,
    /// Its type.
    pub kind: String,
    /// The AMI that it runs of.
    pub ami: String,
    /// Where.
    pub zone: String,
    /// When it was launched.
    pub launched: Option<OffsetDateTime>,
}

impl Instance {
    /// Whether there is something to terminate.
    pub fn is_there(&self) -> bool {
        !matches!(self.state.as_str(), "shutting-down" | "terminated")
    }

    /// Whether its disk may still be read.
    pub fn has_disk(&self) -> bool {
        self.state != "terminated"
    }
}

/// All that EC2 lists, by launch time; those that are gone are listed for an hour or so.
///
/// # Errors
/// EC2 refuses.
pub async fn list(session: &Session, names: &Names) -> Result<Vec<Instance>, AwsError> {
    let filter = Filter::builder()
        .name(format!("tag:{}", tags::CONVERTER))
        .values(&names.vault);
    with(session, filter.build()).await
}

/// Those that run of an AMI, whatever their tags.
pub(super) async fn of_ami(session: &Session, ami: &str) -> Result<Vec<Instance>, AwsError> {
    let filter = Filter::builder().name("image-id").values(ami);
    with(session, filter.build()).await
}

async fn with(session: &Session, filter: Filter) -> Result<Vec<Instance>, AwsError> {
    let call = session.ec2.describe_instances().filters(filter);
    let mut pages = call.into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new("ec2 DescribeInstances", error))?;
        for reservation in page.reservations.unwrap_or_default() {
            let instances = reservation.instances.unwrap_or_default();
            found.extend(instances.iter().filter_map(instance));
        }
    }
    found.sort_by(|a, b| (a.launched, &a.id).cmp(&(b.launched, &b.id)));
    Ok(found)
}

fn instance(it: &aws_sdk_ec2::types::Instance) -> Option<Instance> {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let state = it.state().and_then(|it| it.name());
    Some(Instance {
        id: it.instance_id()?.to_owned(),
        state: text(state.map(InstanceStateName::as_str)),
        kind: text(it.instance_type().map(|it| it.as_str())),
        ami: text(it.image_id()),
        zone: text(it.placement().and_then(|it| it.availability_zone())),
        launched: it
            .launch_time()
            .and_then(|it| OffsetDateTime::from_unix_timestamp(it.secs()).ok()),
    })
}

/// Terminates instances; those that are gone already are no error.
///
/// # Errors
/// EC2 refuses.
pub async fn terminate(session: &Session, ids: &[String]) -> Result<(), AwsError> {
    for id in ids {
        let answer = session
            .ec2
            .terminate_instances()
            .instance_ids(id)
            .send()
            .await
            .map_err(|error| AwsError::new("ec2 TerminateInstances", error));
        match answer {
            Ok(_) => {}
            Err(error) if error.code == "InvalidInstanceID.NotFound" => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

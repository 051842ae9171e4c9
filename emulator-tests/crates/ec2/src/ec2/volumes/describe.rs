//! `DescribeVolumes`, and how a volume is written.

use crate::ec2::call::{Answer, Call};
use crate::ec2::filter::Filters;
use crate::ec2::lookup;
use crate::ec2::page::Page;
use emulator_protocol::{AwsError, Xml, ec2_time};
use emulator_state::world::{Attachment, Tags, Volume, World};
use time::OffsetDateTime;

const FILTERS: [&str; 17] = [
    "attachment.attach-time",
    "attachment.delete-on-termination",
    "attachment.device",
    "attachment.instance-id",
    "attachment.status",
    "availability-zone",
    "create-time",
    "encrypted",
    "fast-restored",
    "multi-attach-enabled",
    "operator.managed",
    "size",
    "snapshot-id",
    "status",
    "tag-key",
    "volume-id",
    "volume-type",
];

/// `DescribeVolumes`.
pub(super) fn describe(call: &Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, &FILTERS)?;
    let page = Page::parse(call.params, 5..=1_000)?;
    call.services.store.read(|world| {
        let volumes = named(world, call)?
            .into_iter()
            .filter(|it| filters.pass(&it.tags, |name| values(it, name, call)))
            .collect();
        let (volumes, next) = page.cut(volumes, |it: &&Volume| it.id.as_str());
        let mut xml = Xml::new();
        xml.list("volumeSet", volumes, |xml, it| write(xml, it, call));
        xml.option("nextToken", next);
        Ok(xml)
    })
}

/// The caller's volumes that a request names, or all of them, sorted by id.
pub(super) fn named<'a>(world: &'a World, call: &Call<'_>) -> Result<Vec<&'a Volume>, AwsError> {
    let mut ids = call.params.list("VolumeId");
    if ids.is_empty() {
        let mine =
            |it: &&Volume| it.owner == call.caller.account && it.region == call.caller.region;
        return Ok(world.volumes.values().filter(mine).collect());
    }
    if call.params.get("MaxResults").is_some() {
        return Err(AwsError::new(
            "InvalidParameterCombination",
            "The parameter volumeId cannot be used with the parameter maxResults",
        ));
    }
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter()
        .map(|id| lookup::volume(world, call.caller, id))
        .collect()
}

fn values(volume: &Volume, name: &str, call: &Call<'_>) -> Vec<String> {
    let attached = |value: &dyn Fn(&Attachment) -> String| {
        volume.attachment.as_ref().map(value).into_iter().collect()
    };
    let one = |value: &str| vec![value.to_owned()];
    match name {
        "attachment.attach-time" => attached(&|it| ec2_time(it.since)),
        "attachment.delete-on-termination" => attached(&|it| it.delete_on_termination.to_string()),
        "attachment.device" => attached(&|it| it.device.clone()),
        "attachment.instance-id" => attached(&|it| it.instance.clone()),
        "attachment.status" => attached(&|it| status(it, call).to_owned()),
        "availability-zone" => one(&volume.zone),
        "create-time" => vec![ec2_time(volume.created)],
        "encrypted" => vec![volume.encrypted.to_string()],
        // Nothing here has any of these.
        "fast-restored" | "multi-attach-enabled" | "operator.managed" => one("false"),
        "size" => vec![volume.size.to_string()],
        "snapshot-id" => vec![volume.snapshot.clone().unwrap_or_default()],
        "status" => one(volume.state(call.now)),
        "volume-id" => one(&volume.id),
        "volume-type" => one(&volume.kind),
        _ => Vec::new(),
    }
}

/// Writes a volume's members.
pub(super) fn write(xml: &mut Xml, volume: &Volume, call: &Call<'_>) {
    xml.leaf("volumeId", &volume.id)
        .leaf("size", volume.size)
        .leaf("snapshotId", volume.snapshot.as_deref().unwrap_or_default())
        .leaf("availabilityZone", &volume.zone)
        .leaf("status", volume.state(call.now))
        .time("createTime", volume.created)
        .list("attachmentSet", &volume.attachment, |xml, it| {
            write_attachment(xml, &volume.id, it, status(it, call));
        })
        .leaf("volumeType", &volume.kind)
        .option("iops", volume.iops)
        .option("throughput", volume.throughput)
        .leaf("encrypted", volume.encrypted)
        .option("kmsKeyId", volume.kms_key.as_deref())
        .leaf("multiAttachEnabled", false);
    write_tags(xml, &volume.tags);
}

/// Writes an attachment's members.
pub(super) fn write_attachment(xml: &mut Xml, volume: &str, it: &Attachment, status: &str) {
    xml.leaf("volumeId", volume)
        .leaf("instanceId", &it.instance)
        .leaf("device", &it.device)
        .leaf("status", status)
        .time("attachTime", it.since)
        .leaf("deleteOnTermination", it.delete_on_termination);
}

fn write_tags(xml: &mut Xml, tags: &Tags) {
    if !tags.is_empty() {
        xml.list("tagSet", tags, |xml, (key, value)| {
            xml.leaf("key", key).leaf("value", value);
        });
    }
}

/// `attaching`, or `attached`.
fn status(attachment: &Attachment, call: &Call<'_>) -> &'static str {
    let attached: OffsetDateTime = attachment.since + call.services.settle;
    if call.now < attached {
        "attaching"
    } else {
        "attached"
    }
}

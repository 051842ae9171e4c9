//! `DescribeSnapshots`, and how a snapshot is written.

use crate::ec2::call::{Answer, Call};
use crate::ec2::filter::Filters;
use crate::ec2::lookup;
use crate::ec2::page::Page;
use emulator_protocol::{Account, AwsError, Xml, ec2_time};
use emulator_state::world::{Snapshot, Tags, World};
use time::OffsetDateTime;

const FILTERS: [&str; 13] = [
    "description",
    "encrypted",
    "owner-alias",
    "owner-id",
    "progress",
    "snapshot-id",
    "start-time",
    "status",
    "storage-tier",
    "tag-key",
    "transfer-type",
    "volume-id",
    "volume-size",
];

/// `DescribeSnapshots`.
pub(super) fn describe(call: &Call<'_>) -> Answer {
    let params = call.params;
    let filters = Filters::parse(params, &FILTERS)?;
    let page = Page::parse(params, 5..=1_000)?;
    let owners = accounts(call, "Owner", &["self", "amazon", "aws-marketplace"])?;
    let users = accounts(call, "RestorableBy", &["self", "all"])?;
    call.services.store.read(|world| {
        let snapshots = named(world, call)?
            .into_iter()
            .filter(|it| owners.is_empty() || owners.iter().any(|who| owns(it, who, call)))
            .filter(|it| users.is_empty() || users.iter().any(|who| may(world, it, who, call)))
            .filter(|it| filters.pass(tags(it, call), |name| values(it, name, call.now)))
            .collect();
        let (snapshots, next) = page.cut(snapshots, |it: &&Snapshot| it.id.as_str());
        let mut xml = Xml::new();
        xml.list("snapshotSet", snapshots, |xml, it| write(xml, it, call));
        xml.option("nextToken", next);
        Ok(xml)
    })
}

/// The snapshots that a request names, or all that the caller may use, sorted by id.
fn named<'a>(world: &'a World, call: &Call<'_>) -> Result<Vec<&'a Snapshot>, AwsError> {
    let mut ids = call.params.list("SnapshotId");
    if ids.is_empty() {
        return Ok(world
            .snapshots
            .values()
            .filter(|it| it.region == call.caller.region)
            .filter(|it| world.may_use(it, &call.caller.account))
            .collect());
    }
    if call.params.get("MaxResults").is_some() {
        return Err(AwsError::new(
            "InvalidParameterCombination",
            "The parameter snapshotSet cannot be used with the parameter maxResults",
        ));
    }
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter()
        .map(|id| lookup::snapshot(world, call.caller, id))
        .collect()
}

/// A list of accounts, in which some words may stand for some.
fn accounts<'a>(call: &'a Call<'_>, name: &str, words: &[&str]) -> Result<Vec<&'a str>, AwsError> {
    let list = call.params.list(name);
    let bad = |who: &&&str| !words.contains(who) && Account::parse(who).is_none();
    if let Some(who) = list.iter().find(bad) {
        return Err(AwsError::new(
            "InvalidUserID.Malformed",
            format!("Invalid user id: \"{who}\""),
        ));
    }
    Ok(list)
}

fn owns(snapshot: &Snapshot, who: &str, call: &Call<'_>) -> bool {
    match who {
        "self" => snapshot.owner == call.caller.account,
        // AWS and the Marketplace own nothing here.
        who => snapshot.owner.as_str() == who,
    }
}

fn may(world: &World, snapshot: &Snapshot, who: &str, call: &Call<'_>) -> bool {
    match who {
        "self" => world.may_use(snapshot, &call.caller.account),
        "all" => world.is_public(snapshot),
        who => Account::parse(who).is_some_and(|who| world.may_use(snapshot, &who)),
    }
}

fn values(snapshot: &Snapshot, name: &str, now: OffsetDateTime) -> Vec<String> {
    let one = |value: &str| vec![value.to_owned()];
    match name {
        "description" => one(&snapshot.description),
        "encrypted" => vec![snapshot.encrypted.to_string()],
        "owner-id" => one(snapshot.owner.as_str()),
        "progress" => one(progress(snapshot, now)),
        "snapshot-id" => one(&snapshot.id),
        "start-time" => vec![ec2_time(snapshot.started)],
        "status" => one(snapshot.state.name(now)),
        "storage-tier" | "transfer-type" => one("standard"),
        "volume-id" => one(&snapshot.volume_id),
        "volume-size" => vec![snapshot.volume_size.to_string()],
        // `owner-alias`: AWS's own snapshots have one.
        _ => Vec::new(),
    }
}

fn progress(snapshot: &Snapshot, now: OffsetDateTime) -> &'static str {
    match snapshot.state.completed(now) {
        Some(_) => "100%",
        None => "0%",
    }
}

/// Writes a snapshot's members.
pub(super) fn write(xml: &mut Xml, snapshot: &Snapshot, call: &Call<'_>) {
    write_start(xml, snapshot);
    xml.leaf("status", snapshot.state.name(call.now))
        .option("statusMessage", snapshot.state.failure(call.now))
        .leaf("progress", progress(snapshot, call.now))
        .option("kmsKeyId", snapshot.kms_key.as_deref())
        .leaf("storageTier", "standard");
    if let Some(at) = snapshot.state.completed(call.now) {
        xml.time("completionTime", at)
            .leaf("fullSnapshotSizeInBytes", snapshot.full_size);
    }
    write_tags(xml, tags(snapshot, call));
}

/// A snapshot's tags as the caller sees them: those of another account's are not shared with it.
fn tags<'a>(snapshot: &'a Snapshot, call: &Call<'_>) -> &'a Tags {
    static NONE: Tags = Tags::new();
    if snapshot.owner == call.caller.account {
        &snapshot.tags
    } else {
        &NONE
    }
}

/// Writes a snapshot's members, as `CreateSnapshots` names them.
pub(super) fn write_info(xml: &mut Xml, snapshot: &Snapshot, call: &Call<'_>) {
    write_start(xml, snapshot);
    xml.leaf("state", snapshot.state.name(call.now))
        .leaf("progress", progress(snapshot, call.now));
    write_tags(xml, &snapshot.tags);
}

fn write_start(xml: &mut Xml, snapshot: &Snapshot) {
    xml.leaf("snapshotId", &snapshot.id)
        .leaf("volumeId", &snapshot.volume_id)
        .time("startTime", snapshot.started)
        .leaf("ownerId", &snapshot.owner)
        .leaf("volumeSize", snapshot.volume_size)
        .leaf("description", &snapshot.description)
        .leaf("encrypted", snapshot.encrypted);
}

/// Writes tags, if there are any.
pub(super) fn write_tags(xml: &mut Xml, tags: &Tags) {
    if !tags.is_empty() {
        xml.list("tagSet", tags, |xml, (key, value)| {
            xml.leaf("key", key).leaf("value", value);
        });
    }
}

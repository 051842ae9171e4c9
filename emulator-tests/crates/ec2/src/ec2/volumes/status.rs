//! `DescribeVolumeStatus`. Volumes here are never impaired.

use super::describe::named;
use crate::ec2::call::{Answer, Call};
use crate::ec2::filter::Filters;
use crate::ec2::page::Page;
use emulator_protocol::Xml;
use emulator_state::world::{Tags, Volume};

const FILTERS: [&str; 13] = [
    "action.code",
    "action.description",
    "action.event-id",
    "availability-zone",
    "event.description",
    "event.event-id",
    "event.event-type",
    "event.not-after",
    "event.not-before",
    "volume-status.details-name",
    "volume-status.details-status",
    "volume-status.status",
    "attachment-status.instance-id",
];

/// `DescribeVolumeStatus`.
pub(super) fn describe(call: &Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, &FILTERS)?;
    let page = Page::parse(call.params, 5..=1_000)?;
    call.services.store.read(|world| {
        let volumes = named(world, call)?
            .into_iter()
            .filter(|it| filters.pass(&Tags::new(), |name| values(it, name, call)))
            .collect();
        let (volumes, next) = page.cut(volumes, |it: &&Volume| it.id.as_str());
        let mut xml = Xml::new();
        xml.list("volumeStatusSet", volumes, |xml, it| write(xml, it, call));
        xml.option("nextToken", next);
        Ok(xml)
    })
}

/// A check's name, and how it went.
fn checks(volume: &Volume, call: &Call<'_>) -> (&'static str, &'static str) {
    match volume.state(call.now) {
        "creating" => ("insufficient-data", "insufficient-data"),
        _ => ("ok", "passed"),
    }
}

fn values(volume: &Volume, name: &str, call: &Call<'_>) -> Vec<String> {
    let (status, enabled) = checks(volume, call);
    match name {
        "availability-zone" => vec![volume.zone.clone()],
        "attachment-status.instance-id" => volume
            .attachment
            .iter()
            .map(|it| it.instance.clone())
            .collect(),
        "volume-status.status" => vec![status.to_owned()],
        "volume-status.details-name" => vec!["io-enabled".to_owned()],
        "volume-status.details-status" => vec![enabled.to_owned()],
        // No events, and no actions.
        _ => Vec::new(),
    }
}

fn write(xml: &mut Xml, volume: &Volume, call: &Call<'_>) {
    let (status, enabled) = checks(volume, call);
    xml.leaf("volumeId", &volume.id)
        .leaf("availabilityZone", &volume.zone)
        .node("volumeStatus", |xml| {
            xml.leaf("status", status).list(
                "details",
                [("io-enabled", enabled)],
                |xml, (name, how)| {
                    xml.leaf("name", name).leaf("status", how);
                },
            );
        })
        .node("eventsSet", |_| {})
        .node("actionsSet", |_| {});
}

//! `ModifyVolume`, `DescribeVolumesModifications`. A change counts at once, and says that it is
//! going on for a while.

use super::describe::named;
use super::{Provision, provision};
use crate::ec2::call::{Answer, Call};
use crate::ec2::filter::Filters;
use crate::ec2::lookup;
use crate::ec2::page::Page;
use emulator_protocol::{AwsError, Xml, ec2_time};
use emulator_state::world::{Change, Modification, Performance, Tags, Volume};

/// Operations a second of a volume that becomes io1 or io2 and is not told.
const DEFAULT_IOPS: i64 = 3_000;

const FILTERS: [&str; 11] = [
    "modification-state",
    "original-iops",
    "original-size",
    "original-volume-type",
    "originalMultiAttachEnabled",
    "start-time",
    "target-iops",
    "target-size",
    "target-volume-type",
    "targetMultiAttachEnabled",
    "volume-id",
];

/// `ModifyVolume`.
pub(super) fn modify(call: &Call<'_>) -> Answer {
    let params = call.params;
    let id = params.required("VolumeId")?;
    if params.bool("MultiAttachEnabled")? == Some(true) {
        return Err(AwsError::new(
            "UnsupportedOperation",
            "Volumes with Multi-Attach are not supported.",
        ));
    }
    let wanted = ["Size", "VolumeType", "Iops", "Throughput"];
    if wanted.iter().all(|name| params.get(name).is_none()) {
        return Err(AwsError::new(
            "MissingParameter",
            "The request must contain the parameter size, volumeType, iops or throughput",
        ));
    }
    let volume = call.services.store.write(|world, changes| {
        let volume = lookup::volume(world, call.caller, id)?;
        check_state(volume, call)?;
        let target = target(volume, call)?;
        let volume = Volume {
            size: target.size,
            kind: target.kind,
            iops: target.iops,
            throughput: target.throughput,
            modification: Some(Modification {
                original: Performance {
                    size: volume.size,
                    kind: volume.kind.clone(),
                    iops: volume.iops,
                    throughput: volume.throughput,
                },
                started: call.now,
                completed: call.now + call.services.settle,
            }),
            ..volume.clone()
        };
        changes.push(Change::Volume(volume.clone()));
        Ok(volume)
    })?;
    let mut xml = Xml::new();
    if let Some(modification) = &volume.modification {
        xml.node("volumeModification", |xml| {
            write(xml, &volume, modification, call);
        });
    }
    Ok(xml)
}

fn check_state(volume: &Volume, call: &Call<'_>) -> Result<(), AwsError> {
    if call.now < volume.available {
        return Err(AwsError::new(
            "IncorrectState",
            format!("Volume '{}' is in the 'creating' state.", volume.id),
        ));
    }
    if let Some(last) = &volume.modification
        && call.now < last.completed
    {
        return Err(AwsError::new(
            "IncorrectModificationState",
            format!(
                "Cannot modify volume {}: it is in modification state modifying.",
                volume.id
            ),
        ));
    }
    Ok(())
}

/// What the volume is to have: what is not said stays, as far as its type goes on having it.
fn target(volume: &Volume, call: &Call<'_>) -> Result<Provision, AwsError> {
    let params = call.params;
    let old = i64::from(volume.size);
    let size = params.integer("Size")?.unwrap_or(old);
    if size < old {
        return Err(AwsError::new(
            "InvalidParameterValue",
            "New size cannot be smaller than existing size",
        ));
    }
    let kind = params.get("VolumeType").unwrap_or(&volume.kind);
    let same = kind == volume.kind;
    let iops = params.integer("Iops")?.or_else(|| match kind {
        "gp3" | "io1" | "io2" if same => volume.iops.map(i64::from),
        "io1" | "io2" => Some(DEFAULT_IOPS),
        _ => None,
    });
    let throughput = params
        .integer("Throughput")?
        .or_else(|| volume.throughput.filter(|_| same).map(i64::from));
    provision(kind, size, iops, throughput)
}

/// `DescribeVolumesModifications`.
pub(super) fn describe(call: &Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, &FILTERS)?;
    let page = Page::parse(call.params, 1..=1_000)?;
    let asked = !call.params.list("VolumeId").is_empty();
    call.services.store.read(|world| {
        let mut modified = Vec::new();
        for volume in named(world, call)? {
            match &volume.modification {
                Some(modification) => modified.push((volume, modification)),
                None if asked => {
                    return Err(AwsError::new(
                        "InvalidVolumeModification.NotFound",
                        format!("Modification for volume '{}' does not exist.", volume.id),
                    ));
                }
                None => {}
            }
        }
        modified.retain(|(volume, modification)| {
            filters.pass(&Tags::new(), |name| {
                values(volume, modification, name, call)
            })
        });
        let (modified, next) = page.cut(modified, |(volume, _)| volume.id.as_str());
        let mut xml = Xml::new();
        xml.list(
            "volumeModificationSet",
            modified,
            |xml, (volume, modification)| write(xml, volume, modification, call),
        );
        xml.option("nextToken", next);
        Ok(xml)
    })
}

fn state(modification: &Modification, call: &Call<'_>) -> (&'static str, u8) {
    if call.now < modification.completed {
        ("modifying", 0)
    } else {
        ("completed", 100)
    }
}

fn values(volume: &Volume, it: &Modification, name: &str, call: &Call<'_>) -> Vec<String> {
    let number = |number: Option<u32>| number.iter().map(u32::to_string).collect();
    match name {
        "modification-state" => vec![state(it, call).0.to_owned()],
        "original-iops" => number(it.original.iops),
        "original-size" => vec![it.original.size.to_string()],
        "original-volume-type" => vec![it.original.kind.clone()],
        "originalMultiAttachEnabled" | "targetMultiAttachEnabled" => vec!["false".to_owned()],
        "start-time" => vec![ec2_time(it.started)],
        "target-iops" => number(volume.iops),
        "target-size" => vec![volume.size.to_string()],
        "target-volume-type" => vec![volume.kind.clone()],
        "volume-id" => vec![volume.id.clone()],
        _ => Vec::new(),
    }
}

fn write(xml: &mut Xml, volume: &Volume, it: &Modification, call: &Call<'_>) {
    let (state, progress) = state(it, call);
    xml.leaf("volumeId", &volume.id)
        .leaf("modificationState", state)
        .leaf("targetSize", volume.size)
        .option("targetIops", volume.iops)
        .leaf("targetVolumeType", &volume.kind)
        .option("targetThroughput", volume.throughput)
        .leaf("targetMultiAttachEnabled", false)
        .leaf("originalSize", it.original.size)
        .option("originalIops", it.original.iops)
        .leaf("originalVolumeType", &it.original.kind)
        .option("originalThroughput", it.original.throughput)
        .leaf("originalMultiAttachEnabled", false)
        .leaf("progress", progress)
        .time("startTime", it.started);
    if call.now >= it.completed {
        xml.time("endTime", it.completed);
    }
}

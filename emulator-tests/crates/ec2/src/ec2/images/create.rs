//! `CreateImage`: an image of an instance, with a snapshot of each of its volumes.

use super::block_device::{self, Ebs, Mapping, Target, invalid};
use super::{name, register};
use crate::ec2::call::{Answer, Call};
use crate::ec2::{lookup, snapshots, tag_specification};
use emulator_protocol::{AwsError, Xml};
use emulator_state::world::{BlockDevice, Change, EbsDevice, Image, Snapshot, Volume, World};
use std::collections::BTreeMap;

/// Makes snapshots of an instance's volumes, and an image of them.
pub fn create(call: &Call<'_>) -> Answer {
    let params = call.params;
    let instance = params.required("InstanceId")?;
    let name = name::parse(params)?;
    let description = name::description(params)?;
    params.bool("NoReboot")?;
    if params.get("SnapshotLocation").is_some() {
        return Err(AwsError::new(
            "InvalidParameter",
            "SnapshotLocation is only supported for instances in Local Zones",
        ));
    }
    let mut wanted: BTreeMap<String, Mapping> = block_device::parse(params)?
        .into_iter()
        .map(|mapping| (mapping.name.clone(), mapping))
        .collect();
    let mut tags = tag_specification::parse(params, &["image", "snapshot"])?;
    let snapshot_tags = tags.remove("snapshot").unwrap_or_default();
    let id = call.services.ids.resource("ami");

    snapshots::settle_volumes_of(call, instance)?;
    call.services.store.write(|world, changes| {
        let instance = lookup::instance(world, call.caller, instance)?;
        name::check_unused(world, call.caller, name)?;
        let state = instance.state.name(call.now).name;
        if !matches!(state, "running" | "stopped") {
            return Err(AwsError::new(
                "IncorrectInstanceState",
                format!(
                    "The instance '{}' is {state}: it has to be running or stopped",
                    instance.id
                ),
            ));
        }
        let volumes = attached(world, &instance.id);
        if !volumes.contains_key(instance.root_device.as_str()) {
            return Err(AwsError::new(
                "IncorrectState",
                format!(
                    "The instance {} does not have a volume attached at root ({})",
                    instance.id, instance.root_device
                ),
            ));
        }
        // It may be deregistered by now.
        let source = world.images.get(&instance.image);
        let mut image = Image {
            id: id.clone(),
            name: name.to_owned(),
            description: description.clone(),
            source_image: Some((instance.image.clone(), instance.region.clone())),
            source_instance: Some(instance.id.clone()),
            tags: tags.remove("image").unwrap_or_default(),
            architecture: instance.architecture.clone(),
            virtualization: instance.virtualization.clone(),
            root_device: instance.root_device.clone(),
            ena: Some(instance.ena),
            sriov: instance.sriov.clone(),
            boot_mode: instance.boot_mode.clone(),
            tpm: instance.tpm.clone(),
            // The instance's record does not say these two.
            imds: source.and_then(|source| source.imds.clone()),
            uefi_data: source.and_then(|source| source.uefi_data.clone()),
            kernel: instance.kernel.clone(),
            ramdisk: instance.ramdisk.clone(),
            ..register::blank(call, call.caller)
        };
        let mut storage = Vec::new();
        for (device, volume) in &volumes {
            let wish = wanted.remove(*device).map(|mapping| mapping.target);
            let Some(delete) = check_existing(device, &instance.root_device, volume, wish)? else {
                continue;
            };
            let snapshot = Snapshot {
                description: format!("Created by CreateImage({}) for {}", instance.id, image.id),
                tags: snapshot_tags.clone(),
                ..snapshots::of_volume(call, volume)?
            };
            image
                .devices
                .push(existing(device, volume, &snapshot.id, delete));
            storage.push(snapshot);
        }
        // Instance store volumes of the source, and what the request adds.
        for device in source.iter().flat_map(|source| &source.devices) {
            if device.virtual_name.is_some() && !wanted.contains_key(&device.name) {
                image.devices.push(device.clone());
            }
        }
        for mapping in std::mem::take(&mut wanted).into_values() {
            if !matches!(mapping.target, Target::NoDevice) {
                let device = block_device::resolve(world, call.caller, call.now, mapping)?;
                image.devices.push(device);
            }
        }
        call.dry_run()?;
        changes.extend(storage.into_iter().map(Change::Snapshot));
        changes.push(Change::Image(Box::new(image)));
        let mut xml = Xml::new();
        xml.leaf("imageId", &id);
        Ok(xml)
    })
}

/// The instance's volumes, by device name.
fn attached<'w>(world: &'w World, instance: &str) -> BTreeMap<&'w str, &'w Volume> {
    world
        .volumes
        .values()
        .filter_map(|volume| {
            let attachment = volume.attachment.as_ref()?;
            (attachment.instance == instance).then_some((attachment.device.as_str(), volume))
        })
        .collect()
}

/// What the request says of a volume that is there: "The only option that can be changed for
/// existing mappings or snapshots is DeleteOnTermination" (API reference). Gives that, or `None`
/// if the volume is left out.
fn check_existing(
    device: &str,
    root: &str,
    volume: &Volume,
    wish: Option<Target>,
) -> Result<Option<bool>, AwsError> {
    let kept = volume
        .attachment
        .as_ref()
        .is_some_and(|attachment| attachment.delete_on_termination);
    let ebs = match wish {
        None => return Ok(Some(kept)),
        Some(Target::NoDevice) if device == root => {
            return Err(invalid(format!(
                "The root device {device} can't be left out"
            )));
        }
        Some(Target::NoDevice) => return Ok(None),
        Some(Target::Virtual(_)) => {
            return Err(invalid(format!(
                "{device} is an EBS volume of the instance"
            )));
        }
        Some(Target::Ebs(ebs)) => ebs,
    };
    let Ebs {
        snapshot,
        size,
        kind,
        iops,
        throughput,
        delete_on_termination,
        encrypted,
    } = ebs;
    let same = |wish: Option<i64>, is: Option<u32>| wish.is_none() || wish == is.map(i64::from);
    if encrypted == Some(true) && !volume.encrypted {
        return Err(invalid(format!(
            "the encrypted flag cannot be specified since device {device} has a conflicting \
             encryption setting"
        )));
    }
    if snapshot.is_some()
        || !same(size, Some(volume.size))
        || kind.is_some_and(|kind| kind != volume.kind)
        || !same(iops, volume.iops)
        || !same(throughput, volume.throughput)
    {
        return Err(invalid(format!(
            "Of the instance's volume at {device} only DeleteOnTermination can be changed"
        )));
    }
    Ok(Some(delete_on_termination.unwrap_or(kept)))
}

fn existing(device: &str, volume: &Volume, snapshot: &str, delete: bool) -> BlockDevice {
    // Other types have a baseline that nobody asked for.
    let provisioned = matches!(volume.kind.as_str(), "gp3" | "io1" | "io2");
    BlockDevice {
        name: device.to_owned(),
        virtual_name: None,
        ebs: Some(EbsDevice {
            snapshot: Some(snapshot.to_owned()),
            size: volume.size,
            kind: volume.kind.clone(),
            iops: volume.iops.filter(|_| provisioned),
            throughput: volume.throughput,
            delete_on_termination: delete,
            encrypted: volume.encrypted,
            kms_key: None,
        }),
        no_device: false,
    }
}

//! `CreateSnapshots`: of all volumes of an instance at one moment.

use super::create::of_volume;
use super::{describe, description, refuse_elsewhere};
use crate::ec2::call::{Answer, Call};
use crate::ec2::{lookup, tag_specification};
use emulator_protocol::{AwsError, Xml};
use emulator_state::world::{Change, Instance, StateName, Volume};

/// `CreateSnapshots`.
pub(super) fn create(call: &Call<'_>) -> Answer {
    let params = call.params;
    refuse_elsewhere(call, &["OutpostArn"])?;
    let which = params.structure("InstanceSpecification");
    let instance = which.required("InstanceId")?;
    let no_boot = which.bool("ExcludeBootVolume")? == Some(true);
    let left_out = which.list("ExcludeDataVolumeId");
    let copy_tags = match params.get("CopyTagsFromSource") {
        None => false,
        Some("volume") => true,
        Some(other) => {
            return Err(params.invalid("CopyTagsFromSource", other, "expecting volume"));
        }
    };
    let description = description(call)?;
    let tags = tag_specification::parse(params, &["snapshot"])?
        .remove("snapshot")
        .unwrap_or_default();
    settle_volumes_of(call, instance)?;
    let made = call.services.store.write(|world, changes| {
        let source = lookup::instance(world, call.caller, instance)?;
        check_state(source, call)?;
        let volumes: Vec<&Volume> = world
            .volumes
            .values()
            .filter(|it| {
                it.attachment
                    .as_ref()
                    .is_some_and(|it| it.instance == instance)
            })
            .collect();
        let is_root = |it: &Volume| {
            it.attachment
                .as_ref()
                .is_some_and(|it| it.device == source.root_device)
        };
        for id in &left_out {
            let data = volumes.iter().any(|it| it.id == *id && !is_root(it));
            if !data {
                return Err(params.invalid(
                    "InstanceSpecification.ExcludeDataVolumeId",
                    id,
                    "it is not a data volume of the instance",
                ));
            }
        }
        let mut made = Vec::new();
        for volume in volumes {
            if left_out.contains(&volume.id.as_str()) || no_boot && is_root(volume) {
                continue;
            }
            let mut snapshot = of_volume(call, volume)?;
            snapshot.description.clone_from(&description);
            if copy_tags {
                snapshot.tags.clone_from(&volume.tags);
            }
            snapshot.tags.extend(tags.clone());
            tag_specification::check_count(&snapshot.tags)?;
            changes.push(Change::Snapshot(snapshot.clone()));
            made.push(snapshot);
        }
        if made.is_empty() {
            return Err(AwsError::new(
                "InvalidParameterValue",
                format!("No volumes of instance {instance} are left to make snapshots of"),
            ));
        }
        Ok(made)
    })?;
    let mut xml = Xml::new();
    xml.list("snapshotSet", &made, |xml, it| {
        describe::write_info(xml, it, call);
    });
    Ok(xml)
}

/// Brings what a running instance of the caller's has written into layers of which snapshots can be
/// made, of all its volumes at one moment.
pub(crate) fn settle_volumes_of(call: &Call<'_>, instance: &str) -> Result<(), AwsError> {
    let volumes: Vec<String> = call.services.store.read(|world| {
        lookup::instance(world, call.caller, instance)?;
        let attached = world.volumes.values().filter(|it| {
            it.attachment
                .as_ref()
                .is_some_and(|at| at.instance == instance)
        });
        Ok::<_, AwsError>(attached.map(|it| it.id.clone()).collect())
    })?;
    call.services.machines.settle_volumes(&volumes)
}

/// An instance that ends gives its volumes up.
fn check_state(instance: &Instance, call: &Call<'_>) -> Result<(), AwsError> {
    let state = instance.state.name(call.now);
    if matches!(state, StateName::SHUTTING_DOWN | StateName::TERMINATED) {
        return Err(AwsError::new(
            "IncorrectState",
            format!("The instance '{}' is {}", instance.id, state.name),
        ));
    }
    Ok(())
}

//! What comes of instances that have ended: their volumes go or are detached, and after an hour
//! their records go too.

use super::LISTED_AFTER_END;
use crate::ec2::call::Call;
use crate::ec2::snapshots::{remove_layers, unnamed_layers};
use emulator_state::world::{Change, Volume, World};

/// Makes the changes that time has brought. A failure is told and tried again at the next call.
pub(in crate::ec2) fn settle(call: &Call<'_>) {
    let due = call
        .services
        .store
        .read(|world| !changes(call, world).is_empty());
    if !due {
        return;
    }
    let done = call.services.store.write(|world, out| {
        *out = changes(call, world);
        let gone: Vec<&str> = out
            .iter()
            .filter_map(|change| match change {
                Change::RemoveVolume(id) => Some(id.as_str()),
                _ => None,
            })
            .collect();
        let instances: Vec<String> = out
            .iter()
            .filter_map(|change| match change {
                Change::RemoveInstance(id) => Some(id.clone()),
                _ => None,
            })
            .collect();
        Ok((unnamed_layers(world, &gone), instances))
    });
    match done {
        Ok((layers, instances)) => {
            remove_layers(call.services, &layers);
            for id in &instances {
                call.services.machines.forget(id);
            }
        }
        Err(error) => tracing::warn!(%error, "ended instances keep their volumes for now"),
    }
}

fn changes(call: &Call<'_>, world: &World) -> Vec<Change> {
    let mut changes = Vec::new();
    let ended = |id: &str| {
        world
            .instances
            .get(id)
            .is_none_or(|it| it.state.has_ended(call.now))
    };
    if !world.instances.values().any(|it| ended(&it.id)) {
        return changes;
    }
    for volume in world.volumes.values() {
        let Some(attachment) = &volume.attachment else {
            continue;
        };
        if !ended(&attachment.instance) {
            continue;
        }
        changes.push(if attachment.delete_on_termination {
            Change::RemoveVolume(volume.id.clone())
        } else {
            Change::Volume(Volume {
                attachment: None,
                ..volume.clone()
            })
        });
    }
    for instance in world.instances.values() {
        if ended(&instance.id) && call.now >= instance.state.since() + LISTED_AFTER_END {
            changes.push(Change::RemoveInstance(instance.id.clone()));
        }
    }
    changes
}

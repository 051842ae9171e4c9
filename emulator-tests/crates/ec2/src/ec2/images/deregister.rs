//! `DeregisterImage`.

use super::users_of_snapshot;
use crate::ec2::call::{Answer, Call};
use crate::ec2::{lookup, snapshots};
use emulator_protocol::{AwsError, Xml};
use emulator_state::world::{Change, Protection, World};
use std::collections::BTreeSet;

/// Removes an image of the caller's, and its snapshots if that is asked for.
pub fn deregister(call: &Call<'_>) -> Answer {
    let id = call.params.required("ImageId")?;
    let with_snapshots = call.params.bool("DeleteAssociatedSnapshots")? == Some(true);
    let (xml, layers) = call.services.store.write(|world, changes| {
        let image = lookup::own_image(world, call.caller, id)?;
        let protection = &image.deregistration_protection;
        if protection.holds(call.now) {
            let why = match protection {
                Protection::Cooldown { until } => {
                    format!("deregistration protection holds until {until}")
                }
                _ => "deregistration protection is enabled".to_owned(),
            };
            return Err(AwsError::new(
                "OperationNotPermitted",
                format!("The image {id} can't be deregistered: {why}"),
            ));
        }
        call.dry_run()?;
        let mut xml = Xml::done();
        let mut deleted = BTreeSet::new();
        if with_snapshots {
            let results: Vec<(&str, &str)> = image
                .snapshots()
                .map(|snapshot| (snapshot, outcome(world, call, id, snapshot)))
                .collect();
            deleted = results
                .iter()
                .filter(|(_, code)| *code == "success")
                .map(|(snapshot, _)| *snapshot)
                .collect();
            xml.list(
                "deleteSnapshotResultSet",
                results,
                |item, (snapshot, code)| {
                    item.leaf("snapshotId", snapshot).leaf("returnCode", code);
                },
            );
        }
        changes.push(Change::RemoveImage(id.to_owned()));
        for snapshot in &deleted {
            changes.push(Change::RemoveSnapshot((*snapshot).to_owned()));
        }
        let gone: Vec<&str> = deleted.into_iter().collect();
        Ok((xml, snapshots::unnamed_layers(world, &gone)))
    })?;
    snapshots::remove_layers(call.services, &layers);
    Ok(xml)
}

/// What becomes of a snapshot of the image, as the API names it.
fn outcome(world: &World, call: &Call<'_>, image: &str, id: &str) -> &'static str {
    let Some(snapshot) = world.snapshots.get(id) else {
        return "client-error";
    };
    if snapshot.owner != call.caller.account {
        return "missing-permissions";
    }
    if users_of_snapshot(world, id)
        .iter()
        .any(|user| user.id != image)
    {
        return "skipped";
    }
    "success"
}

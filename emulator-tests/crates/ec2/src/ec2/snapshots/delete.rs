//! `DeleteSnapshot`.

use super::{remove_layers, unnamed_layers};
use crate::ec2::call::{Answer, Call};
use crate::ec2::images::users_of_snapshot;
use crate::ec2::lookup;
use emulator_protocol::{AwsError, Xml};
use emulator_state::world::Change;

/// `DeleteSnapshot`.
pub(super) fn delete(call: &Call<'_>) -> Answer {
    let id = call.params.required("SnapshotId")?;
    let unnamed = call.services.store.write(|world, changes| {
        lookup::own_snapshot(world, call.caller, id)?;
        if let Some(image) = users_of_snapshot(world, id).first() {
            return Err(AwsError::new(
                "InvalidSnapshot.InUse",
                format!("The snapshot {id} is currently in use by {}", image.id),
            ));
        }
        changes.push(Change::RemoveSnapshot(id.to_owned()));
        Ok(unnamed_layers(world, &[id]))
    })?;
    remove_layers(call.services, &unnamed);
    Ok(Xml::done())
}

//! `DeleteVolume`.

use crate::ec2::call::{Answer, Call};
use crate::ec2::lookup;
use crate::ec2::snapshots::{remove_layers, unnamed_layers};
use emulator_protocol::{AwsError, Xml};
use emulator_state::world::Change;

/// `DeleteVolume`.
pub(super) fn delete(call: &Call<'_>) -> Answer {
    let id = call.params.required("VolumeId")?;
    let unnamed = call.services.store.write(|world, changes| {
        let volume = lookup::volume(world, call.caller, id)?;
        if let Some(attachment) = &volume.attachment {
            return Err(AwsError::new(
                "VolumeInUse",
                format!(
                    "Volume {id} is currently attached to {}",
                    attachment.instance
                ),
            ));
        }
        if volume.state(call.now) == "creating" {
            return Err(AwsError::new(
                "IncorrectState",
                format!("Volume '{id}' is in the 'creating' state."),
            ));
        }
        changes.push(Change::RemoveVolume(id.to_owned()));
        Ok(unnamed_layers(world, &[id]))
    })?;
    remove_layers(call.services, &unnamed);
    Ok(Xml::done())
}

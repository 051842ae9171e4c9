//! `CreateSnapshot`.

use super::{describe, description, refuse_elsewhere};
use crate::ec2::call::{Answer, Call};
use crate::ec2::{lookup, tag_specification};
use emulator_protocol::{AwsError, Xml};
use emulator_state::world::{Change, Permissions, Snapshot, SnapshotState, Volume};

/// `CreateSnapshot`.
pub(super) fn create(call: &Call<'_>) -> Answer {
    refuse_elsewhere(call, &["OutpostArn"])?;
    if let Some(place) = call.params.get("Location").filter(|it| *it != "regional") {
        return Err(call
            .params
            .invalid("Location", place, "the volume is not in a Local Zone"));
    }
    let id = call.params.required("VolumeId")?;
    let description = description(call)?;
    let tags = tag_specification::parse(call.params, &["snapshot"])?
        .remove("snapshot")
        .unwrap_or_default();
    let live = [id.to_owned()];
    call.services
        .store
        .read(|world| lookup::volume(world, call.caller, id).map(drop))?;
    call.services.machines.settle_volumes(&live)?;
    let snapshot = call.services.store.write(|world, changes| {
        let volume = lookup::volume(world, call.caller, id)?;
        let mut snapshot = of_volume(call, volume)?;
        snapshot.description = description;
        snapshot.tags = tags;
        changes.push(Change::Snapshot(snapshot.clone()));
        Ok(snapshot)
    })?;
    let mut xml = Xml::new();
    describe::write(&mut xml, &snapshot, call);
    Ok(xml)
}

/// A snapshot of a volume as it is now: encrypted with the volume's key, if that is.
pub(crate) fn of_volume(call: &Call<'_>, volume: &Volume) -> Result<Snapshot, AwsError> {
    if call.now < volume.available {
        return Err(AwsError::new(
            "IncorrectState",
            format!("Volume '{}' is in the 'creating' state.", volume.id),
        ));
    }
    Ok(Snapshot {
        id: call.services.ids.resource("snap"),
        owner: volume.owner.clone(),
        region: volume.region.clone(),
        volume_id: volume.id.clone(),
        volume_size: volume.size,
        description: String::new(),
        encrypted: volume.encrypted,
        kms_key: volume.kms_key.clone(),
        parent: None,
        layers: volume.settled_layers().to_vec(),
        blank: volume.blank,
        full_size: volume.full_size,
        started: call.now,
        state: SnapshotState::Completed {
            at: call.now + call.services.settle,
        },
        permissions: Permissions::default(),
        tags: Default::default(),
        timeout_minutes: None,
        client_token: None,
    })
}

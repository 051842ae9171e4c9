//! A volume's record, for `CreateVolume` and for an instance's block devices.

use super::Provision;
use crate::ec2::call::Call;
use crate::encryption;
use crate::services::Services;
use emulator_backend::KeyFault;
use emulator_protocol::Caller;
use emulator_state::layers::Blank;
use emulator_state::world::{Snapshot, Volume};

/// A new volume of the caller's, out of a snapshot or blank. It shares the snapshot's layers:
/// whoever writes to a volume puts a layer of its own before them.
///
/// `key` is what [`choose_key`] gave; `provision` what [`super::provision`] did. It is not
/// attached and has no tags: the caller sets these.
pub(crate) fn from_snapshot(
    call: &Call<'_>,
    zone: &str,
    snapshot: Option<&Snapshot>,
    provision: Provision,
    key: Option<String>,
) -> Volume {
    Volume {
        id: call.services.ids.resource("vol"),
        owner: call.caller.account.clone(),
        region: call.caller.region.clone(),
        zone: zone.to_owned(),
        size: provision.size,
        kind: provision.kind,
        iops: provision.iops,
        throughput: provision.throughput,
        encrypted: key.is_some(),
        kms_key: key,
        snapshot: snapshot.map(|it| it.id.clone()),
        layers: snapshot.map(|it| it.layers.clone()).unwrap_or_default(),
        live: None,
        blank: snapshot.map_or(Blank::Zero, |it| it.blank),
        full_size: snapshot.map_or(0, |it| it.full_size),
        created: call.now,
        available: call.now + call.services.settle,
        attachment: None,
        modification: None,
        auto_enable_io: false,
        tags: Default::default(),
        client_token: None,
    }
}

/// The ARN of the key for a new volume of the caller's, or `None` if it stays plain.
///
/// Out of a snapshot that is encrypted, a volume has the key that is named, else the snapshot's if
/// the caller owns that, else the account's default. Whether the request may say so at all is the
/// action's to judge.
///
/// # Errors
/// The key can't be used, or the snapshot's can't.
pub(crate) async fn choose_key(
    services: &Services,
    caller: &Caller,
    snapshot: Option<&Snapshot>,
    encrypted: Option<bool>,
    key: Option<&str>,
) -> Result<Option<String>, KeyFault> {
    let Some(snapshot) = snapshot.filter(|it| it.encrypted) else {
        return encryption::choose(services, caller, encrypted, key).await;
    };
    let of_source = encryption::of_snapshot(services, snapshot).await?;
    if key.is_none() && snapshot.owner == caller.account {
        return Ok(of_source);
    }
    encryption::choose(services, caller, Some(true), key).await
}

//! Which snapshots can be written, read or built upon, and those whose time ran out.

use super::call::Call;
use super::error::{access_denied, snapshot_not_found, validation};
use super::{keys, request};
use crate::services::Services;
use emulator_protocol::AwsError;
use emulator_state::world::{Change, Snapshot, SnapshotState};
use std::collections::BTreeSet;

/// Blocks of a GiB.
const BLOCKS_PER_GIB: u32 = 2048;

/// A snapshot that the caller sees.
fn visible(call: &Call<'_>, id: &str) -> Result<Snapshot, AwsError> {
    let id = request::snapshot_id(id)?;
    call.services
        .store
        .read(|world| {
            let found = world.snapshots.get(id)?;
            (found.region == call.caller.region && world.may_use(found, &call.caller.account))
                .then(|| found.clone())
        })
        .ok_or_else(|| snapshot_not_found(id))
}

/// A snapshot of the caller's that takes blocks.
pub fn pending(call: &Call<'_>, id: &str) -> Result<Snapshot, AwsError> {
    let found = visible(call, id)?;
    if found.owner != call.caller.account {
        return Err(access_denied(
            "UNAUTHORIZED_ACCOUNT",
            format!("The snapshot '{id}' belongs to another account."),
        ));
    }
    if found.state != SnapshotState::Pending {
        let state = found.state.name(call.now);
        return Err(not_pending(id, state));
    }
    if call.services.ebs.timed_out(&found, call.now) {
        expire(call.services)?;
        return Err(not_pending(id, "error"));
    }
    Ok(found)
}

/// The error for a snapshot that takes no blocks.
pub fn not_pending(id: &str, state: &str) -> AwsError {
    // Completed, but for a moment: it says `pending`, and takes nothing.
    let state = if state == "pending" { "sealed" } else { state };
    validation(
        "INVALID_SNAPSHOT_ID",
        format!("The snapshot '{id}' is not in the pending state: it is {state}."),
    )
}

/// A completed snapshot that the caller may use, whose key can be used.
pub async fn readable(call: &Call<'_>, id: &str, fresh_enough: bool) -> Result<Snapshot, AwsError> {
    let found = visible(call, id)?;
    let state = found.state.name(call.now);
    if state != "completed" {
        return Err(validation(
            "INVALID_SNAPSHOT_ID",
            format!("The snapshot '{id}' is not in the completed state: it is {state}."),
        ));
    }
    keys::check(call, found.kms_key.as_deref(), fresh_enough).await?;
    Ok(found)
}

/// Refuses a block outside of the volume.
pub fn check_index(snapshot: &Snapshot, index: u32) -> Result<(), AwsError> {
    if index < snapshot.volume_size.saturating_mul(BLOCKS_PER_GIB) {
        return Ok(());
    }
    Err(validation(
        "INVALID_BLOCK",
        format!(
            "The block index {index} is outside of the volume of {} GiB.",
            snapshot.volume_size
        ),
    ))
}

/// Turns pending snapshots to which nothing was put for longer than their time-out into failed
/// ones. Whoever shows a snapshot's state calls this before.
///
/// # Errors
/// [`AwsError::unavailable`] if the journal can't be written.
pub fn expire(services: &Services) -> Result<(), AwsError> {
    let now = services.clock.now();
    let is_late =
        |it: &Snapshot| it.state == SnapshotState::Pending && services.ebs.timed_out(it, now);
    let any = services
        .store
        .read(|world| world.snapshots.values().any(is_late));
    if !any {
        return Ok(());
    }
    let pending = services.store.write(|world, changes| {
        let mut pending = BTreeSet::new();
        for snapshot in world.snapshots.values() {
            if is_late(snapshot) {
                let minutes = snapshot.timeout_minutes.unwrap_or_default();
                changes.push(Change::Snapshot(Snapshot {
                    state: SnapshotState::Error {
                        message: format!(
                            "The snapshot timed out: nothing was put for {minutes} minutes"
                        ),
                    },
                    ..snapshot.clone()
                }));
            } else if snapshot.state == SnapshotState::Pending {
                pending.insert(snapshot.id.clone());
            }
        }
        Ok(pending)
    })?;
    services.ebs.retain(&pending);
    Ok(())
}

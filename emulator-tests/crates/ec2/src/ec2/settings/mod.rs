//! What an account sets for a region: encryption by default, and what may be shared with everybody.

mod encryption_by_default;
mod public_access;

pub(super) use public_access::{refuse_public_image, refuse_public_snapshot};

use crate::ec2::call::{Answer, Call};
use emulator_protocol::AwsError;
use emulator_state::world::{Change, Settings, World};

/// Answers an action that is this module's; `None` for any other.
pub(super) async fn handle(call: &Call<'_>, action: &str) -> Option<Answer> {
    answer(call, action).await.transpose()
}

async fn answer(call: &Call<'_>, action: &str) -> Result<Option<emulator_protocol::Xml>, AwsError> {
    const ACTIONS: [&str; 12] = [
        "EnableEbsEncryptionByDefault",
        "DisableEbsEncryptionByDefault",
        "GetEbsEncryptionByDefault",
        "GetEbsDefaultKmsKeyId",
        "ModifyEbsDefaultKmsKeyId",
        "ResetEbsDefaultKmsKeyId",
        "EnableSnapshotBlockPublicAccess",
        "DisableSnapshotBlockPublicAccess",
        "GetSnapshotBlockPublicAccessState",
        "EnableImageBlockPublicAccess",
        "DisableImageBlockPublicAccess",
        "GetImageBlockPublicAccessState",
    ];
    if !ACTIONS.contains(&action) {
        return Ok(None);
    }
    call.dry_run()?;
    match action {
        "EnableEbsEncryptionByDefault" => encryption_by_default::set(call, true),
        "DisableEbsEncryptionByDefault" => encryption_by_default::set(call, false),
        "GetEbsEncryptionByDefault" => encryption_by_default::get(call),
        "GetEbsDefaultKmsKeyId" => encryption_by_default::get_key(call),
        "ModifyEbsDefaultKmsKeyId" => encryption_by_default::set_key(call).await,
        "ResetEbsDefaultKmsKeyId" => encryption_by_default::reset_key(call),
        "EnableSnapshotBlockPublicAccess" => public_access::enable_snapshots(call),
        "DisableSnapshotBlockPublicAccess" => public_access::disable_snapshots(call),
        "GetSnapshotBlockPublicAccessState" => public_access::get_snapshots(call),
        "EnableImageBlockPublicAccess" => public_access::enable_images(call),
        "DisableImageBlockPublicAccess" => public_access::disable_images(call),
        _ => public_access::get_images(call),
    }
    .map(Some)
}

/// The caller's settings in the caller's region.
fn current(world: &World, call: &Call<'_>) -> Settings {
    let (account, region) = (&call.caller.account, &call.caller.region);
    world
        .settings
        .get(&Settings::id_of(account, region))
        .cloned()
        .unwrap_or_else(|| Settings::new(account.clone(), region.clone()))
}

/// Changes the caller's settings in the caller's region.
fn change(call: &Call<'_>, edit: impl FnOnce(&mut Settings)) -> Result<(), AwsError> {
    call.services.store.write(|world, changes| {
        let mut settings = current(world, call);
        edit(&mut settings);
        changes.push(Change::Settings(settings));
        Ok(())
    })
}

#[cfg(test)]
mod tests;

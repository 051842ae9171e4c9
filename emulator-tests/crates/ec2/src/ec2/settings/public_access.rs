//! Block public access: what users may not share with everybody.

use super::{change, current};
use crate::ec2::call::{Answer, Call};
use emulator_protocol::{AwsError, Caller, Xml};
use emulator_state::world::{PublicSharing, Settings, World};

/// `EnableSnapshotBlockPublicAccess`.
pub(super) fn enable_snapshots(call: &Call<'_>) -> Answer {
    let state = match call.params.required("State")? {
        "block-all-sharing" => PublicSharing::BlockAll,
        "block-new-sharing" => PublicSharing::BlockNew,
        other => {
            return Err(call.params.invalid(
                "State",
                other,
                "expecting block-all-sharing or block-new-sharing",
            ));
        }
    };
    change(call, |settings| settings.snapshot_sharing = state)?;
    Ok(leaf("state", state))
}

/// `DisableSnapshotBlockPublicAccess`.
pub(super) fn disable_snapshots(call: &Call<'_>) -> Answer {
    let state = PublicSharing::Unblocked;
    change(call, |settings| settings.snapshot_sharing = state)?;
    Ok(leaf("state", state))
}

/// `GetSnapshotBlockPublicAccessState`.
pub(super) fn get_snapshots(call: &Call<'_>) -> Answer {
    let settings = call.services.store.read(|world| current(world, call));
    let mut xml = leaf("state", settings.snapshot_sharing);
    xml.leaf("managedBy", "account");
    Ok(xml)
}

/// `EnableImageBlockPublicAccess`.
pub(super) fn enable_images(call: &Call<'_>) -> Answer {
    let said = call.params.required("ImageBlockPublicAccessState")?;
    let state = PublicSharing::BlockNew;
    if said != state.name() {
        return Err(call.params.invalid(
            "ImageBlockPublicAccessState",
            said,
            "expecting block-new-sharing",
        ));
    }
    change(call, |settings| settings.image_sharing = state)?;
    Ok(leaf("imageBlockPublicAccessState", state))
}

/// `DisableImageBlockPublicAccess`.
pub(super) fn disable_images(call: &Call<'_>) -> Answer {
    let state = PublicSharing::Unblocked;
    change(call, |settings| settings.image_sharing = state)?;
    Ok(leaf("imageBlockPublicAccessState", state))
}

/// `GetImageBlockPublicAccessState`.
pub(super) fn get_images(call: &Call<'_>) -> Answer {
    let settings = call.services.store.read(|world| current(world, call));
    let mut xml = leaf("imageBlockPublicAccessState", settings.image_sharing);
    xml.leaf("managedBy", "account");
    Ok(xml)
}

/// Refuses to make an image of the caller's public where the account blocks that.
///
/// # Errors
/// `OperationNotPermitted`.
pub(in crate::ec2) fn refuse_public_image(world: &World, caller: &Caller) -> Result<(), AwsError> {
    refuse(world, caller, |it| it.image_sharing, "AMI", "AMIs")
}

/// Refuses to make a snapshot of the caller's public where the account blocks that.
///
/// # Errors
/// `OperationNotPermitted`.
pub(in crate::ec2) fn refuse_public_snapshot(
    world: &World,
    caller: &Caller,
) -> Result<(), AwsError> {
    refuse(
        world,
        caller,
        |it| it.snapshot_sharing,
        "snapshot",
        "snapshots",
    )
}

fn refuse(
    world: &World,
    caller: &Caller,
    which: impl Fn(&Settings) -> PublicSharing,
    one: &str,
    many: &str,
) -> Result<(), AwsError> {
    let blocked = world
        .settings
        .get(&Settings::id_of(&caller.account, &caller.region))
        .is_some_and(|settings| which(settings) != PublicSharing::Unblocked);
    if blocked {
        return Err(AwsError::new(
            "OperationNotPermitted",
            format!(
                "You can't publicly share this {one} because block public access for {many} is \
                 enabled for this account in this Region."
            ),
        ));
    }
    Ok(())
}

fn leaf(name: &str, state: PublicSharing) -> Xml {
    let mut xml = Xml::new();
    xml.leaf(name, state.name());
    xml
}

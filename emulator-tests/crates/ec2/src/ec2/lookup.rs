//! Finds what an id names, for who asks: in the caller's region, and only what the caller may use
//! or owns. What belongs to another account and is not shared does not exist.

use emulator_protocol::{AwsError, Caller};
use emulator_state::world::{Image, Instance, Snapshot, Volume, World};

/// Whether `id` is `PREFIX-` and 8 or 17 hexadecimal digits.
pub fn well_formed(prefix: &str, id: &str) -> bool {
    id.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|digits| {
            matches!(digits.len(), 8 | 17)
                && digits
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
}

/// A snapshot that the caller may use.
///
/// # Errors
/// `InvalidSnapshotID.Malformed`, `InvalidSnapshot.NotFound`.
pub fn snapshot<'a>(world: &'a World, caller: &Caller, id: &str) -> Result<&'a Snapshot, AwsError> {
    if !well_formed("snap", id) {
        return Err(AwsError::new(
            "InvalidSnapshotID.Malformed",
            format!("Invalid id: \"{id}\" (expecting \"snap-...\")"),
        ));
    }
    world
        .snapshots
        .get(id)
        .filter(|it| it.region == caller.region && world.may_use(it, &caller.account))
        .ok_or_else(|| {
            AwsError::new(
                "InvalidSnapshot.NotFound",
                format!("The snapshot '{id}' does not exist."),
            )
        })
}

/// A snapshot that the caller owns.
///
/// # Errors
/// Those of [`snapshot`]; `UnauthorizedOperation` if it is only shared with the caller.
pub fn own_snapshot<'a>(
    world: &'a World,
    caller: &Caller,
    id: &str,
) -> Result<&'a Snapshot, AwsError> {
    let found = snapshot(world, caller, id)?;
    if found.owner != caller.account {
        return Err(not_yours(&format!("snapshot {id}")));
    }
    Ok(found)
}

/// An image that the caller may use.
///
/// # Errors
/// `InvalidAMIID.Malformed`, `InvalidAMIID.NotFound`.
pub fn image<'a>(world: &'a World, caller: &Caller, id: &str) -> Result<&'a Image, AwsError> {
    if !well_formed("ami", id) {
        return Err(AwsError::new(
            "InvalidAMIID.Malformed",
            format!("Invalid id: \"{id}\" (expecting \"ami-...\")"),
        ));
    }
    world
        .images
        .get(id)
        .filter(|it| it.region == caller.region && it.usable_by(&caller.account))
        .ok_or_else(|| {
            AwsError::new(
                "InvalidAMIID.NotFound",
                format!("The image id '[{id}]' does not exist"),
            )
        })
}

/// An image for `RunInstances`, which alone tells that another account has it.
///
/// # Errors
/// Those of [`image`], and `AuthFailure` for one that the caller may not launch.
pub fn image_to_launch<'a>(
    world: &'a World,
    caller: &Caller,
    id: &str,
) -> Result<&'a Image, AwsError> {
    image(world, caller, id).map_err(|error| match world.images.get(id) {
        Some(foreign) if foreign.region == caller.region => {
            AwsError::new("AuthFailure", format!("Not authorized for images: [{id}]"))
        }
        _ => error,
    })
}

/// An image that the caller owns.
///
/// # Errors
/// Those of [`image`]; `AuthFailure` if it is only shared with the caller.
pub fn own_image<'a>(world: &'a World, caller: &Caller, id: &str) -> Result<&'a Image, AwsError> {
    let found = image(world, caller, id)?;
    if found.owner != caller.account {
        return Err(AwsError::new(
            "AuthFailure",
            format!("Not authorized for image:{id}"),
        ));
    }
    Ok(found)
}

/// A volume of the caller's.
///
/// # Errors
/// `InvalidVolumeID.Malformed`, `InvalidVolume.NotFound`.
pub fn volume<'a>(world: &'a World, caller: &Caller, id: &str) -> Result<&'a Volume, AwsError> {
    if !well_formed("vol", id) {
        return Err(AwsError::new(
            "InvalidVolumeID.Malformed",
            format!("Invalid id: \"{id}\" (expecting \"vol-...\")"),
        ));
    }
    world
        .volumes
        .get(id)
        .filter(|it| it.region == caller.region && it.owner == caller.account)
        .ok_or_else(|| {
            AwsError::new(
                "InvalidVolume.NotFound",
                format!("The volume '{id}' does not exist."),
            )
        })
}

/// An instance of the caller's.
///
/// # Errors
/// `InvalidInstanceID.Malformed`, `InvalidInstanceID.NotFound`.
pub fn instance<'a>(world: &'a World, caller: &Caller, id: &str) -> Result<&'a Instance, AwsError> {
    if !well_formed("i", id) {
        return Err(AwsError::new(
            "InvalidInstanceID.Malformed",
            format!("Invalid id: \"{id}\" (expecting \"i-...\")"),
        ));
    }
    world
        .instances
        .get(id)
        .filter(|it| it.region == caller.region && it.owner == caller.account)
        .ok_or_else(|| {
            AwsError::new(
                "InvalidInstanceID.NotFound",
                format!("The instance ID '{id}' does not exist"),
            )
        })
}

/// The caller sees it and may not do this to it.
pub fn not_yours(what: &str) -> AwsError {
    AwsError::new(
        "UnauthorizedOperation",
        format!("You are not authorized to perform this operation on {what}."),
    )
    .with_status(403)
}

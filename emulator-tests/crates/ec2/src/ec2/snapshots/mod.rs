//! Snapshots.

mod copy;
mod create;
mod create_many;
mod delete;
mod describe;
mod layers;
mod permissions;
#[cfg(test)]
mod tests;

pub(crate) use copy::{check_key, new_copy};
pub(crate) use create::of_volume;
pub(crate) use create_many::settle_volumes_of;
pub(crate) use layers::{remove_layers, unnamed_layers};

use crate::ec2::call::{Answer, Call};
use emulator_protocol::{AwsError, Xml};

/// What AWS says of a snapshot that was not made of a volume.
pub(crate) const NO_VOLUME: &str = "vol-ffffffff";

/// Answers an action that is this module's; `None` for any other.
pub(super) async fn handle(call: &Call<'_>, action: &str) -> Option<Answer> {
    answer(call, action).await.transpose()
}

async fn answer(call: &Call<'_>, action: &str) -> Result<Option<Xml>, AwsError> {
    const ACTIONS: [&str; 8] = [
        "CreateSnapshot",
        "CreateSnapshots",
        "CopySnapshot",
        "DescribeSnapshots",
        "DeleteSnapshot",
        "ModifySnapshotAttribute",
        "DescribeSnapshotAttribute",
        "ResetSnapshotAttribute",
    ];
    if !ACTIONS.contains(&action) {
        return Ok(None);
    }
    call.dry_run()?;
    match action {
        "CreateSnapshot" => create::create(call),
        "CreateSnapshots" => create_many::create(call),
        "CopySnapshot" => copy::copy(call).await,
        "DescribeSnapshots" => describe::describe(call),
        "DeleteSnapshot" => delete::delete(call),
        "ModifySnapshotAttribute" => permissions::modify(call).await,
        "DescribeSnapshotAttribute" => permissions::describe(call),
        _ => permissions::reset(call),
    }
    .map(Some)
}

/// The request's `Description`.
fn description(call: &Call<'_>) -> Result<String, AwsError> {
    let text = call.params.get("Description").unwrap_or_default();
    if text.chars().count() > 255 {
        return Err(call
            .params
            .invalid("Description", text, "it has more than 255 characters"));
    }
    Ok(text.to_owned())
}

/// Refuses parameters that ask for places which are not here.
fn refuse_elsewhere(call: &Call<'_>, names: &[&str]) -> Result<(), AwsError> {
    for name in names {
        if let Some(value) = call.params.get(name).filter(|it| !it.is_empty()) {
            return Err(call.params.invalid(
                name,
                value,
                "there are no Outposts and no Local Zones",
            ));
        }
    }
    Ok(())
}

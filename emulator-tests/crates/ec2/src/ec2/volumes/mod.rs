//! Volumes.

mod attach;
mod attribute;
mod create;
mod delete;
mod describe;
mod limits;
mod modify;
mod record;
mod status;
#[cfg(test)]
mod tests;
mod zone;

pub(crate) use limits::{Provision, provision};
pub(crate) use record::{choose_key, from_snapshot};
pub(crate) use zone::check as check_zone;

use crate::ec2::call::{Answer, Call};
use emulator_protocol::{AwsError, Xml};

/// Answers an action that is this module's; `None` for any other.
pub(super) async fn handle(call: &Call<'_>, action: &str) -> Option<Answer> {
    answer(call, action).await.transpose()
}

async fn answer(call: &Call<'_>, action: &str) -> Result<Option<Xml>, AwsError> {
    const ACTIONS: [&str; 10] = [
        "CreateVolume",
        "DescribeVolumes",
        "DeleteVolume",
        "AttachVolume",
        "DetachVolume",
        "DescribeVolumeStatus",
        "ModifyVolume",
        "DescribeVolumesModifications",
        "DescribeVolumeAttribute",
        "ModifyVolumeAttribute",
    ];
    if !ACTIONS.contains(&action) {
        return Ok(None);
    }
    call.dry_run()?;
    match action {
        "CreateVolume" => create::create(call).await,
        "DescribeVolumes" => describe::describe(call),
        "DeleteVolume" => delete::delete(call),
        "AttachVolume" => attach::attach(call),
        "DetachVolume" => attach::detach(call),
        "DescribeVolumeStatus" => status::describe(call),
        "ModifyVolume" => modify::modify(call),
        "DescribeVolumesModifications" => modify::describe(call),
        "DescribeVolumeAttribute" => attribute::describe(call),
        _ => attribute::modify(call),
    }
    .map(Some)
}

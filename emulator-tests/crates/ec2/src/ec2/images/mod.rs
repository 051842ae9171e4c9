//! Images.

mod attribute;
mod block_device;
mod copy;
mod create;
mod deprecation;
mod deregister;
mod describe;
mod disable;
mod filters;
mod modify;
mod name;
mod permission;
mod protection;
mod references;
mod register;
mod xml;

#[cfg(test)]
mod tests;

use super::lookup;
use crate::ec2::call::{Answer, Call};
use emulator_protocol::{AwsError, Xml};
use emulator_state::world::{Change, Image, World};

/// Answers an action that is this module's; `None` for any other.
pub(super) async fn handle(call: &Call<'_>, action: &str) -> Option<Answer> {
    Some(match action {
        "RegisterImage" => register::register(call),
        "CreateImage" => create::create(call),
        "CopyImage" => copy::copy(call).await,
        "DescribeImages" => describe::describe(call),
        "DescribeImageAttribute" => attribute::describe(call),
        "ModifyImageAttribute" => modify::modify(call).await,
        "ResetImageAttribute" => attribute::reset(call),
        "EnableImageDeprecation" => deprecation::enable(call),
        "DisableImageDeprecation" => deprecation::disable(call),
        "DisableImage" => disable::disable(call),
        "EnableImage" => disable::enable(call),
        "EnableImageDeregistrationProtection" => protection::enable(call),
        "DisableImageDeregistrationProtection" => protection::disable(call),
        "DeregisterImage" => deregister::deregister(call),
        "DescribeImageReferences" => references::describe(call),
        _ => return None,
    })
}

/// Images of anybody's that are made of this snapshot: while there is one, the snapshot can't be
/// deleted.
pub(crate) fn users_of_snapshot<'a>(world: &'a World, snapshot: &str) -> Vec<&'a Image> {
    world
        .images
        .values()
        .filter(|image| image.snapshots().any(|id| id == snapshot))
        .collect()
}

/// Changes the image of the caller's that `ImageId` names, and answers that it is done.
fn change_own(call: &Call<'_>, change: impl FnOnce(&mut Image) -> Result<(), AwsError>) -> Answer {
    let id = call.params.required("ImageId")?;
    call.services.store.write(|world, changes| {
        let mut image = lookup::own_image(world, call.caller, id)?.clone();
        change(&mut image)?;
        call.dry_run()?;
        changes.push(Change::Image(Box::new(image)));
        Ok(Xml::done())
    })
}

/// The image is there, and its state does not allow this.
fn unavailable(image: &Image, call: &Call<'_>, what: &str) -> AwsError {
    AwsError::new(
        "InvalidAMIID.Unavailable",
        format!(
            "The image ID '{}' is {}, and can't be {what}",
            image.id,
            image.state.name(call.now)
        ),
    )
}

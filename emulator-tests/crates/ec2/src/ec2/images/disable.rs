//! `DisableImage`, `EnableImage`.

use super::{change_own, unavailable};
use crate::ec2::call::{Answer, Call};
use emulator_state::world::{ImageState, Permissions};

/// Nobody can launch, copy or share the image until it is enabled, and who it was shared with
/// loses it.
pub fn disable(call: &Call<'_>) -> Answer {
    change_own(call, |image| match image.state.name(call.now) {
        "available" => {
            image.state = ImageState::Disabled;
            image.permissions = Permissions::default();
            Ok(())
        }
        "disabled" => Ok(()),
        _ => Err(unavailable(image, call, "disabled")),
    })
}

/// Makes the image available again, to its owner alone.
pub fn enable(call: &Call<'_>) -> Answer {
    change_own(call, |image| match image.state.name(call.now) {
        "available" => Ok(()),
        "disabled" => {
            image.state = ImageState::Available { at: call.now };
            Ok(())
        }
        _ => Err(unavailable(image, call, "enabled")),
    })
}

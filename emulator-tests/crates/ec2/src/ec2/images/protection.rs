//! `EnableImageDeregistrationProtection`, `DisableImageDeregistrationProtection`.

use super::change_own;
use crate::ec2::call::{Answer, Call};
use emulator_state::world::Protection;
use time::Duration;

/// How long protection with a cooldown holds after it is switched off.
const COOLDOWN: Duration = Duration::hours(24);

/// Protects the image from `DeregisterImage`.
pub fn enable(call: &Call<'_>) -> Answer {
    let cooldown = call.params.bool("WithCooldown")? == Some(true);
    change_own(call, |image| {
        image.deregistration_protection = Protection::Enabled { cooldown };
        Ok(())
    })
}

/// Ends the protection, at once or after the cooldown.
pub fn disable(call: &Call<'_>) -> Answer {
    change_own(call, |image| {
        if let Protection::Enabled { cooldown } = image.deregistration_protection {
            image.deregistration_protection = if cooldown {
                Protection::Cooldown {
                    until: call.now + COOLDOWN,
                }
            } else {
                Protection::Disabled
            };
        }
        Ok(())
    })
}

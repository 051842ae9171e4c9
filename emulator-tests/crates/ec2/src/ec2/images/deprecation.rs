//! `EnableImageDeprecation`, `DisableImageDeprecation`.

use super::change_own;
use crate::ec2::call::{Answer, Call};
use emulator_protocol::AwsError;
use emulator_state::world::years_after;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime, UtcOffset};

/// Sets when an image is deprecated: to the minute, in the future, at most ten years from now, and
/// of a public image at most two years after it was made.
pub fn enable(call: &Call<'_>) -> Answer {
    let text = call.params.required("DeprecateAt")?;
    let invalid = |why: &str| call.params.invalid("DeprecateAt", text, why);
    let at = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| invalid("expecting a time as in YYYY-MM-DDTHH:MM:SSZ"))?
        .to_offset(UtcOffset::UTC);
    if at <= call.now {
        return Err(invalid("it is in the past"));
    }
    if at > years_after(call.now, 10) {
        return Err(invalid("it is more than 10 years from now"));
    }
    let at = nearest_minute(at);
    change_own(call, |image| {
        if image.permissions.public && at > years_after(image.created, 2) {
            return Err(AwsError::new(
                "InvalidParameterValue",
                format!(
                    "Value ({text}) for parameter DeprecateAt is invalid: it is more than 2 years \
                     after the creation of the public image {}",
                    image.id
                ),
            ));
        }
        image.deprecated = Some(at);
        Ok(())
    })
}

/// Cancels it.
pub fn disable(call: &Call<'_>) -> Answer {
    change_own(call, |image| {
        image.deprecated = None;
        Ok(())
    })
}

fn nearest_minute(time: OffsetDateTime) -> OffsetDateTime {
    let rounded = time + Duration::seconds(30);
    rounded
        - Duration::seconds(i64::from(rounded.second()))
        - Duration::nanoseconds(i64::from(rounded.nanosecond()))
}

#[cfg(test)]
mod tests {
    use super::nearest_minute;
    use time::macros::datetime;

    #[test]
    fn seconds_are_rounded() {
        for (time, minute) in [
            (
                datetime!(2026-01-01 10:00:29.999 UTC),
                datetime!(2026-01-01 10:00 UTC),
            ),
            (
                datetime!(2026-01-01 10:00:30 UTC),
                datetime!(2026-01-01 10:01 UTC),
            ),
            (
                datetime!(2026-12-31 23:59:31 UTC),
                datetime!(2027-01-01 00:00 UTC),
            ),
        ] {
            assert_eq!(nearest_minute(time), minute);
        }
    }
}

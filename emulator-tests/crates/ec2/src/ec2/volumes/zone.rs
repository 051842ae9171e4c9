//! Availability Zones, by their names.

use emulator_protocol::{AwsError, Region};

/// Refuses a zone that is not one of the region's.
///
/// # Errors
/// `InvalidZone.NotFound`.
pub(crate) fn check(region: &Region, zone: &str) -> Result<(), AwsError> {
    let letter = zone
        .strip_prefix(region.as_str())
        .filter(|rest| rest.len() == 1);
    if letter.is_some_and(|letter| letters(region.as_str()).contains(letter)) {
        return Ok(());
    }
    Err(AwsError::new(
        "InvalidZone.NotFound",
        format!("The zone '{zone}' does not exist."),
    ))
}

/// The letters of a region's zones. Which of them an account sees differs on AWS in the regions
/// that leave one out.
fn letters(region: &str) -> &'static str {
    match region {
        "us-east-1" => "abcdef",
        "us-west-1" => "ab",
        "us-west-2" | "ap-northeast-2" => "abcd",
        "ap-northeast-1" => "acd",
        "ca-central-1" => "abd",
        _ => "abc",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_its_regions() {
        for (region, zone, is) in [
            ("us-east-1", "us-east-1a", true),
            ("us-east-1", "us-east-1g", false),
            ("us-east-1", "us-east-1", false),
            ("us-east-1", "us-east-1ab", false),
            ("us-east-1", "us-east-2a", false),
            ("us-east-1", "", false),
            ("eu-west-1", "eu-west-1d", false),
            ("ap-northeast-1", "ap-northeast-1b", false),
        ] {
            let region = Region::parse(region).unwrap();
            assert_eq!(check(&region, zone).is_ok(), is, "{zone}");
        }
    }
}

//! What an image may be called.

use emulator_protocol::{AwsError, Caller, Params};
use emulator_state::world::World;

/// Most characters of a description.
const MOST_DESCRIPTION: usize = 255;

/// Reads `Name`.
///
/// # Errors
/// `MissingParameter`, `InvalidAMIName.Malformed`.
pub fn parse(params: &Params) -> Result<&str, AwsError> {
    let name = params.get("Name").ok_or_else(|| {
        AwsError::new(
            "MissingParameter",
            "The request must contain the parameter Name",
        )
    })?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "()[] ./-'@_".contains(c);
    // All allowed characters have one byte.
    if !(3..=128).contains(&name.len()) || !name.chars().all(allowed) {
        return Err(AwsError::new(
            "InvalidAMIName.Malformed",
            "AMI names must be between 3 and 128 characters long, and may contain letters, \
             numbers, '(', ')', '[', ']', ' ', '.', '/', '-', ''', '@' and '_'",
        ));
    }
    Ok(name)
}

/// Refuses a name that an image of the caller's in the region has already.
///
/// # Errors
/// `InvalidAMIName.Duplicate`.
pub fn check_unused(world: &World, caller: &Caller, name: &str) -> Result<(), AwsError> {
    let user = world.images.values().find(|image| {
        image.owner == caller.account && image.region == caller.region && image.name == name
    });
    match user {
        None => Ok(()),
        Some(user) => Err(AwsError::new(
            "InvalidAMIName.Duplicate",
            format!("AMI name {name} is already in use by AMI {}", user.id),
        )),
    }
}

/// Checks a description.
///
/// # Errors
/// `InvalidParameterValue` for one that is too long.
pub fn check_description(description: &str) -> Result<(), AwsError> {
    if description.chars().count() > MOST_DESCRIPTION {
        return Err(AwsError::new(
            "InvalidParameterValue",
            format!("The description is longer than {MOST_DESCRIPTION} characters"),
        ));
    }
    Ok(())
}

/// Reads `Description`. An empty one is none.
///
/// # Errors
/// Those of [`check_description`].
pub fn description(params: &Params) -> Result<Option<String>, AwsError> {
    let description = params.get("Description").filter(|text| !text.is_empty());
    description.map_or(Ok(()), check_description)?;
    Ok(description.map(String::from))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_3_to_128_allowed_characters() {
        let long = "n".repeat(128);
        let too_long = "n".repeat(129);
        for (name, code) in [
            ("abc", None),
            ("a1 ()[]./-'@_", None),
            (long.as_str(), None),
            (too_long.as_str(), Some("InvalidAMIName.Malformed")),
            ("ab", Some("InvalidAMIName.Malformed")),
            ("", Some("InvalidAMIName.Malformed")),
            ("a:bc", Some("InvalidAMIName.Malformed")),
            ("a+bc", Some("InvalidAMIName.Malformed")),
            ("größe", Some("InvalidAMIName.Malformed")),
            ("a\tbc", Some("InvalidAMIName.Malformed")),
        ] {
            let form: String = form_urlencoded::Serializer::new(String::new())
                .append_pair("Name", name)
                .finish();
            let params = Params::parse(form.as_bytes()).unwrap();
            let got = parse(&params).err().map(|error| error.code.into_owned());
            assert_eq!(got.as_deref(), code, "{name}");
        }
        assert_eq!(
            parse(&Params::default()).unwrap_err().code,
            "MissingParameter"
        );
    }
}

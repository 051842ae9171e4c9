//! `TagSpecification.N`: tags for what an action makes; and the rules that tags obey.

use emulator_protocol::{AwsError, Params};
use emulator_state::world::Tags;
use std::collections::BTreeMap;

/// Most tags that a resource may have.
const MOST_TAGS: usize = 50;

/// Tags by resource type (`image`, `snapshot`).
///
/// # Errors
/// A type that the action does not make, or tags that break a rule.
pub fn parse(params: &Params, makes: &[&str]) -> Result<BTreeMap<String, Tags>, AwsError> {
    let mut found: BTreeMap<String, Tags> = BTreeMap::new();
    for specification in params.structs("TagSpecification") {
        let kind = specification.required("ResourceType")?;
        if !makes.contains(&kind) {
            return Err(AwsError::new(
                "InvalidParameterValue",
                format!("'{kind}' is not a valid taggable resource type for this operation."),
            ));
        }
        let tags = found.entry(kind.to_owned()).or_default();
        for (key, value) in pairs(&specification)? {
            if tags.insert(key.clone(), value).is_some() {
                return Err(AwsError::new(
                    "InvalidParameterValue",
                    format!("Duplicate tag key '{key}' specified."),
                ));
            }
        }
        check_count(tags)?;
    }
    Ok(found)
}

/// `Tag.N.Key`, `Tag.N.Value`, each of which obeys the rules.
///
/// # Errors
/// `InvalidParameterValue`.
pub fn pairs(params: &Params) -> Result<Vec<(String, String)>, AwsError> {
    params
        .structs("Tag")
        .iter()
        .map(|tag| {
            let key = tag.required("Key")?;
            let value = tag.get("Value").unwrap_or_default();
            if key.chars().count() > 127 {
                return Err(tag.invalid("Key", key, "tag keys have at most 127 characters"));
            }
            if value.chars().count() > 255 {
                return Err(tag.invalid("Value", value, "tag values have at most 255 characters"));
            }
            if key.to_ascii_lowercase().starts_with("aws:") {
                return Err(tag.invalid("Key", key, "keys that start with aws: are reserved"));
            }
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Refuses more tags than a resource may have.
///
/// # Errors
/// `TagLimitExceeded`.
pub fn check_count(tags: &Tags) -> Result<(), AwsError> {
    if tags.len() > MOST_TAGS {
        return Err(AwsError::new(
            "TagLimitExceeded",
            format!("a resource has at most {MOST_TAGS} tags"),
        ));
    }
    Ok(())
}

//! `CreateTags`, `DeleteTags`: on all the resources named, or on none.

use super::resource::{Resource, is_own};
use crate::ec2::call::{Answer, Call};
use crate::ec2::instances::check_metadata_tags;
use crate::ec2::tag_specification::{check_count, pairs};
use emulator_protocol::{AwsError, Params, Xml};
use emulator_state::world::{Change, Tags, World};

/// Most resources of one request.
const MOST_RESOURCES: usize = 1000;

/// A tag that goes: with any value, or with this one only.
struct Gone {
    key: String,
    value: Option<String>,
}

/// `CreateTags`.
pub(super) async fn create(call: &Call<'_>) -> Answer {
    let tags = pairs(call.params)?;
    if tags.is_empty() {
        return Err(missing("tagSet"));
    }
    for (at, (key, _)) in tags.iter().enumerate() {
        if tags[..at].iter().any(|(earlier, _)| earlier == key) {
            return Err(AwsError::new(
                "InvalidParameterValue",
                format!("Duplicate tag key '{key}' specified."),
            ));
        }
    }
    change(call, "CreateTags", |resource| {
        let mut merged = resource.tags().clone();
        merged.extend(tags.iter().cloned());
        check_count(&merged)?;
        if let Resource::Instance(instance) = resource {
            check_metadata_tags(&instance.metadata, &merged)?;
        }
        Ok(merged)
    })
    .await
}

/// `DeleteTags`: without tags, all of them.
pub(super) async fn delete(call: &Call<'_>) -> Answer {
    let mut gone = Vec::new();
    for tag in call.params.structs("Tag") {
        let key = tag.required("Key")?;
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(tag.invalid("Key", key, "keys that start with aws: are reserved"));
        }
        gone.push(Gone {
            key: key.to_owned(),
            value: tag.get("Value").map(String::from),
        });
    }
    change(call, "DeleteTags", |resource| {
        let mut left = resource.tags().clone();
        if gone.is_empty() {
            left.clear();
        }
        for tag in &gone {
            if left
                .get(&tag.key)
                .is_some_and(|has| tag.value.as_ref().is_none_or(|value| value == has))
            {
                left.remove(&tag.key);
            }
        }
        Ok(left)
    })
    .await
}

fn missing(what: &str) -> AwsError {
    AwsError::new(
        "MissingParameter",
        format!("The request must contain the parameter {what}"),
    )
}

async fn change(
    call: &Call<'_>,
    action: &str,
    tags: impl Fn(&Resource<'_>) -> Result<Tags, AwsError>,
) -> Answer {
    let ids = call.params.list("ResourceId");
    if ids.is_empty() {
        return Err(missing("resourceIdSet"));
    }
    if ids.len() > MOST_RESOURCES {
        return Err(AwsError::new(
            "InvalidParameterValue",
            format!("A request names at most {MOST_RESOURCES} resources"),
        ));
    }
    let (own, foreign): (Vec<&str>, Vec<&str>) = ids.into_iter().partition(|id| is_own(id));
    let changes = |world: &World| -> Result<Vec<Change>, AwsError> {
        let mut changes = Vec::new();
        for (at, id) in own.iter().enumerate() {
            let resource = Resource::find(world, call.caller, id)?;
            if !own[..at].contains(id) {
                changes.push(resource.with(tags(&resource)?));
            }
        }
        Ok(changes)
    };
    // Ours are looked at before LocalStack changes its own, and changed after.
    call.services.store.read(|world| changes(world).map(drop))?;
    call.dry_run()?;
    if !foreign.is_empty() {
        let params = with_resources(call.params, &foreign);
        call.services
            .network
            .call(call.caller, action, params)
            .await?;
    }
    call.services.store.write(|world, out| {
        *out = changes(world)?;
        Ok(())
    })?;
    Ok(Xml::done())
}

/// The request's tags, on these resources.
fn with_resources(params: &Params, resources: &[&str]) -> Vec<(String, String)> {
    let tags = params
        .iter()
        .filter(|(name, _)| name.starts_with("Tag."))
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let resources = (1..)
        .zip(resources)
        .map(|(number, id): (usize, _)| (format!("ResourceId.{number}"), (*id).to_owned()));
    tags.chain(resources).collect()
}

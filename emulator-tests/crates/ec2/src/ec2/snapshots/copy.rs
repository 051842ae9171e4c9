//! `CopySnapshot`. A copy shares its source's layers: what is another's key is a record only.

use super::{NO_VOLUME, describe, description, refuse_elsewhere};
use crate::ec2::call::{Answer, Call};
use crate::ec2::{lookup, tag_specification};
use crate::encryption;
use emulator_backend::KeyFault;
use emulator_protocol::{AwsError, Caller, Region, Xml, known_region};
use emulator_state::world::{Change, Permissions, Snapshot, SnapshotState, World};

/// What AWS says of a copy whose key, or whose source's key, can't be used.
const NO_KEY: &str = "Given key ID is not accessible";

/// A copy of a snapshot that belongs to the caller, in the caller's region; encrypted if there is
/// a key, which is the caller's to choose (see [`encryption::choose`]). It has no description, no
/// tags and no permissions: the caller sets these.
pub(crate) fn new_copy(call: &Call<'_>, source: &Snapshot, key: Option<String>) -> Snapshot {
    Snapshot {
        id: call.services.ids.resource("snap"),
        owner: call.caller.account.clone(),
        region: call.caller.region.clone(),
        volume_id: NO_VOLUME.to_owned(),
        volume_size: source.volume_size,
        description: String::new(),
        encrypted: key.is_some(),
        kms_key: key,
        parent: None,
        layers: source.layers.clone(),
        blank: source.blank,
        full_size: source.full_size,
        started: call.now,
        state: SnapshotState::Completed {
            at: call.now + call.services.settle,
        },
        permissions: Permissions::default(),
        tags: Default::default(),
        timeout_minutes: None,
        client_token: None,
    }
}

/// `CopySnapshot`.
pub(super) async fn copy(call: &Call<'_>) -> Answer {
    let params = call.params;
    refuse_elsewhere(
        call,
        &["DestinationOutpostArn", "DestinationAvailabilityZone"],
    )?;
    let there = Caller {
        region: source_region(call)?,
        ..call.caller.clone()
    };
    let id = params.required("SourceSnapshotId")?;
    let encrypted = params.bool("Encrypted")?;
    let key = params.get("KmsKeyId").filter(|it| !it.is_empty());
    if key.is_some() && encrypted != Some(true) {
        return Err(AwsError::new(
            "InvalidParameterDependency",
            "The parameter KmsKeyId requires the parameter Encrypted to be set.",
        ));
    }
    check_duration(call)?;
    let description = description(call)?;
    let tags = tag_specification::parse(params, &["snapshot"])?
        .remove("snapshot")
        .unwrap_or_default();
    let source = call
        .services
        .store
        .read(|world| complete(world, &there, call, id).cloned())?;
    if source.encrypted && encrypted == Some(false) {
        return Err(params.invalid(
            "Encrypted",
            "false",
            "a copy of an encrypted snapshot is encrypted",
        ));
    }
    let encrypted = encrypted.or(source.encrypted.then_some(true));
    let (key, failure) = match choose_key(call, &source, encrypted, key).await {
        Ok(key) => (key, None),
        Err(KeyFault::Unknown(error)) => return Err(error),
        // EC2 looks at keys after it has answered.
        Err(fault) => {
            tracing::warn!(source = id, %fault, "a copy of a snapshot is going to fail");
            let asked = key.unwrap_or(encryption::DEFAULT_KEY);
            (Some(asked.to_owned()), Some(NO_KEY))
        }
    };
    let made = call.services.store.write(|world, changes| {
        // It may be gone since, or shared no more.
        let source = complete(world, &there, call, id)?;
        let mut copy = new_copy(call, source, key);
        copy.description = description;
        copy.tags = tags;
        if let Some(message) = failure {
            copy.layers.clear();
            copy.full_size = 0;
            copy.state = SnapshotState::Failing {
                at: call.now + call.services.settle,
                message: message.to_owned(),
            };
        }
        changes.push(Change::Snapshot(copy.clone()));
        Ok(copy)
    })?;
    let mut xml = Xml::new();
    xml.leaf("snapshotId", &made.id);
    describe::write_tags(&mut xml, &made.tags);
    Ok(xml)
}

/// `SourceRegion`. The request goes to the region of the copy, so that `DestinationRegion`, which
/// SDKs send with it, can only name that.
fn source_region(call: &Call<'_>) -> Result<Region, AwsError> {
    let params = call.params;
    let to = params.get("DestinationRegion").filter(|it| !it.is_empty());
    if let Some(to) = to.filter(|it| *it != call.caller.region.as_str()) {
        return Err(params.invalid(
            "DestinationRegion",
            to,
            "a snapshot is copied to the Region that the request is sent to",
        ));
    }
    let from = params.required("SourceRegion")?;
    Region::parse(from)
        .filter(|_| known_region(from))
        .ok_or_else(|| {
            AwsError::new(
                "InvalidRegion",
                format!("The specified Region is not valid: {from}"),
            )
        })
}

/// `CompletionDurationMinutes`: every copy here is done sooner.
fn check_duration(call: &Call<'_>) -> Result<(), AwsError> {
    match call.params.integer("CompletionDurationMinutes")? {
        Some(minutes) if !(15..=2_880).contains(&minutes) || minutes % 15 != 0 => {
            Err(call.params.invalid(
                "CompletionDurationMinutes",
                &minutes.to_string(),
                "expecting 15 to 2880, in steps of 15",
            ))
        }
        _ => Ok(()),
    }
}

/// The source, if it can be copied now.
fn complete<'a>(
    world: &'a World,
    there: &Caller,
    call: &Call<'_>,
    id: &str,
) -> Result<&'a Snapshot, AwsError> {
    let source = lookup::snapshot(world, there, id)?;
    match source.state.name(call.now) {
        "completed" => Ok(source),
        state => Err(AwsError::new(
            "IncorrectState",
            format!("Snapshot is in invalid state - {state}: {id}"),
        )),
    }
}

/// The copy's key.
async fn choose_key(
    call: &Call<'_>,
    source: &Snapshot,
    encrypted: Option<bool>,
    key: Option<&str>,
) -> Result<Option<String>, KeyFault> {
    check_key(call, source).await?;
    encryption::choose(call.services, call.caller, encrypted, key).await
}

/// Whether the caller can read what a snapshot's key encrypts: nobody but the owner can be let use
/// AWS's own key, and no one a key that is disabled.
///
/// # Errors
/// The key can't be used.
pub(crate) async fn check_key(call: &Call<'_>, source: &Snapshot) -> Result<(), KeyFault> {
    encryption::of_snapshot(call.services, source).await?;
    if source.owner != call.caller.account && encryption::has_aws_key(call.services, source).await?
    {
        return Err(KeyFault::NotFound(encryption::DEFAULT_KEY.to_owned()));
    }
    Ok(())
}

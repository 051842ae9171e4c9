//! `StartSnapshot`.

use super::call::Call;
use super::error::{conflict, disk, parameter, serialization, snapshot_not_found, validation};
use super::{answer, keys};
use crate::encryption;
use emulator_protocol::AwsError;
use emulator_protocol::http::{Body, ReadError, Response, read_at_most};
use emulator_protocol::model::check_ebs_body;
use emulator_state::layers::BLOCK_LEN;
use emulator_state::layers::Blank;
use emulator_state::world::{Change, Permissions, Snapshot, SnapshotState, Tags, World};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

/// The volume of a snapshot that was made of none.
pub const NO_VOLUME: &str = "vol-ffffffff";
/// More than any request that keeps the model's limits.
const MAX_BODY: usize = 256 * 1024;
/// Minutes, where the request names none.
const DEFAULT_TIMEOUT: i64 = 60;

/// The request, as JSON. What is not known is not looked at, as on AWS.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    volume_size: Option<i64>,
    parent_snapshot_id: Option<String>,
    tags: Option<Vec<Tag>>,
    description: Option<String>,
    #[serde(skip_serializing)]
    client_token: Option<String>,
    encrypted: Option<bool>,
    kms_key_arn: Option<String>,
    timeout: Option<i64>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: Option<String>,
    value: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    snapshot_id: String,
    owner_id: String,
    status: &'static str,
    #[serde(serialize_with = "answer::time")]
    start_time: OffsetDateTime,
    volume_size: u32,
    block_size: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Tag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_snapshot_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kms_key_arn: Option<String>,
    sse_type: &'static str,
}

/// What a request asks for.
struct Wanted {
    size: u32,
    parent: Option<String>,
    tags: Tags,
    description: String,
    /// With a digest of the request.
    token: Option<(String, String)>,
    timeout: u32,
}

pub async fn handle(call: &Call<'_>, body: Body) -> Result<Response, AwsError> {
    let body = read_at_most(body, MAX_BODY)
        .await
        .map_err(|error| match error {
            ReadError::TooLong(_) => serialization("The request is too long."),
            ReadError::Broken { .. } => serialization("The request broke off."),
        })?;
    let not_json = |error| serialization(format!("The request is not the expected JSON: {error}"));
    // Types first, then the model's limits, as the service does.
    let value: Value = serde_json::from_slice(&body).map_err(not_json)?;
    let input = Input::deserialize(&value).map_err(not_json)?;
    check_ebs_body("StartSnapshot", &value)?;
    let wanted = Wanted::check(&input)?;
    if let Some(earlier) = call
        .services
        .store
        .read(|world| wanted.repeated(world, call))?
    {
        return answer::json(201, &Answer::new(earlier, call.now));
    }
    let key = key(call, &input, &wanted).await?;

    let layer = call.services.ids.resource("layer");
    call.services
        .layers
        .create(&layer)
        .map_err(|error| disk(&error))?;
    let made = call.services.store.write(|world, changes| {
        // Two with the same token may have come at once.
        if let Some(earlier) = wanted.repeated(world, call)? {
            return Ok(earlier);
        }
        let parent = wanted.parent(world, call)?;
        let snapshot = wanted.snapshot(call, parent, key, &layer);
        changes.push(Change::Snapshot(snapshot.clone()));
        Ok(snapshot)
    });
    let is_used = made
        .as_ref()
        .is_ok_and(|snapshot| snapshot.layers.contains(&layer));
    if !is_used && let Err(error) = call.services.layers.remove(&layer) {
        tracing::warn!(%layer, %error, "a layer without a snapshot is left behind");
    }
    let made = made?;
    call.services.ebs.touch(&made.id, call.now);
    answer::json(201, &Answer::new(made, call.now))
}

/// The ARN of the key that the blocks are encrypted with. See "Encryption outcomes for EBS direct
/// APIs" in the user guide.
async fn key(call: &Call<'_>, input: &Input, wanted: &Wanted) -> Result<Option<String>, AwsError> {
    if wanted.parent.is_some() {
        let key = call.services.store.read(|world| {
            wanted
                .parent(world, call)
                .map(|parent| parent.and_then(|it| it.kms_key.clone()))
        })?;
        keys::check(call, key.as_deref(), false).await?;
        // With encryption by default nothing plain can be started, on a plain parent either.
        let by_default = encryption::choose(call.services, call.caller, None, None)
            .await
            .map_err(keys::refused)?;
        if key.is_none() && by_default.is_some() {
            return Err(parameter(
                "The parent snapshot is not encrypted, and encryption by default is enabled.",
            ));
        }
        return Ok(key);
    }
    let named = input.kms_key_arn.as_deref();
    if let Some(arn) = named
        && arn.split(':').nth(3) != Some(call.caller.region.as_str())
    {
        return Err(validation(
            "INVALID_CUSTOMER_KEY",
            format!("The KMS key is in another region: {arn}"),
        ));
    }
    encryption::choose(call.services, call.caller, input.encrypted, named)
        .await
        .map_err(keys::refused)
}

impl Wanted {
    /// The rules that are not the model's.
    fn check(input: &Input) -> Result<Self, AwsError> {
        let size = input
            .volume_size
            .and_then(|size| u32::try_from(size).ok())
            .filter(|size| *size <= 65_536)
            .ok_or_else(|| {
                validation(
                    "INVALID_VOLUME_SIZE",
                    "VolumeSize has to be 1 to 65536 GiB.",
                )
            })?;
        if input.parent_snapshot_id.is_some()
            && (input.encrypted.is_some() || input.kms_key_arn.is_some())
        {
            return Err(parameter(
                "ParentSnapshotId can't be given together with Encrypted or KmsKeyArn.",
            ));
        }
        if input.kms_key_arn.is_some() && input.encrypted != Some(true) {
            return Err(parameter("KmsKeyArn needs Encrypted to be true."));
        }
        let timeout = input.timeout.unwrap_or(DEFAULT_TIMEOUT);
        Ok(Self {
            size,
            parent: input.parent_snapshot_id.clone(),
            tags: tags(input.tags.as_deref().unwrap_or_default())?,
            description: input.description.clone().unwrap_or_default(),
            token: token(input)?,
            timeout: u32::try_from(timeout).unwrap_or_default(),
        })
    }

    /// The snapshot that an earlier request with the same token started.
    fn repeated(&self, world: &World, call: &Call<'_>) -> Result<Option<Snapshot>, AwsError> {
        let Some((token, digest)) = &self.token else {
            return Ok(None);
        };
        let caller = call.caller;
        let earlier = world
            .snapshots
            .values()
            .filter(|it| it.owner == caller.account && it.region == caller.region)
            .find_map(|it| {
                it.client_token
                    .as_ref()
                    .filter(|has| has.0 == *token)
                    .map(|has| (it, &has.1))
            });
        match earlier {
            Some((_, has)) if has != digest => Err(conflict()),
            earlier => Ok(earlier.map(|(snapshot, _)| snapshot.clone())),
        }
    }

    /// The parent, if one is named.
    fn parent<'w>(
        &self,
        world: &'w World,
        call: &Call<'_>,
    ) -> Result<Option<&'w Snapshot>, AwsError> {
        let Some(id) = self.parent.as_deref() else {
            return Ok(None);
        };
        let parent = world
            .snapshots
            .get(id)
            .filter(|it| it.region == call.caller.region && world.may_use(it, &call.caller.account))
            .ok_or_else(|| snapshot_not_found(id))?;
        let state = parent.state.name(call.now);
        if state != "completed" {
            return Err(validation(
                "INVALID_SNAPSHOT_ID",
                format!("The parent snapshot '{id}' is not completed: it is {state}."),
            ));
        }
        if self.size < parent.volume_size {
            return Err(validation(
                "INVALID_VOLUME_SIZE",
                format!(
                    "VolumeSize is {}, less than the parent snapshot's {} GiB.",
                    self.size, parent.volume_size
                ),
            ));
        }
        Ok(Some(parent))
    }

    fn snapshot(
        &self,
        call: &Call<'_>,
        parent: Option<&Snapshot>,
        key: Option<String>,
        layer: &str,
    ) -> Snapshot {
        let mut layers = vec![layer.to_owned()];
        layers.extend(parent.iter().flat_map(|it| it.layers.iter().cloned()));
        let blank = match (parent, &key) {
            (Some(parent), _) => parent.blank,
            (None, Some(_)) => Blank::Noise,
            (None, None) => Blank::Zero,
        };
        Snapshot {
            id: call.services.ids.resource("snap"),
            owner: call.caller.account.clone(),
            region: call.caller.region.clone(),
            volume_id: NO_VOLUME.to_owned(),
            volume_size: self.size,
            description: self.description.clone(),
            encrypted: key.is_some(),
            kms_key: key,
            parent: self.parent.clone(),
            layers,
            blank,
            full_size: 0,
            started: call.now,
            state: SnapshotState::Pending,
            permissions: Permissions::default(),
            tags: self.tags.clone(),
            timeout_minutes: Some(self.timeout),
            client_token: self.token.clone(),
        }
    }
}

impl Answer {
    fn new(snapshot: Snapshot, now: OffsetDateTime) -> Self {
        Self {
            status: snapshot.state.name(now),
            description: snapshot.description,
            snapshot_id: snapshot.id,
            owner_id: snapshot.owner.to_string(),
            start_time: snapshot.started,
            volume_size: snapshot.volume_size,
            block_size: BLOCK_LEN,
            tags: snapshot
                .tags
                .into_iter()
                .map(|(key, value)| Tag {
                    key: Some(key),
                    value: Some(value),
                })
                .collect(),
            parent_snapshot_id: snapshot.parent,
            sse_type: if snapshot.kms_key.is_some() {
                "sse-kms"
            } else {
                "none"
            },
            kms_key_arn: snapshot.kms_key,
        }
    }
}

fn tags(given: &[Tag]) -> Result<Tags, AwsError> {
    let invalid = |why: String| validation("INVALID_TAG", why);
    let mut tags = Tags::new();
    for tag in given {
        let key = tag.key.clone().unwrap_or_default();
        let value = tag.value.clone().unwrap_or_default();
        if key.is_empty() {
            return Err(invalid(
                "A tag has a key of 1 to 127 characters.".to_owned(),
            ));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(invalid(format!("The tag key '{key}' is reserved.")));
        }
        if tags.contains_key(&key) {
            return Err(invalid(format!("The tag '{key}' is given twice.")));
        }
        tags.insert(key, value);
    }
    Ok(tags)
}

/// The client token, and a digest of all else in the request.
fn token(input: &Input) -> Result<Option<(String, String)>, AwsError> {
    let Some(token) = &input.client_token else {
        return Ok(None);
    };
    let rest = serde_json::to_vec(input).map_err(|error| serialization(error.to_string()))?;
    Ok(Some((token.clone(), hex::encode(Sha256::digest(rest)))))
}

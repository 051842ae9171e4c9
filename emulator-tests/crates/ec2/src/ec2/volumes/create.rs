//! `CreateVolume`.

use super::{check_zone, choose_key, describe, from_snapshot, provision};
use crate::ec2::call::{Answer, Call};
use crate::ec2::{lookup, tag_specification};
use emulator_backend::KeyFault;
use emulator_protocol::{AwsError, Params, Xml};
use emulator_state::world::{Change, Snapshot, Volume, World};
use sha2::{Digest, Sha256};

/// `CreateVolume`.
pub(super) async fn create(call: &Call<'_>) -> Answer {
    let params = call.params;
    let wanted = Wanted::parse(call)?;
    let token = token(params);
    let (source, earlier) = call.services.store.read(|world| {
        let source = wanted.source(world, call)?.cloned();
        let earlier = earlier(world, call, token.as_ref())?.cloned();
        Ok::<_, AwsError>((source, earlier))
    })?;
    if let Some(volume) = earlier {
        return Ok(answer(&volume, call));
    }
    if source.as_ref().is_some_and(|it| it.encrypted) && wanted.encrypted == Some(false) {
        return Err(AwsError::new(
            "InvalidParameterCombination",
            "A volume that is created from an encrypted snapshot is encrypted: the parameter \
             encrypted can't be false.",
        ));
    }
    let size = wanted.size(source.as_ref())?;
    let provision = provision(wanted.kind, size, wanted.iops, wanted.throughput)?;
    let key = choose_key(
        call.services,
        call.caller,
        source.as_ref(),
        wanted.encrypted,
        wanted.key,
    )
    .await;
    let (key, fault) = match key {
        Ok(key) => (key, None),
        Err(KeyFault::Unknown(error)) => return Err(error),
        Err(fault) => (wanted.key.map(String::from), Some(fault)),
    };
    let mut volume = from_snapshot(call, wanted.zone, source.as_ref(), provision, key);
    volume.tags = tag_specification::parse(params, &["volume"])?
        .remove("volume")
        .unwrap_or_default();
    volume.client_token = token;
    if let Some(fault) = fault {
        // EC2 looks at the key after it has answered, and then the volume is not there.
        tracing::warn!(volume = volume.id, %fault, "a volume that was answered is not made");
        volume.encrypted = true;
        return Ok(answer(&volume, call));
    }
    let made = call.services.store.write(|world, changes| {
        // Both may have changed while KMS was asked.
        wanted.source(world, call)?;
        if let Some(volume) = earlier_of(world, call, &volume)? {
            return Ok(volume.clone());
        }
        changes.push(Change::Volume(volume.clone()));
        Ok(volume)
    })?;
    Ok(answer(&made, call))
}

fn answer(volume: &Volume, call: &Call<'_>) -> Xml {
    let mut xml = Xml::new();
    describe::write(&mut xml, volume, call);
    xml
}

/// What a request asks for.
struct Wanted<'a> {
    zone: &'a str,
    snapshot: Option<&'a str>,
    size: Option<i64>,
    kind: &'a str,
    iops: Option<i64>,
    throughput: Option<i64>,
    encrypted: Option<bool>,
    key: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    fn parse(call: &'a Call<'_>) -> Result<Self, AwsError> {
        let params = call.params;
        for (name, why) in [
            ("OutpostArn", "there are no Outposts"),
            (
                "AvailabilityZoneId",
                "zones are known by name: give AvailabilityZone",
            ),
        ] {
            if let Some(value) = params.get(name) {
                return Err(params.invalid(name, value, why));
            }
        }
        if params.bool("MultiAttachEnabled")? == Some(true) {
            return Err(AwsError::new(
                "UnsupportedOperation",
                "Volumes with Multi-Attach are not supported.",
            ));
        }
        let zone = params.required("AvailabilityZone")?;
        check_zone(&call.caller.region, zone)?;
        let wanted = Self {
            zone,
            snapshot: params.get("SnapshotId").filter(|id| !id.is_empty()),
            size: params.integer("Size")?,
            kind: params.get("VolumeType").unwrap_or("gp2"),
            iops: params.integer("Iops")?,
            throughput: params.integer("Throughput")?,
            encrypted: params.bool("Encrypted")?,
            key: params.get("KmsKeyId").filter(|id| !id.is_empty()),
        };
        if wanted.key.is_some() && wanted.encrypted != Some(true) {
            return Err(AwsError::new(
                "InvalidParameterDependency",
                "The parameter KmsKeyId requires the parameter Encrypted to be set.",
            ));
        }
        if wanted.size.is_none() && wanted.snapshot.is_none() {
            return Err(AwsError::new(
                "MissingParameter",
                "The request must contain the parameter size or snapshotId",
            ));
        }
        Ok(wanted)
    }

    /// The snapshot, if one is named.
    fn source<'w>(
        &self,
        world: &'w World,
        call: &Call<'_>,
    ) -> Result<Option<&'w Snapshot>, AwsError> {
        let Some(id) = self.snapshot else {
            return Ok(None);
        };
        let snapshot = lookup::snapshot(world, call.caller, id)?;
        match snapshot.state.name(call.now) {
            "completed" => Ok(Some(snapshot)),
            state => Err(AwsError::new(
                "IncorrectState",
                format!("Snapshot is in invalid state - {state}: {id}"),
            )),
        }
    }

    fn size(&self, source: Option<&Snapshot>) -> Result<i64, AwsError> {
        let least = source.map(|it| i64::from(it.volume_size));
        let size = self.size.or(least).unwrap_or_default();
        match least {
            Some(least) if size < least => Err(AwsError::new(
                "InvalidParameterValue",
                format!(
                    "Volume of size {size}GB is smaller than snapshot '{}', expect size >= {least}GB",
                    self.snapshot.unwrap_or_default()
                ),
            )),
            _ => Ok(size),
        }
    }
}

/// The request's `ClientToken` and a digest of all it says.
fn token(params: &Params) -> Option<(String, String)> {
    let token = params.get("ClientToken").filter(|it| !it.is_empty())?;
    let mut digest = Sha256::new();
    for (name, value) in params.iter() {
        for part in [name, value] {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
    }
    Some((token.to_owned(), hex::encode(digest.finalize())))
}

fn earlier_of<'a>(
    world: &'a World,
    call: &Call<'_>,
    volume: &Volume,
) -> Result<Option<&'a Volume>, AwsError> {
    earlier(world, call, volume.client_token.as_ref())
}

/// The volume that was made by an earlier request with this token.
fn earlier<'a>(
    world: &'a World,
    call: &Call<'_>,
    token: Option<&(String, String)>,
) -> Result<Option<&'a Volume>, AwsError> {
    let Some((token, digest)) = token else {
        return Ok(None);
    };
    let found = world
        .volumes
        .values()
        .filter(|it| it.owner == call.caller.account && it.region == call.caller.region)
        .find_map(|it| {
            let (its_token, its_digest) = it.client_token.as_ref()?;
            (its_token == token).then_some((it, its_digest == digest))
        });
    match found {
        Some((_, false)) => Err(AwsError::new(
            "IdempotentParameterMismatch",
            format!(
                "The client token '{token}' was already used with other parameters: use another \
                 token for another request."
            ),
        )),
        Some((volume, true)) => Ok(Some(volume)),
        None => Ok(None),
    }
}

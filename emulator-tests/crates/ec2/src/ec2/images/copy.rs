//! `CopyImage`: an image of the caller's, in the caller's region, of one that the caller may use.

use super::{name, register, unavailable};
use crate::ec2::call::{Answer, Call};
use crate::ec2::{lookup, snapshots, tag_specification};
use crate::encryption;
use emulator_backend::KeyFault;
use emulator_protocol::{AwsError, Caller, Params, Region, Xml, known_region};
use emulator_state::world::{Change, Image, ImageState, Snapshot, SnapshotState, Tags, World};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Most characters of `ClientToken`.
const MOST_TOKEN: usize = 128;
/// Time-based copies take a multiple of 15 minutes, at most 48 hours.
const DURATION_STEP: i64 = 15;
const MOST_DURATION: i64 = 48 * 60;
/// What a snapshot says whose key can't be used.
const NO_KEY: &str = "Given key ID is not accessible";

/// Copies an image and its snapshots.
pub async fn copy(call: &Call<'_>) -> Answer {
    let request = Request::parse(call)?;
    if let Some(id) = call.services.store.read(|world| request.earlier(world))? {
        call.dry_run()?;
        return Ok(answer(&id));
    }
    let snapshots = call.services.store.read(|world| {
        let image = request.source(world)?;
        request
            .storage(world, image)
            .map(|all| all.into_iter().cloned().collect::<Vec<_>>())
    })?;
    let keys = Keys::choose(call, &request, &snapshots).await?;
    let id = call.services.ids.resource("ami");
    let ids: BTreeMap<&str, String> = snapshots
        .iter()
        .map(|snapshot| (snapshot.id.as_str(), call.services.ids.resource("snap")))
        .collect();

    call.services.store.write(|world, changes| {
        // Another call may have been faster.
        if let Some(id) = request.earlier(world)? {
            return Ok(answer(&id));
        }
        let source = request.source(world)?;
        let storage = request.storage(world, source)?;
        name::check_unused(world, call.caller, request.name)?;
        let tags = request.image_tags(call, source)?;
        call.dry_run()?;

        let mut image = Image {
            id: id.clone(),
            name: request.name.to_owned(),
            description: request.description.clone(),
            source_image: Some((source.id.clone(), source.region.clone())),
            tags,
            client_token: request.token.clone(),
            ..register::blank(call, call.caller)
        };
        take_content(&mut image, source);
        for snapshot in storage {
            // What a snapshot is never changes: those of the first look are those of this one.
            let Some(new) = ids.get(snapshot.id.as_str()) else {
                return Err(AwsError::unavailable(
                    "the image changed while it was copied",
                ));
            };
            let copy = request.copy_snapshot(call, snapshot, new, &image, &keys);
            if let SnapshotState::Failing { message, .. } = &copy.state {
                image.state = ImageState::Failed {
                    at: call.now + call.services.settle,
                    message: format!("Copying {} to {new} failed: {message}", snapshot.id),
                };
            }
            for ebs in image.devices.iter_mut().filter_map(|it| it.ebs.as_mut()) {
                if ebs.snapshot.as_ref() == Some(&snapshot.id) {
                    ebs.snapshot = Some(new.clone());
                    ebs.encrypted = copy.encrypted;
                }
            }
            changes.push(Change::Snapshot(copy));
        }
        changes.push(Change::Image(Box::new(image)));
        Ok(answer(&id))
    })
}

fn answer(id: &str) -> Xml {
    let mut xml = Xml::new();
    xml.leaf("imageId", id);
    xml
}

/// What a copy has of its source: neither permissions nor deprecation, protection or name.
fn take_content(image: &mut Image, source: &Image) {
    image.architecture.clone_from(&source.architecture);
    image.virtualization.clone_from(&source.virtualization);
    image.root_device.clone_from(&source.root_device);
    image.devices.clone_from(&source.devices);
    image.ena = source.ena;
    image.sriov.clone_from(&source.sriov);
    image.boot_mode.clone_from(&source.boot_mode);
    image.tpm.clone_from(&source.tpm);
    image.imds.clone_from(&source.imds);
    image.uefi_data.clone_from(&source.uefi_data);
    image.kernel.clone_from(&source.kernel);
    image.ramdisk.clone_from(&source.ramdisk);
}

struct Request<'a> {
    name: &'a str,
    description: Option<String>,
    id: &'a str,
    /// The caller, in the source's region.
    at_source: Caller,
    caller: &'a Caller,
    now: time::OffsetDateTime,
    encrypted: Option<bool>,
    key: Option<&'a str>,
    copy_tags: bool,
    tags: BTreeMap<String, Tags>,
    /// The token and a digest of the request.
    token: Option<(String, String)>,
    call: &'a Call<'a>,
}

impl<'a> Request<'a> {
    fn parse(call: &'a Call<'a>) -> Result<Self, AwsError> {
        let params = call.params;
        for name in [
            "DestinationOutpostArn",
            "DestinationAvailabilityZone",
            "DestinationAvailabilityZoneId",
        ] {
            if params.get(name).is_some() {
                return Err(AwsError::new(
                    "InvalidParameter",
                    format!("The parameter {name} is not supported: there are no such places here"),
                ));
            }
        }
        let name = name::parse(params)?;
        let region = params.required("SourceRegion")?;
        let source_region = Region::parse(region)
            .filter(|_| known_region(region))
            .ok_or_else(|| AwsError::new("InvalidRegion", format!("Invalid region: '{region}'")))?;
        let encrypted = params.bool("Encrypted")?;
        let key = params.get("KmsKeyId").filter(|key| !key.is_empty());
        if key.is_some() && encrypted != Some(true) {
            return Err(AwsError::new(
                "InvalidParameterDependency",
                "The parameter KmsKeyId requires the parameter Encrypted to be set.",
            ));
        }
        check_duration(params)?;
        Ok(Self {
            name,
            description: name::description(params)?,
            id: params.required("SourceImageId")?,
            at_source: Caller {
                region: source_region,
                ..call.caller.clone()
            },
            caller: call.caller,
            now: call.now,
            encrypted,
            key,
            copy_tags: params.bool("CopyImageTags")? == Some(true),
            tags: tag_specification::parse(params, &["image", "snapshot"])?,
            token: token(params)?,
            call,
        })
    }

    /// The image that an earlier call with this token made.
    fn earlier(&self, world: &World) -> Result<Option<String>, AwsError> {
        let Some((token, digest)) = &self.token else {
            return Ok(None);
        };
        let made = world.images.values().find_map(|image| {
            let (theirs, request) = image.client_token.as_ref()?;
            (theirs == token
                && image.owner == self.caller.account
                && image.region == self.caller.region)
                .then_some((image, request))
        });
        match made {
            None => Ok(None),
            Some((image, request)) if request == digest => Ok(Some(image.id.clone())),
            Some(_) => Err(AwsError::new(
                "IdempotentParameterMismatch",
                format!("The client token {token} was used with other parameters"),
            )),
        }
    }

    fn source<'w>(&self, world: &'w World) -> Result<&'w Image, AwsError> {
        let image = lookup::image(world, &self.at_source, self.id)?;
        if image.state.name(self.now) != "available" {
            return Err(unavailable(image, self.call, "copied"));
        }
        Ok(image)
    }

    /// The source's snapshots, if the caller may copy all of them in this way.
    fn storage<'w>(
        &self,
        world: &'w World,
        image: &'w Image,
    ) -> Result<Vec<&'w Snapshot>, AwsError> {
        image
            .snapshots()
            .map(|id| {
                let snapshot = world
                    .snapshots
                    .get(id)
                    .filter(|snapshot| world.may_use(snapshot, &self.caller.account))
                    .ok_or_else(|| {
                        AwsError::new(
                            "InvalidRequest",
                            "You do not have permission to access the storage of this ami",
                        )
                    })?;
                if snapshot.encrypted && self.encrypted == Some(false) {
                    return Err(AwsError::new(
                        "InvalidRequest",
                        format!(
                            "Snapshot {id} is encrypted. Creating an unencrypted copy from an \
                             encrypted snapshot is not supported."
                        ),
                    ));
                }
                Ok(snapshot)
            })
            .collect()
    }

    fn image_tags(&self, call: &Call<'_>, source: &Image) -> Result<Tags, AwsError> {
        let mut tags = Tags::new();
        // Of an image that is shared, its owner's tags are not the caller's to copy.
        if self.copy_tags && source.owner == call.caller.account {
            tags.clone_from(&source.tags);
        }
        tags.extend(self.tags.get("image").cloned().unwrap_or_default());
        tag_specification::check_count(&tags)?;
        Ok(tags)
    }

    fn copy_snapshot(
        &self,
        call: &Call<'_>,
        source: &Snapshot,
        id: &str,
        image: &Image,
        keys: &Keys,
    ) -> Snapshot {
        let mut copy = match keys.of(source) {
            Ok(key) => snapshots::new_copy(call, source, key),
            Err(()) => {
                let asked = self.key.unwrap_or(encryption::DEFAULT_KEY);
                let mut copy = snapshots::new_copy(call, source, Some(asked.to_owned()));
                copy.layers.clear();
                copy.full_size = 0;
                copy.state = SnapshotState::Failing {
                    at: call.now + call.services.settle,
                    message: NO_KEY.to_owned(),
                };
                copy
            }
        };
        copy.id = id.to_owned();
        copy.description = format!(
            "Copied for DestinationAmi {} from SourceAmi {} for SourceSnapshot {}. Task created \
             on {}.",
            image.id,
            self.id,
            source.id,
            call.now.unix_timestamp() * 1000
        );
        copy.tags = self.tags.get("snapshot").cloned().unwrap_or_default();
        copy
    }
}

/// The keys of the new snapshots. A key that can't be used lets the copy fail after it was
/// accepted, as on AWS: "if you specify an identifier that is not valid, the action can appear to
/// complete, but eventually fails" (API reference).
struct Keys {
    /// Of copies of plain snapshots; none if they stay plain.
    plain: Result<Option<String>, ()>,
    /// Of copies of encrypted ones.
    encrypted: Result<Option<String>, ()>,
}

impl Keys {
    async fn choose(
        call: &Call<'_>,
        request: &Request<'_>,
        storage: &[Snapshot],
    ) -> Result<Self, AwsError> {
        let mut keys = Self {
            plain: Ok(None),
            encrypted: Ok(None),
        };
        if storage.iter().any(|snapshot| !snapshot.encrypted) {
            keys.plain = later(
                encryption::choose(call.services, call.caller, request.encrypted, request.key)
                    .await,
            )?;
        }
        if storage.iter().any(|snapshot| snapshot.encrypted) {
            keys.encrypted = later(
                encryption::choose(call.services, call.caller, Some(true), request.key).await,
            )?;
        }
        // Nor can anything be decrypted whose key is gone, or is another account's own.
        for snapshot in storage {
            if later(snapshots::check_key(call, snapshot).await)?.is_err() {
                keys.encrypted = Err(());
            }
        }
        Ok(keys)
    }

    fn of(&self, snapshot: &Snapshot) -> Result<Option<String>, ()> {
        if snapshot.encrypted {
            self.encrypted.clone()
        } else {
            self.plain.clone()
        }
    }
}

/// What is told at once, and what only fails later.
fn later<T>(chosen: Result<T, KeyFault>) -> Result<Result<T, ()>, AwsError> {
    match chosen {
        Ok(key) => Ok(Ok(key)),
        Err(KeyFault::Unknown(error)) => Err(error),
        Err(KeyFault::NotFound(_) | KeyFault::Unusable { .. }) => Ok(Err(())),
    }
}

fn token(params: &Params) -> Result<Option<(String, String)>, AwsError> {
    let Some(token) = params.get("ClientToken").filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    if token.chars().count() > MOST_TOKEN {
        return Err(params.invalid(
            "ClientToken",
            token,
            &format!("it is longer than {MOST_TOKEN} characters"),
        ));
    }
    let mut digest = Sha256::new();
    for (name, value) in params.iter() {
        if name == "Version" || name.starts_with("X-Amz-") {
            continue;
        }
        for text in [name, value] {
            digest.update((text.len() as u64).to_le_bytes());
            digest.update(text);
        }
    }
    Ok(Some((token.to_owned(), hex::encode(digest.finalize()))))
}

fn check_duration(params: &Params) -> Result<(), AwsError> {
    const NAME: &str = "SnapshotCopyCompletionDurationMinutes";
    match params.integer(NAME)? {
        Some(minutes)
            if minutes % DURATION_STEP != 0
                || !(DURATION_STEP..=MOST_DURATION).contains(&minutes) =>
        {
            Err(params.invalid(
                NAME,
                &minutes.to_string(),
                "expecting a multiple of 15 from 15 to 2880",
            ))
        }
        _ => Ok(()),
    }
}

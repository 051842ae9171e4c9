//! Block device mappings: the image's, with what the request changes; and the volumes of them.

use crate::ec2::call::Call;
use crate::ec2::lookup;
use crate::ec2::volumes::{Provision, choose_key, provision};
use emulator_backend::KeyFault;
use emulator_protocol::{AwsError, Params};
use emulator_state::world::{EbsDevice, Image, Reason, Snapshot};

/// A mapping of a request.
#[derive(Debug)]
struct Mapping {
    name: String,
    no_device: bool,
    virtual_name: Option<String>,
    ebs: Option<Ebs>,
}

/// What a request says of a volume.
#[derive(Debug, Default)]
struct Ebs {
    snapshot: Option<String>,
    size: Option<i64>,
    kind: Option<String>,
    iops: Option<i64>,
    throughput: Option<i64>,
    delete_on_termination: Option<bool>,
    encrypted: Option<bool>,
    key: Option<String>,
}

/// A volume that a launch makes.
#[derive(Clone, Debug)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) provision: Provision,
    pub(super) delete_on_termination: bool,
    encrypted: Option<bool>,
    asked_key: Option<String>,
    /// The key's ARN, once [`choose_keys`] has found it.
    pub(super) key: Option<String>,
}

fn bad(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidBlockDeviceMapping", message)
}

/// Reads `BlockDeviceMapping.N`.
fn parse(params: &Params) -> Result<Vec<Mapping>, AwsError> {
    let mut mappings: Vec<Mapping> = Vec::new();
    for mapping in params.structs("BlockDeviceMapping") {
        let name = mapping.required("DeviceName")?.to_owned();
        if mappings.iter().any(|it| it.name == name) {
            return Err(bad(format!(
                "The device '{name}' is used in more than one block-device mapping"
            )));
        }
        let ebs = mapping.structure("Ebs");
        let ebs = if ebs.is_empty() {
            None
        } else {
            Some(parse_ebs(&ebs)?)
        };
        let no_device = mapping.get("NoDevice").is_some();
        let virtual_name = mapping.get("VirtualName").map(String::from);
        if usize::from(no_device) + usize::from(ebs.is_some()) + usize::from(virtual_name.is_some())
            > 1
        {
            return Err(bad(format!(
                "The device '{name}' can have only one of ebs, virtualName and noDevice"
            )));
        }
        mappings.push(Mapping {
            name,
            no_device,
            virtual_name,
            ebs,
        });
    }
    Ok(mappings)
}

fn parse_ebs(params: &Params) -> Result<Ebs, AwsError> {
    for name in ["OutpostArn", "VolumeInitializationRate", "EbsCardIndex"] {
        if params.get(name).is_some() {
            return Err(AwsError::new(
                "UnsupportedOperation",
                format!(
                    "This emulator does not support the parameter {}",
                    params.full_name(name)
                ),
            ));
        }
    }
    for name in ["AvailabilityZone", "AvailabilityZoneId"] {
        if let Some(zone) = params.get(name) {
            return Err(params.invalid(name, zone, "volumes are where their instance is"));
        }
    }
    let ebs = Ebs {
        snapshot: params.get("SnapshotId").map(String::from),
        size: params.integer("VolumeSize")?,
        kind: params.get("VolumeType").map(String::from),
        iops: params.integer("Iops")?,
        throughput: params.integer("Throughput")?,
        delete_on_termination: params.bool("DeleteOnTermination")?,
        encrypted: params.bool("Encrypted")?,
        key: params.get("KmsKeyId").map(String::from),
    };
    if ebs.key.is_some() && ebs.encrypted != Some(true) {
        return Err(AwsError::new(
            "InvalidParameterDependency",
            "The parameter KmsKeyId requires the parameter Encrypted to be set.",
        ));
    }
    Ok(ebs)
}

/// The volumes of a launch: the image's mappings in their order, then the request's own.
pub(super) fn resolve(call: &Call<'_>, image: &Image) -> Result<Vec<Device>, AwsError> {
    let mut mappings = parse(call.params)?;
    let mut devices = Vec::new();
    for theirs in &image.devices {
        let ours = mappings
            .iter()
            .position(|it| it.name == theirs.name)
            .map(|at| mappings.remove(at));
        let root = theirs.name == image.root_device;
        match ours {
            Some(it) if root && (it.no_device || it.virtual_name.is_some()) => {
                return Err(bad(format!(
                    "The root device '{}' has to be an EBS volume",
                    it.name
                )));
            }
            Some(it) if it.no_device || it.virtual_name.is_some() => {}
            Some(Mapping { ebs: Some(ebs), .. }) => {
                devices.push(device(call, &theirs.name, root, theirs.ebs.as_ref(), ebs)?);
            }
            Some(_) | None if theirs.no_device => {}
            Some(_) | None => {
                if theirs.ebs.is_some() {
                    devices.push(device(
                        call,
                        &theirs.name,
                        root,
                        theirs.ebs.as_ref(),
                        Ebs::default(),
                    )?);
                }
            }
        }
    }
    // Instance store volumes hold nothing when an instance starts, and are no records here.
    for mapping in mappings.into_iter().filter(|it| !it.no_device) {
        if let Some(ebs) = mapping.ebs {
            let root = mapping.name == image.root_device;
            devices.push(device(call, &mapping.name, root, None, ebs)?);
        }
    }
    if !devices.iter().any(|it| it.name == image.root_device) {
        return Err(bad(format!(
            "The image '{}' has no volume at its root device '{}'",
            image.id, image.root_device
        )));
    }
    Ok(devices)
}

/// One volume: what the request says, else what the image says, else the defaults.
fn device(
    call: &Call<'_>,
    name: &str,
    root: bool,
    theirs: Option<&EbsDevice>,
    ours: Ebs,
) -> Result<Device, AwsError> {
    let of_image = theirs.and_then(|it| it.snapshot.as_deref());
    if root && ours.snapshot.is_some() && ours.snapshot.as_deref() != of_image {
        return Err(bad("snapshotId cannot be modified on root device"));
    }
    let snapshot = call.services.store.read(|world| match &ours.snapshot {
        Some(id) if Some(id.as_str()) != of_image => {
            lookup::snapshot(world, call.caller, id).cloned().map(Some)
        }
        // Who may launch an image needs no permission for its snapshots.
        _ => of_image
            .map(|id| {
                world.snapshots.get(id).cloned().ok_or_else(|| {
                    AwsError::new(
                        "InvalidSnapshot.NotFound",
                        format!("The snapshot '{id}' does not exist."),
                    )
                })
            })
            .transpose(),
    })?;
    let same_snapshot = snapshot.as_ref().map(|it| it.id.as_str()) == of_image;
    if let Some(snapshot) = &snapshot {
        let state = snapshot.state.name(call.now);
        if state != "completed" {
            return Err(AwsError::new(
                "IncorrectState",
                format!("Snapshot is in invalid state - {state}: {}", snapshot.id),
            ));
        }
    }
    let size = ours
        .size
        .or_else(|| {
            theirs
                .filter(|_| same_snapshot)
                .map(|it| i64::from(it.size))
        })
        .or_else(|| snapshot.as_ref().map(|it| i64::from(it.volume_size)))
        .ok_or_else(|| {
            AwsError::new(
                "MissingParameter",
                "The request must contain the parameter size or snapshotId",
            )
        })?;
    if let Some(it) = snapshot
        .as_ref()
        .filter(|it| size < i64::from(it.volume_size))
    {
        return Err(bad(format!(
            "Volume of size {size}GB is smaller than snapshot '{}', expect size >= {}GB",
            it.id, it.volume_size
        )));
    }
    // Operations and throughput are those of the type that the image has them for.
    let same_kind = ours
        .kind
        .as_deref()
        .is_none_or(|kind| theirs.is_some_and(|it| it.kind == kind));
    let kind = ours
        .kind
        .or_else(|| theirs.map(|it| it.kind.clone()))
        .unwrap_or_else(|| "gp2".to_owned());
    if root && matches!(kind.as_str(), "st1" | "sc1") {
        return Err(AwsError::new(
            "InvalidParameterValue",
            format!("Invalid volume type for boot volume: {kind}"),
        ));
    }
    let kept = theirs.filter(|_| same_kind && matches!(kind.as_str(), "gp3" | "io1" | "io2"));
    let iops = ours.iops.or_else(|| Some(i64::from(kept?.iops?)));
    let throughput = ours
        .throughput
        .or_else(|| Some(i64::from(kept?.throughput?)));
    let encrypted =
        theirs.is_some_and(|it| it.encrypted) || snapshot.as_ref().is_some_and(|it| it.encrypted);
    if encrypted && ours.encrypted == Some(false) {
        return Err(bad(format!(
            "The device '{name}' is encrypted and can't be made plain"
        )));
    }
    Ok(Device {
        name: name.to_owned(),
        provision: provision(&kind, size, iops, throughput)?,
        delete_on_termination: ours
            .delete_on_termination
            .or_else(|| theirs.map(|it| it.delete_on_termination))
            .unwrap_or(root),
        encrypted: if encrypted {
            Some(true)
        } else {
            ours.encrypted
        },
        asked_key: ours
            .key
            .or_else(|| theirs.and_then(|it| it.kms_key.clone())),
        key: None,
        snapshot,
    })
}

/// Finds the volumes' keys. EC2 looks at them after it has answered: with one that can't be used
/// the instance ends at once, for the reason returned.
pub(super) async fn choose_keys(
    call: &Call<'_>,
    devices: &mut [Device],
) -> Result<Option<Reason>, AwsError> {
    for device in devices {
        let chosen = choose_key(
            call.services,
            call.caller,
            device.snapshot.as_ref(),
            device.encrypted,
            device.asked_key.as_deref(),
        )
        .await;
        match chosen {
            Ok(key) => device.key = key,
            Err(KeyFault::Unknown(error)) => return Err(error),
            Err(_) => {
                return Ok(Some(Reason {
                    code: "Client.InvalidKMSKey.InvalidState".to_owned(),
                    message: "Client.InvalidKMSKey.InvalidState: The KMS key provided is in an \
                              incorrect state"
                        .to_owned(),
                    transition: "Client.InvalidKMSKey.InvalidState".to_owned(),
                }));
            }
        }
    }
    Ok(None)
}

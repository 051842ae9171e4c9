//! `BlockDeviceMapping.N`: what is at which device name.

use crate::ec2::{lookup, volumes};
use emulator_protocol::{AwsError, Caller, Params};
use emulator_state::world::{BlockDevice, EbsDevice, SnapshotState, World};
use std::collections::BTreeSet;
use time::OffsetDateTime;

/// The type of a volume whose type is not said: the service's default since July 2019.
const DEFAULT_TYPE: &str = "gp2";
/// Instance store volumes are `ephemeral0` to this one.
const LAST_EPHEMERAL: u32 = 23;

/// A mapping as it was asked for.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// `/dev/xvda`.
    pub name: String,
    /// What is there.
    pub target: Target,
}

/// What a mapping puts at a device name.
#[derive(Clone, Debug)]
pub enum Target {
    /// An EBS volume.
    Ebs(Ebs),
    /// An instance store volume, `ephemeral0`.
    Virtual(String),
    /// Nothing, whatever would be there otherwise.
    NoDevice,
}

/// An EBS volume as it was asked for.
#[derive(Clone, Debug, Default)]
pub struct Ebs {
    /// What it starts from.
    pub snapshot: Option<String>,
    /// GiB.
    pub size: Option<i64>,
    /// `gp3`.
    pub kind: Option<String>,
    /// Input/output operations a second.
    pub iops: Option<i64>,
    /// MiB a second.
    pub throughput: Option<i64>,
    /// Whether it goes when the instance does.
    pub delete_on_termination: Option<bool>,
    /// Whether it is encrypted.
    pub encrypted: Option<bool>,
}

/// Members of `Ebs` that images don't take.
const UNSUPPORTED: [&str; 6] = [
    "KmsKeyId",
    "OutpostArn",
    "AvailabilityZone",
    "AvailabilityZoneId",
    "VolumeInitializationRate",
    "EbsCardIndex",
];

/// The error for a mapping that can't be.
pub fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidBlockDeviceMapping", message)
}

/// Reads the mappings.
///
/// # Errors
/// `InvalidBlockDeviceMapping` for a device name that is missing, malformed or given twice, and
/// unless there is just one of `Ebs`, `VirtualName` and `NoDevice`; `InvalidParameter` for a member
/// that images don't take.
pub fn parse(params: &Params) -> Result<Vec<Mapping>, AwsError> {
    let mut names = BTreeSet::new();
    let mut mappings = Vec::new();
    for mapping in params.structs("BlockDeviceMapping") {
        let name = mapping
            .get("DeviceName")
            .filter(|name| !name.is_empty())
            .ok_or_else(|| invalid("Missing device name"))?;
        if !is_device_name(name) {
            return Err(invalid(format!("Invalid device name {name}")));
        }
        if !names.insert(name.to_owned()) {
            return Err(invalid(format!(
                "The device '{name}' is used in more than one block-device mapping"
            )));
        }
        mappings.push(Mapping {
            name: name.to_owned(),
            target: target(&mapping, name)?,
        });
    }
    Ok(mappings)
}

fn target(mapping: &Params, name: &str) -> Result<Target, AwsError> {
    let ebs = mapping.structure("Ebs");
    match (
        !ebs.is_empty(),
        mapping.get("VirtualName"),
        mapping.get("NoDevice"),
    ) {
        (true, None, None) => Ok(Target::Ebs(parse_ebs(&ebs)?)),
        (false, Some(virtual_name), None) if is_ephemeral(virtual_name) => {
            Ok(Target::Virtual(virtual_name.to_owned()))
        }
        (false, Some(virtual_name), None) => Err(invalid(format!(
            "Invalid virtual device name '{virtual_name}' for {name}: expecting ephemeral0 to \
             ephemeral{LAST_EPHEMERAL}"
        ))),
        (false, None, Some(_)) => Ok(Target::NoDevice),
        (false, None, None) => Err(invalid(format!(
            "The mapping of {name} has none of ebs, virtualName and noDevice"
        ))),
        _ => Err(invalid(format!(
            "The mapping of {name} has more than one of ebs, virtualName and noDevice"
        ))),
    }
}

fn parse_ebs(ebs: &Params) -> Result<Ebs, AwsError> {
    if let Some(name) = UNSUPPORTED.iter().find(|name| ebs.get(name).is_some()) {
        return Err(AwsError::new(
            "InvalidParameter",
            format!(
                "The parameter {} is not supported for images",
                ebs.full_name(name)
            ),
        ));
    }
    let text = |name| ebs.get(name).map(String::from);
    Ok(Ebs {
        snapshot: text("SnapshotId"),
        size: ebs.integer("VolumeSize")?,
        kind: text("VolumeType"),
        iops: ebs.integer("Iops")?,
        throughput: ebs.integer("Throughput")?,
        delete_on_termination: ebs.bool("DeleteOnTermination")?,
        encrypted: ebs.bool("Encrypted")?,
    })
}

/// `/dev/sda1`, `/dev/xvdba`, `xvdh`.
fn is_device_name(name: &str) -> bool {
    let short = name.strip_prefix("/dev/").unwrap_or(name);
    let Some(rest) = ["sd", "xvd", "hd"]
        .iter()
        .find_map(|prefix| short.strip_prefix(prefix))
    else {
        return false;
    };
    let digits = rest.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let letters = rest.len() - digits.len();
    (1..=2).contains(&letters)
        && (digits.is_empty()
            || (!digits.starts_with('0')
                && digits.bytes().all(|byte| byte.is_ascii_digit())
                && digits.parse().is_ok_and(|number: u8| number <= 15)))
}

fn is_ephemeral(name: &str) -> bool {
    name.strip_prefix("ephemeral").is_some_and(|number| {
        number
            .parse()
            .is_ok_and(|parsed: u32| parsed <= LAST_EPHEMERAL && parsed.to_string() == number)
    })
}

/// What a mapping is in an image's record, for a device that no instance has already.
///
/// # Errors
/// A snapshot that can't be used, limits of the volume's type, and what `Encrypted` may not say.
pub fn resolve(
    world: &World,
    caller: &Caller,
    now: OffsetDateTime,
    mapping: Mapping,
) -> Result<BlockDevice, AwsError> {
    let mut device = BlockDevice {
        name: mapping.name,
        virtual_name: None,
        ebs: None,
        no_device: false,
    };
    match mapping.target {
        Target::Ebs(ebs) => device.ebs = Some(resolve_ebs(world, caller, now, &device.name, ebs)?),
        Target::Virtual(name) => device.virtual_name = Some(name),
        Target::NoDevice => device.no_device = true,
    }
    Ok(device)
}

fn resolve_ebs(
    world: &World,
    caller: &Caller,
    now: OffsetDateTime,
    name: &str,
    ebs: Ebs,
) -> Result<EbsDevice, AwsError> {
    let snapshot = match &ebs.snapshot {
        None => None,
        Some(id) => {
            let snapshot = lookup::snapshot(world, caller, id)?;
            if snapshot.state.name(now) != "completed" {
                return Err(AwsError::new(
                    "IncorrectState",
                    match &snapshot.state {
                        SnapshotState::Error { .. } => {
                            format!("Snapshot '{id}' is in state 'error'.")
                        }
                        _ => format!("Snapshot '{id}' is not 'completed'."),
                    },
                ));
            }
            if ebs.encrypted.is_some() {
                return Err(invalid(format!(
                    "the encrypted flag cannot be specified since device {name} has a snapshot \
                     specified."
                )));
            }
            Some(snapshot)
        }
    };
    let least = snapshot.map(|snapshot| i64::from(snapshot.volume_size));
    let size = ebs.size.or(least).ok_or_else(|| {
        invalid(format!(
            "Either snapshot ID or volume size must be provided for: {name}"
        ))
    })?;
    if let Some((least, snapshot)) = least.zip(snapshot).filter(|(least, _)| size < *least) {
        return Err(invalid(format!(
            "Volume of size {size}GB is smaller than snapshot '{}', expect size >= {least}GB",
            snapshot.id
        )));
    }
    let kind = ebs.kind.unwrap_or_else(|| DEFAULT_TYPE.to_owned());
    volumes::provision(&kind, size, ebs.iops, ebs.throughput)?;
    // The limits of every type are well within 32 bits.
    let number = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
    Ok(EbsDevice {
        snapshot: snapshot.map(|snapshot| snapshot.id.clone()),
        size: number(size),
        kind,
        iops: ebs.iops.map(number),
        throughput: ebs.throughput.map(number),
        delete_on_termination: ebs.delete_on_termination.unwrap_or(true),
        encrypted: snapshot.map_or(ebs.encrypted == Some(true), |snapshot| snapshot.encrypted),
        kms_key: None,
    })
}

#[cfg(test)]
mod tests {
    use super::{is_device_name, is_ephemeral};

    #[test]
    fn device_names() {
        for (name, is) in [
            ("/dev/xvda", true),
            ("/dev/sda1", true),
            ("/dev/sdf", true),
            ("xvdba", true),
            ("sdh", true),
            ("/dev/hda15", true),
            ("/dev/sda16", false),
            ("/dev/sda0", false),
            ("/dev/sd", false),
            ("/dev/sdabc", false),
            ("/dev/nvme0n1", false),
            ("/dev/sdA", false),
            ("/dev//sda", false),
            ("/dev/sda+1", false),
            ("", false),
        ] {
            assert_eq!(is_device_name(name), is, "{name}");
        }
    }

    #[test]
    fn instance_store_names() {
        for (name, is) in [
            ("ephemeral0", true),
            ("ephemeral23", true),
            ("ephemeral24", false),
            ("ephemeral01", false),
            ("ephemeral+1", false),
            ("ephemeral", false),
            ("ebs0", false),
        ] {
            assert_eq!(is_ephemeral(name), is, "{name}");
        }
    }
}

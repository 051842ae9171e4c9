//! Whether an image can be launched, and on which instance types.

use emulator_backend::InstanceType;
use emulator_protocol::AwsError;
use emulator_state::world::Image;
use time::OffsetDateTime;

/// What an image or an instance asks of an instance type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demands<'a> {
    pub(super) architecture: &'a str,
    pub(super) virtualization: &'a str,
    pub(super) boot_mode: Option<&'a str>,
    pub(super) ena: bool,
}

impl<'a> Demands<'a> {
    pub(super) fn of(image: &'a Image) -> Self {
        Self {
            architecture: &image.architecture,
            virtualization: &image.virtualization,
            boot_mode: image.boot_mode.as_deref(),
            ena: image.ena.unwrap_or_default(),
        }
    }
}

/// Refuses an image that is not (yet, or any more) there to be launched. A deprecated one is.
pub(super) fn launchable(image: &Image, now: OffsetDateTime) -> Result<(), AwsError> {
    match image.state.name(now) {
        "available" => Ok(()),
        state => Err(AwsError::new(
            "InvalidAMIID.Unavailable",
            format!(
                "The image ID '{}' is not available: it is {state}",
                image.id
            ),
        )),
    }
}

/// The error for an instance type that is not there.
pub(super) fn no_such_type(name: &str) -> AwsError {
    AwsError::new(
        "InvalidParameterValue",
        format!("Invalid value '{name}' for InstanceType."),
    )
}

/// With which boot mode the type boots it.
///
/// # Errors
/// It can't.
pub(super) fn boot_mode(wants: Demands<'_>, kind: &InstanceType) -> Result<String, AwsError> {
    let name = &kind.name;
    let has = |list: &[String], what: &str| list.iter().any(|it| it == what);
    if !has(&kind.architectures, wants.architecture) {
        return Err(AwsError::new(
            "InvalidParameterValue",
            format!(
                "The architecture '{}' of the specified instance type does not match the \
                 architecture '{}' of the specified AMI. Specify an instance type and an AMI that \
                 have matching architectures, and try again.",
                kind.architectures.join(","),
                wants.architecture
            ),
        ));
    }
    if !has(&kind.virtualizations, wants.virtualization) {
        return Err(AwsError::new(
            "InvalidParameterCombination",
            format!(
                "Virtualization type '{}' is required for instances of type '{name}'. Ensure that \
                 you are using an AMI with virtualization type '{0}'.",
                kind.virtualizations.join("' or '")
            ),
        ));
    }
    if kind.ena_required && !wants.ena {
        return Err(AwsError::new(
            "InvalidParameterCombination",
            format!(
                "Enhanced networking with the Elastic Network Adapter (ENA) is required for the \
                 '{name}' instance type. Ensure that you are using an AMI that is enabled for ENA."
            ),
        ));
    }
    let uefi = has(&kind.boot_modes, "uefi");
    match wants.boot_mode {
        Some("uefi") if !uefi => Err(AwsError::new(
            "InvalidParameterValue",
            format!(
                "The {name} instance type does not support an AMI with a boot mode of UEFI. Only \
                 instance types built on the Nitro System support UEFI. Specify an instance type \
                 that supports UEFI, and try again."
            ),
        )),
        Some("legacy-bios") if !has(&kind.boot_modes, "legacy-bios") => Err(AwsError::new(
            "InvalidParameterValue",
            format!(
                "The {name} instance type does not support an AMI with a boot mode of Legacy BIOS."
            ),
        )),
        Some("uefi") => Ok("uefi".to_owned()),
        Some("uefi-preferred") if uefi => Ok("uefi".to_owned()),
        None if wants.architecture == "arm64" => Ok("uefi".to_owned()),
        _ => Ok("legacy-bios".to_owned()),
    }
}

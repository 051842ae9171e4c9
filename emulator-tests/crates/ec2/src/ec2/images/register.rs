//! `RegisterImage`: an image of snapshots that are there.

use super::{block_device, name};
use crate::ec2::call::{Answer, Call};
use crate::ec2::tag_specification;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use emulator_protocol::{AwsError, Caller, Params, Xml};
use emulator_state::world::{BlockDevice, Change, Image, ImageState, Permissions, Protection};

/// Most characters of `UefiData`.
const MOST_UEFI_DATA: usize = 64_000;

/// Makes an image's record.
pub fn register(call: &Call<'_>) -> Answer {
    let params = call.params;
    refuse_unsupported(params)?;
    let name = name::parse(params)?;
    let wanted = Wanted::parse(params)?;
    let mappings = block_device::parse(params)?;
    let root_device = params.required("RootDeviceName")?;
    let tags = tag_specification::parse(params, &["image"])?
        .remove("image")
        .unwrap_or_default();
    let id = call.services.ids.resource("ami");

    call.services.store.write(|world, changes| {
        name::check_unused(world, call.caller, name)?;
        let devices: Vec<BlockDevice> = mappings
            .into_iter()
            .map(|mapping| block_device::resolve(world, call.caller, call.now, mapping))
            .collect::<Result<_, _>>()?;
        check_root(&devices, root_device)?;
        call.dry_run()?;
        changes.push(Change::Image(Box::new(Image {
            id: id.clone(),
            name: name.to_owned(),
            root_device: root_device.to_owned(),
            devices,
            tags,
            ..wanted.image(call)
        })));
        let mut xml = Xml::new();
        xml.leaf("imageId", &id);
        Ok(xml)
    })
}

/// What other accounts' images and other places need.
fn refuse_unsupported(params: &Params) -> Result<(), AwsError> {
    // Terraform sends it empty.
    if params.get("ImageLocation").is_some_and(|it| !it.is_empty()) {
        return Err(AwsError::new(
            "InvalidManifest",
            "Instance store-backed images (ImageLocation) are not supported here: register a \
             snapshot with BlockDeviceMapping",
        ));
    }
    if !params.list("BillingProduct").is_empty() {
        return Err(AwsError::new(
            "AuthFailure",
            "This account is not authorized to specify billing product codes",
        ));
    }
    Ok(())
}

/// An image's root device has to be a volume that starts from a snapshot.
fn check_root(devices: &[BlockDevice], root: &str) -> Result<(), AwsError> {
    let Some(device) = devices.iter().find(|device| device.name == root) else {
        return Err(block_device::invalid(format!(
            "The root device {root} is not in the block device mapping"
        )));
    };
    if device.ebs.as_ref().is_none_or(|ebs| ebs.snapshot.is_none()) {
        return Err(block_device::invalid(format!(
            "The root device {root} has no snapshot"
        )));
    }
    Ok(())
}

/// The fields that stand by themselves.
struct Wanted {
    description: Option<String>,
    architecture: String,
    virtualization: String,
    ena: Option<bool>,
    sriov: Option<String>,
    boot_mode: Option<String>,
    tpm: Option<String>,
    imds: Option<String>,
    uefi_data: Option<String>,
    kernel: Option<String>,
    ramdisk: Option<String>,
}

impl Wanted {
    fn parse(params: &Params) -> Result<Self, AwsError> {
        let one_of = |name: &str, values: &[&str]| -> Result<Option<String>, AwsError> {
            match params.get(name) {
                None => Ok(None),
                Some(value) if values.contains(&value) => Ok(Some(value.to_owned())),
                Some(value) => Err(params.invalid(
                    name,
                    value,
                    &format!("expecting one of {}", values.join(", ")),
                )),
            }
        };
        let text = |name| params.get(name).map(String::from);
        let wanted = Self {
            description: name::description(params)?,
            architecture: one_of(
                "Architecture",
                &["i386", "x86_64", "arm64", "x86_64_mac", "arm64_mac"],
            )?
            .unwrap_or_else(|| "i386".to_owned()),
            virtualization: one_of("VirtualizationType", &["hvm", "paravirtual"])?
                .unwrap_or_else(|| "paravirtual".to_owned()),
            ena: params.bool("EnaSupport")?,
            sriov: one_of("SriovNetSupport", &["simple"])?,
            boot_mode: one_of("BootMode", &["legacy-bios", "uefi", "uefi-preferred"])?,
            tpm: one_of("TpmSupport", &["v2.0"])?,
            imds: one_of("ImdsSupport", &["v2.0"])?,
            uefi_data: text("UefiData"),
            kernel: text("KernelId"),
            ramdisk: text("RamdiskId"),
        };
        wanted.check(params)?;
        Ok(wanted)
    }

    fn check(&self, params: &Params) -> Result<(), AwsError> {
        let boot_mode = self.boot_mode.as_deref();
        if self.tpm.is_some() && boot_mode != Some("uefi") {
            return Err(AwsError::new(
                "InvalidParameterCombination",
                "TpmSupport is only supported with BootMode uefi",
            ));
        }
        let Some(data) = &self.uefi_data else {
            return Ok(());
        };
        if !matches!(boot_mode, Some("uefi" | "uefi-preferred")) {
            return Err(AwsError::new(
                "InvalidParameterCombination",
                "UefiData is only supported with BootMode uefi or uefi-preferred",
            ));
        }
        // The value itself may be long: it is not repeated.
        if data.len() > MOST_UEFI_DATA {
            return Err(params.invalid("UefiData", "…", "it is longer than 64000 characters"));
        }
        if STANDARD.decode(data).is_err() {
            return Err(params.invalid("UefiData", "…", "it is not base64"));
        }
        Ok(())
    }

    fn image(self, call: &Call<'_>) -> Image {
        Image {
            description: self.description,
            architecture: self.architecture,
            virtualization: self.virtualization,
            ena: self.ena,
            sriov: self.sriov,
            boot_mode: self.boot_mode,
            tpm: self.tpm,
            imds: self.imds,
            uefi_data: self.uefi_data,
            kernel: self.kernel,
            ramdisk: self.ramdisk,
            ..blank(call, call.caller)
        }
    }
}

/// A new image of the caller's without a content.
pub fn blank(call: &Call<'_>, caller: &Caller) -> Image {
    Image {
        id: String::new(),
        owner: caller.account.clone(),
        region: caller.region.clone(),
        name: String::new(),
        description: None,
        architecture: String::new(),
        virtualization: String::new(),
        root_device: String::new(),
        devices: Vec::new(),
        ena: None,
        sriov: None,
        boot_mode: None,
        tpm: None,
        imds: None,
        uefi_data: None,
        kernel: None,
        ramdisk: None,
        billing_products: Vec::new(),
        created: call.now,
        state: ImageState::Available {
            at: call.now + call.services.settle,
        },
        deprecated: None,
        deregistration_protection: Protection::Disabled,
        permissions: Permissions::default(),
        source_image: None,
        source_instance: None,
        tags: Default::default(),
        client_token: None,
    }
}

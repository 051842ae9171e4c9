//! The filters of `DescribeImages`.

use super::xml;
use emulator_protocol::ec2_time;
use emulator_state::world::{EbsDevice, Image, ImageState};
use time::OffsetDateTime;

/// Every filter that the API reference lists.
pub const KNOWN: [&str; 36] = [
    "architecture",
    "block-device-mapping.delete-on-termination",
    "block-device-mapping.device-name",
    "block-device-mapping.encrypted",
    "block-device-mapping.snapshot-id",
    "block-device-mapping.volume-size",
    "block-device-mapping.volume-type",
    "creation-date",
    "description",
    "ena-support",
    "free-tier-eligible",
    "hypervisor",
    "image-allowed",
    "image-id",
    "image-type",
    "is-public",
    "kernel-id",
    "manifest-location",
    "name",
    "owner-alias",
    "owner-id",
    "platform",
    "product-code",
    "product-code.type",
    "ramdisk-id",
    "root-device-name",
    "root-device-type",
    "source-image-id",
    "source-image-region",
    "source-instance-id",
    "sriov-net-support",
    "state",
    "state-reason-code",
    "state-reason-message",
    "tag-key",
    "virtualization-type",
];

/// What an image has under a filter's name.
pub fn values(image: &Image, name: &str, now: OffsetDateTime) -> Vec<String> {
    let volumes = |get: fn(&EbsDevice) -> Option<String>| -> Vec<String> {
        image
            .devices
            .iter()
            .filter_map(|device| device.ebs.as_ref())
            .filter_map(get)
            .collect()
    };
    let failed = match &image.state {
        ImageState::Failed { message, .. } if image.state.name(now) == "failed" => Some(message),
        _ => None,
    };
    let one: Option<String> = match name {
        "block-device-mapping.delete-on-termination" => {
            return volumes(|ebs| Some(ebs.delete_on_termination.to_string()));
        }
        "block-device-mapping.device-name" => {
            return image.devices.iter().map(|it| it.name.clone()).collect();
        }
        "block-device-mapping.encrypted" => return volumes(|ebs| Some(ebs.encrypted.to_string())),
        "block-device-mapping.snapshot-id" => return volumes(|ebs| ebs.snapshot.clone()),
        "block-device-mapping.volume-size" => return volumes(|ebs| Some(ebs.size.to_string())),
        "block-device-mapping.volume-type" => return volumes(|ebs| Some(ebs.kind.clone())),
        "architecture" => Some(image.architecture.clone()),
        "creation-date" => Some(ec2_time(image.created)),
        "description" => image.description.clone(),
        "ena-support" => Some(image.ena.unwrap_or(false).to_string()),
        "hypervisor" => Some("xen".to_owned()),
        "image-id" => Some(image.id.clone()),
        "image-type" => Some("machine".to_owned()),
        "is-public" => Some(image.permissions.public.to_string()),
        "kernel-id" => image.kernel.clone(),
        "manifest-location" => Some(xml::location(image)),
        "name" => Some(image.name.clone()),
        "owner-id" => Some(image.owner.to_string()),
        "ramdisk-id" => image.ramdisk.clone(),
        "root-device-name" => Some(image.root_device.clone()),
        "root-device-type" => Some("ebs".to_owned()),
        "source-image-id" => image.source_image.as_ref().map(|(id, _)| id.clone()),
        "source-image-region" => image.source_image.as_ref().map(|(_, at)| at.to_string()),
        "source-instance-id" => image.source_instance.clone(),
        "sriov-net-support" => image.sriov.clone(),
        "state" => Some(image.state.name(now).to_owned()),
        "state-reason-code" => failed.map(|_| xml::FAILED.to_owned()),
        "state-reason-message" => failed.cloned(),
        "virtualization-type" => Some(image.virtualization.clone()),
        // Images here have no alias, platform or product code, and no part in the free tier.
        _ => None,
    };
    one.into_iter().collect()
}

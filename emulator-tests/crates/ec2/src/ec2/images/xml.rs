//! An image as `DescribeImages` gives it.

use emulator_protocol::{Caller, Xml};
use emulator_state::world::{BlockDevice, Image, ImageState};
use time::OffsetDateTime;

/// Writes an image. `launched` is when it was last launched, as far as that is known already.
pub fn write(
    xml: &mut Xml,
    image: &Image,
    caller: &Caller,
    now: OffsetDateTime,
    launched: Option<OffsetDateTime>,
) {
    xml.leaf("imageId", &image.id)
        .leaf("imageLocation", location(image))
        .leaf("imageState", image.state.name(now))
        .leaf("imageOwnerId", &image.owner)
        .time("creationDate", image.created)
        .leaf("isPublic", image.permissions.public)
        .leaf("architecture", &image.architecture)
        .leaf("imageType", "machine")
        .option("kernelId", image.kernel.as_ref())
        .option("ramdiskId", image.ramdisk.as_ref())
        .leaf("name", &image.name)
        .option("description", image.description.as_ref())
        .leaf("rootDeviceType", "ebs")
        .leaf("rootDeviceName", &image.root_device)
        .list("blockDeviceMapping", &image.devices, block_device)
        .leaf("virtualizationType", &image.virtualization)
        .leaf("hypervisor", "xen")
        .option("enaSupport", image.ena)
        .option("sriovNetSupport", image.sriov.as_ref())
        .option("bootMode", image.boot_mode.as_ref())
        .option("tpmSupport", image.tpm.as_ref())
        .option("imdsSupport", image.imds.as_ref())
        .leaf("platformDetails", "Linux/UNIX")
        .leaf("usageOperation", "RunInstances")
        .option(
            "deprecationTime",
            image.deprecation().map(emulator_protocol::ec2_time),
        )
        .leaf(
            "deregistrationProtection",
            image.deregistration_protection.name(),
        );
    if let ImageState::Failed { message, .. } = &image.state
        && image.state.name(now) == "failed"
    {
        xml.node("stateReason", |reason| {
            reason.leaf("code", FAILED).leaf("message", message);
        });
    }
    if let Some((id, region)) = &image.source_image {
        xml.leaf("sourceImageId", id)
            .leaf("sourceImageRegion", region);
    }
    xml.option("sourceInstanceId", image.source_instance.as_ref());
    // Where it was launched is its owner's business.
    if image.owner == caller.account {
        xml.option(
            "lastLaunchedTime",
            launched.map(emulator_protocol::ec2_time),
        );
    }
    // Each account sees its own tags; here only owners have any.
    if image.owner == caller.account {
        xml.list("tagSet", &image.tags, |item, (key, value)| {
            item.leaf("key", key).leaf("value", value);
        });
    }
}

/// `stateReason`'s code of an image that could not be made.
pub const FAILED: &str = "Client.InternalError";

/// What the console calls the source.
pub fn location(image: &Image) -> String {
    format!("{}/{}", image.owner, image.name)
}

/// Writes a mapping.
fn block_device(xml: &mut Xml, device: &BlockDevice) {
    xml.leaf("deviceName", &device.name)
        .option("virtualName", device.virtual_name.as_ref());
    if let Some(ebs) = &device.ebs {
        xml.node("ebs", |xml| {
            xml.option("snapshotId", ebs.snapshot.as_ref())
                .leaf("volumeSize", ebs.size)
                .leaf("deleteOnTermination", ebs.delete_on_termination)
                .leaf("volumeType", &ebs.kind)
                .option("iops", ebs.iops)
                .option("throughput", ebs.throughput)
                .leaf("encrypted", ebs.encrypted);
        });
    }
    if device.no_device {
        xml.leaf("noDevice", "");
    }
}

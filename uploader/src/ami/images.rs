//! Images: registered, and found by their names.

use super::failed_call as fault;
use crate::agent::machine::action::{Boot, Event, FoundImage, ImageState, NewImage};
use crate::agent::tags;
use crate::aws::{AwsError, Kind, Session};
use aws_sdk_ec2::types::{
    ArchitectureValues, BlockDeviceMapping, BootModeValues, EbsBlockDevice, Filter, Image,
    ImageState as Ec2State, ImdsSupportValues, ResourceType, Tag, TagSpecification, VolumeType,
};

/// The root's device.
const ROOT: &str = "/dev/xvda";

/// Registers an image with all that a modern one has.
pub(crate) async fn register(session: &Session, new: &NewImage) -> Event {
    let root = EbsBlockDevice::builder()
        .snapshot_id(&new.snapshot)
        .volume_size(i32::try_from(new.gib).unwrap_or(i32::MAX))
        .volume_type(VolumeType::Gp3)
        .delete_on_termination(true)
        .build();
    let root = BlockDeviceMapping::builder()
        .device_name(ROOT)
        .ebs(root)
        .build();
    let mut specification = TagSpecification::builder().resource_type(ResourceType::Image);
    for (key, value) in &new.tags {
        specification = specification.tags(Tag::builder().key(key).value(value).build());
    }
    let answer = session
        .ec2
        .register_image()
        .name(&new.name)
        .description(&new.description)
        .architecture(ArchitectureValues::X8664)
        .virtualization_type("hvm")
        .root_device_name(ROOT)
        .block_device_mappings(root)
        .ena_support(true)
        .sriov_net_support("simple")
        .boot_mode(mode(new.boot))
        .imds_support(ImdsSupportValues::V20)
        .tag_specifications(specification.build())
        .send()
        .await
        .map_err(|error| AwsError::new("ec2 RegisterImage", error));
    match answer {
        Ok(answer) => match answer.image_id {
            Some(id) => Event::Registered(id),
            None => fault::transient("ec2 RegisterImage: the answer names no image"),
        },
        Err(error) if error.code == "InvalidAMIName.Duplicate" => Event::NameTaken,
        Err(error) if error.code == "IncorrectState" || error.kind == Kind::NotFound => {
            Event::NotPending
        }
        Err(error) => fault::of(&error),
    }
}

/// The account's own image of this name.
pub(crate) async fn find(session: &Session, name: &str) -> Event {
    let answer = session
        .ec2
        .describe_images()
        .owners("self")
        .filters(Filter::builder().name("name").values(escaped(name)).build())
        .include_disabled(true)
        .include_deprecated(true)
        .send()
        .await
        .map_err(|error| AwsError::new("ec2 DescribeImages", error));
    match answer {
        Ok(answer) => {
            let named = |it: &&Image| it.name() == Some(name);
            let image = answer.images().iter().find(named);
            Event::Image(image.and_then(found))
        }
        Err(error) => fault::of(&error),
    }
}

fn found(image: &Image) -> Option<FoundImage> {
    let root = image.root_device_name();
    let mut devices = image.block_device_mappings().iter();
    let snapshot = devices
        .find(|it| it.device_name() == root)
        .and_then(|it| it.ebs())
        .and_then(|it| it.snapshot_id());
    let request = image
        .tags()
        .iter()
        .find(|it| it.key() == Some(tags::REQUEST));
    Some(FoundImage {
        id: image.image_id()?.to_owned(),
        snapshot: snapshot.unwrap_or_default().to_owned(),
        request: request.and_then(|it| it.value()).map(str::to_owned),
        state: match image.state() {
            Some(Ec2State::Pending | Ec2State::Transient) => ImageState::Pending,
            Some(Ec2State::Failed | Ec2State::Error | Ec2State::Invalid) => ImageState::Failed,
            // It was there once: what its owner did with it since is the owner's.
            _ => ImageState::Available,
        },
    })
}

/// How an image boots, as EC2 says it.
fn mode(boot: Boot) -> BootModeValues {
    match boot {
        Boot::Bios => BootModeValues::LegacyBios,
        Boot::Uefi => BootModeValues::Uefi,
        Boot::Both => BootModeValues::UefiPreferred,
    }
}

/// A name as the value of a filter, in which some characters mean others.
fn escaped(name: &str) -> String {
    let mut value = String::with_capacity(name.len());
    for it in name.chars() {
        if matches!(it, '*' | '?' | '\\') {
            value.push('\\');
        }
        value.push(it);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_modes_are_ec2s() {
        let of = |modes: &[&str]| {
            let modes: Vec<String> = modes.iter().map(|it| (*it).to_owned()).collect();
            Boot::of(&modes).map(|it| mode(it).as_str().to_owned())
        };
        assert_eq!(of(&["bios", "uefi"]).as_deref(), Some("uefi-preferred"));
        assert_eq!(of(&["bios"]).as_deref(), Some("legacy-bios"));
        assert_eq!(of(&["uefi"]).as_deref(), Some("uefi"));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["uefi", "coreboot"]), None);
    }

    #[test]
    fn a_name_with_a_filters_signs_is_only_itself() {
        assert_eq!(escaped("a*b?c\\d"), r"a\*b\?c\\d");
        assert_eq!(escaped("web 1.4 (x)"), "web 1.4 (x)");
    }
}

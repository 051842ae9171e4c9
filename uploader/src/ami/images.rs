//! Images: registered, found by their names, and deregistered.

use crate::aws::{AwsError, Kind, Session, ec2};
use crate::vault::tags;
use aws_sdk_ec2::types::{
    ArchitectureValues, BlockDeviceMapping, BootModeValues, EbsBlockDevice, Image,
    ImageState as Ec2State, ImdsSupportValues, ResourceType, Tag, TagSpecification, VolumeType,
};

/// The root's device.
const ROOT: &str = "/dev/xvda";

/// An image to be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewImage {
    /// Its name, of which an account has one in a region.
    pub name: String,
    /// What people read of it.
    pub description: String,
    /// The snapshot of its root.
    pub snapshot: String,
    /// Size of the root.
    pub gib: u32,
    /// How it boots.
    pub boot: BootMode,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

/// An image that was found by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundImage {
    /// Its id.
    pub id: String,
    /// The snapshot of its root.
    pub snapshot: String,
    /// Its tag `image-vault:request`.
    pub request: Option<String>,
    /// How far it is.
    pub state: ImageState,
}

/// How far an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageState {
    /// Not yet.
    Pending,
    /// There.
    Available,
    /// Of no use.
    Failed,
}

/// How an image boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootMode {
    /// BIOS only.
    Bios,
    /// UEFI only.
    Uefi,
    /// Both.
    Both,
}

impl BootMode {
    /// As a manifest says it.
    pub fn of(modes: &[String]) -> Option<BootMode> {
        let has = |mode: &str| modes.iter().any(|known| known == mode);
        let only_known = modes.iter().all(|mode| mode == "bios" || mode == "uefi");
        match (has("bios"), has("uefi")) {
            _ if !only_known => None,
            (true, true) => Some(BootMode::Both),
            (true, false) => Some(BootMode::Bios),
            (false, true) => Some(BootMode::Uefi),
            (false, false) => None,
        }
    }
}

/// What came of the registration of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// Its id.
    Image(String),
    /// The account has another of that name; or this one, by a call whose answer was lost.
    NameTaken,
    /// The snapshot is not complete, or EC2 does not see yet that it is.
    SnapshotNotReady,
}

/// Registers an image with all that a modern one has.
pub(crate) async fn register(session: &Session, new: &NewImage) -> Result<Registered, AwsError> {
    const OPERATION: &str = "ec2 RegisterImage";
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
        .map_err(|error| AwsError::new(OPERATION, error));
    match answer {
        Ok(answer) => match answer.image_id {
            Some(id) => Ok(Registered::Image(id)),
            None => Err(AwsError::without_id(OPERATION, "image")),
        },
        Err(error) if error.code == "InvalidAMIName.Duplicate" => Ok(Registered::NameTaken),
        Err(error) if error.code == "IncorrectState" || error.kind == Kind::NotFound => {
            Ok(Registered::SnapshotNotReady)
        }
        Err(error) => Err(error),
    }
}

/// The account's own image of this name.
pub(crate) async fn find(session: &Session, name: &str) -> Result<Option<FoundImage>, AwsError> {
    let images = ec2::own_images(session, vec![ec2::filter("name", &[name])]).await?;
    let is_named = |image: &&Image| image.name() == Some(name);
    Ok(images.iter().find(is_named).and_then(found))
}

/// Deregisters an image; it is no error if it is gone already.
pub(crate) async fn deregister(session: &Session, ami: &str) -> Result<(), AwsError> {
    let answer = session
        .ec2
        .deregister_image()
        .image_id(ami)
        .send()
        .await
        .map_err(|error| AwsError::new("ec2 DeregisterImage", error));
    match answer {
        Ok(_) => Ok(()),
        Err(error) if error.code.starts_with("InvalidAMIID.") => Ok(()),
        Err(error) => Err(error),
    }
}

fn found(image: &Image) -> Option<FoundImage> {
    Some(FoundImage {
        id: image.image_id()?.to_owned(),
        snapshot: ec2::root_snapshot(image).unwrap_or_default().to_owned(),
        request: ec2::tag(image.tags(), tags::REQUEST).map(str::to_owned),
        state: match image.state() {
            Some(Ec2State::Pending | Ec2State::Transient) => ImageState::Pending,
            Some(Ec2State::Failed | Ec2State::Error | Ec2State::Invalid) => ImageState::Failed,
            // It was there once: what its owner did with it since is the owner's.
            _ => ImageState::Available,
        },
    })
}

/// How an image boots, as EC2 says it.
fn mode(boot: BootMode) -> BootModeValues {
    match boot {
        BootMode::Bios => BootModeValues::LegacyBios,
        BootMode::Uefi => BootModeValues::Uefi,
        BootMode::Both => BootModeValues::UefiPreferred,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_modes_are_ec2s() {
        let of = |modes: &[&str]| {
            let modes: Vec<String> = modes.iter().map(|it| (*it).to_owned()).collect();
            BootMode::of(&modes).map(|it| mode(it).as_str().to_owned())
        };
        assert_eq!(of(&["bios", "uefi"]).as_deref(), Some("uefi-preferred"));
        assert_eq!(of(&["bios"]).as_deref(), Some("legacy-bios"));
        assert_eq!(of(&["uefi"]).as_deref(), Some("uefi"));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["uefi", "coreboot"]), None);
    }
}

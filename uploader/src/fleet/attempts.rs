//! What the launches of converters and of images to be seen have in common: one type and subnet after
//! the other is tried until there is room.

use super::error::{FleetError, Refused, is_about_type, refused};
use super::place::{Place, Subnet, places};
use crate::aws::{AwsError, Kind};
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, HttpTokensState, Image, InstanceMetadataEndpointState,
    InstanceMetadataOptionsRequest, VolumeType,
};

/// The AMI that an instance boots from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ami {
    pub(crate) id: String,
    pub(crate) root_device: String,
    /// Whether it boots only where there is UEFI, which types of before Nitro have not.
    pub(crate) uefi_only: bool,
}

/// The types and subnets that are tried, and what came of those that were.
#[derive(Debug)]
pub(crate) struct Attempts<'a> {
    region: &'a str,
    /// The type that was asked for.
    asked: Option<&'a str>,
    places: std::vec::IntoIter<Place>,
    tried: Vec<String>,
    last: Option<AwsError>,
}

/// Why no other place is tried.
#[derive(Debug)]
pub(crate) enum NotLaunched {
    /// The image is gone.
    NoImage(AwsError),
    /// The instance profile is not known.
    NoProfile(AwsError),
    /// For a reason that has nothing to do with what is launched.
    Fleet(FleetError),
}

impl<'a> Attempts<'a> {
    /// With the type that was asked for, or else the usual ones that the image boots on: each in all
    /// subnets.
    pub(crate) fn new(
        region: &'a str,
        ami: &Ami,
        subnets: &[Subnet],
        asked: Option<&'a str>,
        usual: &[&str],
    ) -> Attempts<'a> {
        let types: Vec<&str> = match asked {
            Some(asked) => vec![asked],
            None => usual
                .iter()
                .copied()
                .filter(|usual| !(ami.uefi_only && usual.starts_with("t2.")))
                .collect(),
        };
        Attempts {
            region,
            asked,
            places: places(subnets, &types).into_iter(),
            tried: Vec::new(),
            last: None,
        }
    }

    /// The next place to try.
    ///
    /// # Errors
    /// There is none left.
    pub(crate) fn next_place(&mut self) -> Result<Place, FleetError> {
        if let Some(place) = self.places.next() {
            return Ok(place);
        }
        Err(match self.last.take() {
            Some(cause) => FleetError::NoCapacity {
                tried: self.tried.join(", "),
                cause,
            },
            None => FleetError::NoDefaultVpc {
                region: self.region.to_owned(),
            },
        })
    }

    /// Takes note that EC2 launches nothing there.
    ///
    /// # Errors
    /// It would be the same in any other place.
    pub(crate) fn refused(&mut self, place: &Place, cause: AwsError) -> Result<(), NotLaunched> {
        let error = match refused(&cause) {
            Refused::Elsewhere => {
                let Place {
                    instance_type,
                    subnet,
                } = place;
                self.tried
                    .push(format!("{instance_type} in {}", subnet.zone));
                self.last = Some(cause);
                return Ok(());
            }
            Refused::Quota => FleetError::Quota {
                region: self.region.to_owned(),
                cause,
            },
            Refused::NoImage => return Err(NotLaunched::NoImage(cause)),
            Refused::Profile => return Err(NotLaunched::NoProfile(cause)),
            Refused::Everywhere => match self.asked {
                Some(asked) if is_about_type(&cause) => FleetError::Type {
                    instance_type: asked.to_owned(),
                    cause,
                },
                _ => cause.into(),
            },
        };
        Err(NotLaunched::Fleet(error))
    }
}

impl Ami {
    pub(crate) fn of(image: &Image) -> Option<Ami> {
        Some(Ami {
            id: image.image_id()?.to_owned(),
            root_device: image.root_device_name().unwrap_or("/dev/xvda").to_owned(),
            uefi_only: image
                .boot_mode()
                .is_some_and(|mode| mode.as_str() == "uefi"),
        })
    }

    /// Its root volume, encrypted whatever the image's is, and gone with the instance.
    pub(crate) fn encrypted_root(&self) -> BlockDeviceMapping {
        let ebs = EbsBlockDevice::builder()
            .encrypted(true)
            .volume_type(VolumeType::Gp3)
            .delete_on_termination(true)
            .build();
        BlockDeviceMapping::builder()
            .device_name(&self.root_device)
            .ebs(ebs)
            .build()
    }
}

/// EC2 says with a status of the servers' errors that it has no capacity, and the SDK would ask
/// again and again: the next place is the better answer.
pub(crate) fn few_retries() -> aws_sdk_ec2::config::Builder {
    aws_sdk_ec2::Config::builder().retry_config(RetryConfig::standard().with_max_attempts(2))
}

/// The one instance of an answer.
pub(crate) fn instance_of(
    operation: &'static str,
    instances: &[aws_sdk_ec2::types::Instance],
) -> Result<String, AwsError> {
    let id = instances.first().and_then(|it| it.instance_id());
    id.map(str::to_owned).ok_or_else(|| AwsError {
        operation,
        kind: Kind::Unavailable,
        code: String::new(),
        message: "the answer names no instance".to_owned(),
    })
}

/// IMDSv2 only, and from the instance itself only: one hop.
pub(crate) fn metadata() -> InstanceMetadataOptionsRequest {
    InstanceMetadataOptionsRequest::builder()
        .http_endpoint(InstanceMetadataEndpointState::Enabled)
        .http_tokens(HttpTokensState::Required)
        .http_put_response_hop_limit(1)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGION: &str = "us-east-1";
    const USUAL: &[&str] = &["t2.micro", "t3.micro"];

    fn ami(uefi_only: bool) -> Ami {
        Ami {
            id: "ami-1".to_owned(),
            root_device: "/dev/xvda".to_owned(),
            uefi_only,
        }
    }

    fn subnets() -> Vec<Subnet> {
        let subnet = |zone: &str| Subnet {
            id: format!("subnet-{zone}"),
            vpc: "vpc-1".to_owned(),
            zone: zone.to_owned(),
        };
        vec![subnet("a"), subnet("b")]
    }

    fn says(code: &str, message: &str) -> AwsError {
        AwsError {
            operation: "ec2 RunInstances",
            kind: Kind::Refused,
            code: code.to_owned(),
            message: message.to_owned(),
        }
    }

    fn no_room() -> AwsError {
        says("InsufficientInstanceCapacity", "none")
    }

    #[test]
    fn each_place_is_tried_until_none_is_left_and_all_are_named() {
        let mut attempts = Attempts::new(REGION, &ami(false), &subnets(), None, USUAL);
        for _ in 0..4 {
            let place = attempts.next_place().unwrap();
            attempts.refused(&place, no_room()).unwrap();
        }
        let error = attempts.next_place().unwrap_err();
        assert!(matches!(
            &error,
            FleetError::NoCapacity { tried, .. }
                if tried == "t2.micro in a, t2.micro in b, t3.micro in a, t3.micro in b"
        ));
    }

    #[test]
    fn an_image_for_uefi_is_not_tried_on_what_has_none_unless_that_was_asked_for() {
        let first = |asked| {
            let mut attempts = Attempts::new(REGION, &ami(true), &subnets(), asked, USUAL);
            attempts.next_place().unwrap().instance_type
        };
        assert_eq!(first(None), "t3.micro");
        assert_eq!(first(Some("t2.micro")), "t2.micro");
        let mut nowhere = Attempts::new(REGION, &ami(true), &[], None, USUAL);
        assert!(matches!(
            nowhere.next_place(),
            Err(FleetError::NoDefaultVpc { .. })
        ));
    }

    #[test]
    fn what_is_the_same_everywhere_ends_the_attempts() {
        let refused = |asked, code: &str, message: &str| {
            let mut attempts = Attempts::new(REGION, &ami(false), &subnets(), asked, USUAL);
            let place = attempts.next_place().unwrap();
            attempts.refused(&place, says(code, message)).unwrap_err()
        };
        use NotLaunched::{Fleet, NoImage, NoProfile};
        assert!(matches!(
            refused(None, "VcpuLimitExceeded", ""),
            Fleet(FleetError::Quota { region, .. }) if region == REGION
        ));
        let gone = refused(None, "InvalidAMIID.NotFound", "");
        assert!(matches!(gone, NoImage(_)));
        let profile = "Invalid IAM Instance Profile name";
        let unknown = refused(None, "InvalidParameterValue", profile);
        assert!(matches!(unknown, NoProfile(_)));
        // The type is to blame only if somebody asked for it.
        let message = "Invalid value 'x' for InstanceType.";
        assert!(matches!(
            refused(Some("x"), "InvalidParameterValue", message),
            Fleet(FleetError::Type { instance_type, .. }) if instance_type == "x"
        ));
        assert!(matches!(
            refused(None, "InvalidParameterValue", message),
            Fleet(FleetError::Aws(_))
        ));
    }
}

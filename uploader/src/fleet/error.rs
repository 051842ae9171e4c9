//! Why no converter, or no instance, is there.

use crate::Class;
use crate::aws::{AwsError, Kind};

/// No instance can be launched, or looked at.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The vault has no converter's AMI.
    #[error(
        "the vault {vault} has no converter in {region}: no agent is running, and no AMI of one"
    )]
    NoAmi {
        /// The vault.
        vault: String,
        /// Where.
        region: String,
    },
    /// There was one a moment ago.
    #[error("the converter's AMI {ami} is gone")]
    AmiGone {
        /// Its id.
        ami: String,
        /// What EC2 says, where it was asked to launch it.
        #[source]
        cause: Option<AwsError>,
    },
    /// It was registered a moment ago.
    #[error("the converter's AMI {ami} is not available yet")]
    AmiPending {
        /// Its id.
        ami: String,
    },
    /// An image is not there.
    #[error("there is no AMI {ami} in {region}, or it is not this account's to see")]
    NoImage {
        /// Its id.
        ami: String,
        /// Where.
        region: String,
    },
    /// Where to launch is not said, and there is no place by default.
    #[error("{region} has no default VPC with a subnet")]
    NoDefaultVpc {
        /// Where.
        region: String,
    },
    /// The subnet that was named is not there.
    #[error("--subnet {subnet}: there is none such in {region}")]
    NoSubnet {
        /// Its id.
        subnet: String,
        /// Where.
        region: String,
    },
    /// The security group lets something in.
    #[error("the security group {group} ({id}) has inbound rules; the converter's has none")]
    OpenGroup {
        /// Its name.
        group: String,
        /// Its id.
        id: String,
    },
    /// The vault's instance profile is missing.
    #[error("EC2 does not know the instance profile {profile}")]
    NoProfile {
        /// Its name.
        profile: String,
        /// What EC2 says.
        #[source]
        cause: AwsError,
    },
    /// What an instance is told is too long.
    #[error("user data of {len} bytes: EC2 takes {most} at most")]
    UserData {
        /// Its length.
        len: usize,
        /// The most there can be.
        most: usize,
    },
    /// Nowhere is room.
    #[error("EC2 has no capacity for any of these, tried one after the other: {tried}")]
    NoCapacity {
        /// Types and zones.
        tried: String,
        /// The last answer.
        #[source]
        cause: AwsError,
    },
    /// The account may have no more instances.
    #[error("the account's quota of instances in {region} is reached")]
    Quota {
        /// Where.
        region: String,
        /// What EC2 says.
        #[source]
        cause: AwsError,
    },
    /// The type that was asked for is not there.
    #[error("--instance-type {instance_type}: there is none such in {region}")]
    NoType {
        /// Its name.
        instance_type: String,
        /// Where.
        region: String,
    },
    /// EC2 refuses the type that was asked for: with this image it does not go.
    #[error("--instance-type {instance_type}: EC2 does not take it")]
    Type {
        /// Its name.
        instance_type: String,
        /// What EC2 says.
        #[source]
        cause: AwsError,
    },
    /// Nobody is there, and the caller wants none launched any more.
    #[error("no converter is there, and enough were launched")]
    NotAgain,
    /// AWS refuses.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl FleetError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            FleetError::NoImage { .. }
            | FleetError::NoSubnet { .. }
            | FleetError::NoType { .. }
            | FleetError::Type { .. }
            | FleetError::UserData { .. } => Class::Input,
            FleetError::NoAmi { .. }
            | FleetError::AmiGone { .. }
            | FleetError::AmiPending { .. }
            | FleetError::NoDefaultVpc { .. }
            | FleetError::OpenGroup { .. }
            | FleetError::NoProfile { .. }
            | FleetError::NoCapacity { .. }
            | FleetError::Quota { .. } => Class::Surroundings,
            FleetError::NotAgain => Class::Failed,
            FleetError::Aws(error) => error.class(),
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            FleetError::NoAmi { .. } | FleetError::AmiGone { .. } => {
                "uploader converter bootstrap puts one there; or run an agent yourself (uploader \
                 agent), and say --no-launch"
            }
            FleetError::AmiPending { .. } => "in a moment it is",
            FleetError::NoImage { .. } => {
                "aws ec2 describe-images --owners self lists what there is"
            }
            FleetError::NoDefaultVpc { .. } => {
                "--subnet SUBNET names one, from which AWS can be reached; or aws ec2 \
                 create-default-vpc"
            }
            FleetError::NoSubnet { .. } => "aws ec2 describe-subnets lists them",
            FleetError::OpenGroup { .. } => {
                "take them away (aws ec2 revoke-security-group-ingress): nothing has to reach a \
                 converter"
            }
            FleetError::NoType { .. } => "aws ec2 describe-instance-type-offerings lists them",
            FleetError::Type { .. } => {
                "without --instance-type, a small one that fits is taken where there is one"
            }
            FleetError::NotAgain => "uploader converter logs says why",
            FleetError::NoProfile { .. } => "uploader vault init makes what a vault lacks",
            FleetError::UserData { .. } => "fewer or shorter settings",
            FleetError::NoCapacity { .. } => {
                "later, or --instance-type TYPE, or --subnet SUBNET in another zone"
            }
            FleetError::Quota { .. } => {
                "Service Quotas raises it (Amazon EC2, Running On-Demand Standard instances), or \
                 end an instance"
            }
            FleetError::Aws(error) => return error.hint(),
        };
        Some(hint.to_owned())
    }

    /// Whether it may help to try again in a moment.
    pub fn is_transient(&self) -> bool {
        match self {
            FleetError::AmiPending { .. } => true,
            FleetError::Aws(error) => error.is_transient(),
            _ => false,
        }
    }
}

/// What a refused launch means for the next place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Another zone or type may do.
    Elsewhere,
    /// The account may have no more.
    Quota,
    /// The image is gone.
    NoImage,
    /// The instance profile is not known, or not yet.
    Profile,
    /// It would be the same anywhere.
    Everywhere,
}

/// Reads an answer to `RunInstances`.
pub(crate) fn refused(error: &AwsError) -> Refused {
    match error.code.as_str() {
        "InsufficientInstanceCapacity"
        | "InsufficientHostCapacity"
        | "InsufficientCapacity"
        | "InsufficientFreeAddressesInSubnet"
        | "Server.InsufficientInstanceCapacity"
        // A type that this zone does not have.
        | "Unsupported" => Refused::Elsewhere,
        "VcpuLimitExceeded" | "InstanceLimitExceeded" | "MaxSpotInstanceCountExceeded" => {
            Refused::Quota
        }
        "InvalidAMIID.NotFound" | "InvalidAMIID.Unavailable" => Refused::NoImage,
        "InvalidParameterValue" if error.message.contains("Instance Profile") => Refused::Profile,
        _ if error.kind == Kind::NotFound && error.message.contains("nstance profile") => {
            Refused::Profile
        }
        _ => Refused::Everywhere,
    }
}

/// Whether EC2 refuses to run an instance for its type: there is none such, or it does not go with the
/// image.
pub(crate) fn is_about_type(error: &AwsError) -> bool {
    let is_refusal = matches!(
        error.code.as_str(),
        "InvalidInstanceType" | "InvalidParameterCombination" | "InvalidParameterValue"
    );
    let message = error.message.to_ascii_lowercase();
    let words = ["instance type", "instances of type", "instancetype"];
    is_refusal && words.iter().any(|it| message.contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ec2_says_decides_where_to_go_on() {
        let of = |code: &str, message: &str| {
            refused(&AwsError {
                operation: "ec2 RunInstances",
                kind: Kind::Refused,
                code: code.to_owned(),
                message: message.to_owned(),
            })
        };
        assert_eq!(of("InsufficientInstanceCapacity", ""), Refused::Elsewhere);
        assert_eq!(of("Unsupported", ""), Refused::Elsewhere);
        assert_eq!(of("VcpuLimitExceeded", ""), Refused::Quota);
        assert_eq!(of("InstanceLimitExceeded", ""), Refused::Quota);
        assert_eq!(of("InvalidAMIID.NotFound", ""), Refused::NoImage);
        let said = "Value (x) for parameter iamInstanceProfile.name is invalid. Invalid IAM \
                    Instance Profile name";
        assert_eq!(of("InvalidParameterValue", said), Refused::Profile);
        assert_eq!(of("InvalidParameterValue", "x"), Refused::Everywhere);
        assert_eq!(of("UnauthorizedOperation", ""), Refused::Everywhere);
    }

    #[test]
    fn a_refusal_is_the_types_only_where_ec2_says_so() {
        for (code, message, expected) in [
            (
                "InvalidParameterValue",
                "Invalid value 'x' for InstanceType.",
                true,
            ),
            (
                "InvalidParameterValue",
                "The architecture 'arm64' of the specified instance type does not match the \
                 architecture 'x86_64' of the specified AMI.",
                true,
            ),
            (
                "InvalidParameterCombination",
                "Enhanced networking with the Elastic Network Adapter (ENA) is required for the \
                 't3.micro' instance type.",
                true,
            ),
            (
                "InvalidParameterValue",
                "Invalid value 'x' for clientToken.",
                false,
            ),
            ("UnauthorizedOperation", "for this instance type", false),
        ] {
            let error = AwsError {
                operation: "ec2 RunInstances",
                kind: Kind::Refused,
                code: code.to_owned(),
                message: message.to_owned(),
            };
            assert_eq!(is_about_type(&error), expected, "{message}");
        }
    }
}

//! What instances need and VPC, EC2 and IAM have: subnets, security groups, key pairs, instance types,
//! instance profiles, and tags of its own resources.

use async_trait::async_trait;
use emulator_protocol::{AwsError, Caller};

/// A subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// `subnet-…`.
    pub id: String,
    /// `vpc-…`.
    pub vpc: String,
    /// `us-east-1a`.
    pub zone: String,
    /// `use1-az1`.
    pub zone_id: Option<String>,
    /// `172.31.0.0/20`.
    pub cidr: String,
    /// Whether it is its zone's default subnet, which is in the default VPC.
    pub default_for_zone: bool,
    /// Whether instances get public addresses here if they don't say.
    pub public_ips: bool,
}

/// A security group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityGroup {
    /// `sg-…`.
    pub id: String,
    /// `default`.
    pub name: String,
    /// `vpc-…`.
    pub vpc: String,
}

/// An ingress rule of a security group: which addresses may reach which ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressRule {
    /// `tcp`, `udp`, `icmp`, a number, or `-1` for all.
    pub protocol: String,
    /// The ports, if the protocol has some.
    pub ports: Option<(u16, u16)>,
    /// IPv4 ranges: `0.0.0.0/0`.
    pub ranges: Vec<String>,
}

/// What an instance type can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceType {
    /// `t3.micro`.
    pub name: String,
    /// Whether it is built on the Nitro system (or is a Nitro machine itself).
    pub nitro: bool,
    /// `x86_64`, `i386`, `arm64`.
    pub architectures: Vec<String>,
    /// `legacy-bios`, `uefi`.
    pub boot_modes: Vec<String>,
    /// `hvm`, `paravirtual`.
    pub virtualizations: Vec<String>,
    /// Whether its network needs the Elastic Network Adapter's driver.
    pub ena_required: bool,
    /// Virtual processors.
    pub cpus: u32,
    /// Memory.
    pub memory_mib: u32,
}

/// An instance profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// `arn:aws:iam::ACCOUNT:instance-profile/NAME`.
    pub arn: String,
    /// `AIPA…`.
    pub id: String,
    /// Whether it has a role.
    pub has_role: bool,
}

/// One tag of one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResourceTag {
    /// `subnet-…`.
    pub resource: String,
    /// The tag's key.
    pub key: String,
    /// The tag's value.
    pub value: String,
    /// `subnet`.
    pub kind: String,
}

/// Where a caller's networks, and what goes with them, are looked up.
///
/// Every method fails with [`AwsError::unavailable`] if it can't be asked.
#[async_trait]
pub trait Network: Send + Sync {
    /// The caller's subnets in this region.
    async fn subnets(&self, caller: &Caller) -> Result<Vec<Subnet>, AwsError>;

    /// The range of the caller's VPC of this id, if there is one.
    async fn vpc_cidr(&self, caller: &Caller, vpc: &str) -> Result<Option<String>, AwsError>;

    /// The caller's security groups in this region.
    async fn security_groups(&self, caller: &Caller) -> Result<Vec<SecurityGroup>, AwsError>;

    /// The ingress rules of those of the caller's security groups that have these ids.
    async fn ingress(
        &self,
        caller: &Caller,
        groups: &[String],
    ) -> Result<Vec<IngressRule>, AwsError>;

    /// Names of the caller's key pairs in this region.
    async fn key_pairs(&self, caller: &Caller) -> Result<Vec<String>, AwsError>;

    /// The instance type of this name, if this region has it.
    async fn instance_type(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Option<InstanceType>, AwsError>;

    /// The caller's instance profile of this name.
    async fn profile(&self, caller: &Caller, name: &str) -> Result<Option<Profile>, AwsError>;

    /// Tags of all of the caller's resources in this region that are not our own.
    async fn tags(&self, caller: &Caller) -> Result<Vec<ResourceTag>, AwsError>;

    /// Calls an EC2 action with these parameters, whose answer does not matter but for its error,
    /// which is given as it came.
    async fn call(
        &self,
        caller: &Caller,
        action: &str,
        params: Vec<(String, String)>,
    ) -> Result<(), AwsError>;
}

//! Where an instance goes: its subnet, security groups and addresses.

use crate::ec2::lookup::well_formed;
use emulator_backend::{Network, SecurityGroup, Subnet};
use emulator_protocol::{AwsError, Caller, Params};
use emulator_state::world::World;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use time::OffsetDateTime;

/// What a request says about the network.
#[derive(Debug, Default)]
pub(super) struct Wish {
    subnet: Option<String>,
    zone: Option<String>,
    group_ids: Vec<String>,
    group_names: Vec<String>,
    public: Option<bool>,
    /// An address of its own choice.
    pub(super) private_ip: Option<Ipv4Addr>,
    /// The interface's description.
    pub(super) description: String,
    /// Whether the interface goes when the instance does.
    pub(super) delete_on_termination: bool,
}

/// The answer to a wish.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) subnet: Subnet,
    pub(super) groups: Vec<(String, String)>,
    pub(super) public: bool,
}

fn owned(values: &[&str]) -> Vec<String> {
    values.iter().map(|it| (*it).to_owned()).collect()
}

fn combination(message: &str) -> AwsError {
    AwsError::new("InvalidParameterCombination", message)
}

fn unsupported(message: &str) -> AwsError {
    AwsError::new("UnsupportedOperation", message)
}

impl Wish {
    /// Reads it.
    pub(super) fn parse(params: &Params, count: i64) -> Result<Self, AwsError> {
        let mut wish = Self {
            subnet: params.get("SubnetId").map(String::from),
            zone: params.get("Placement.AvailabilityZone").map(String::from),
            group_ids: owned(&params.list("SecurityGroupId")),
            group_names: owned(&params.list("SecurityGroup")),
            public: None,
            private_ip: address(params)?,
            description: String::new(),
            delete_on_termination: true,
        };
        if let Some(id) = params.get("Placement.AvailabilityZoneId") {
            return Err(unsupported(&format!(
                "This emulator does not place instances by zone id ({id}): name the zone."
            )));
        }
        match params.structs("NetworkInterface").as_slice() {
            [] => {}
            [one] => wish.interface(one)?,
            _ => {
                return Err(unsupported(
                    "This emulator's instances have one network interface.",
                ));
            }
        }
        if wish.private_ip.is_some() && count > 1 {
            return Err(combination(
                "A private IP address can be specified for one instance only.",
            ));
        }
        if wish.subnet.is_some() && !wish.group_names.is_empty() {
            return Err(combination(
                "The parameter groupName cannot be used with the parameter subnet",
            ));
        }
        Ok(wish)
    }

    fn interface(&mut self, params: &Params) -> Result<(), AwsError> {
        if self.subnet.is_some() {
            return Err(combination(
                "Network interfaces and an instance-level subnet ID may not be specified on the \
                 same request",
            ));
        }
        if !self.group_ids.is_empty() || !self.group_names.is_empty() {
            return Err(combination(
                "Network interfaces and an instance-level security groups may not be specified on \
                 the same request",
            ));
        }
        if self.private_ip.is_some() {
            return Err(combination(
                "Network interfaces and an instance-level private address may not be specified on \
                 the same request",
            ));
        }
        const KNOWN: [&str; 8] = [
            "AssociatePublicIpAddress",
            "DeleteOnTermination",
            "Description",
            "DeviceIndex",
            "PrivateIpAddress",
            "SecurityGroupId",
            "SubnetId",
            "InterfaceType",
        ];
        for (name, _) in params.iter() {
            let known = KNOWN.iter().any(|known| {
                name.strip_prefix(known)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            });
            if !known && name != "NetworkCardIndex" {
                return Err(unsupported(&format!(
                    "This emulator does not support the parameter {}",
                    params.full_name(name)
                )));
            }
        }
        match params.integer("DeviceIndex")? {
            Some(0) => {}
            Some(index) => {
                return Err(params.invalid(
                    "DeviceIndex",
                    &index.to_string(),
                    "an instance needs a network interface at device index 0",
                ));
            }
            None => {
                return Err(AwsError::new(
                    "MissingParameter",
                    "Each network interface requires a device index.",
                ));
            }
        }
        if let Some(index) = params.integer("NetworkCardIndex")?.filter(|it| *it != 0) {
            return Err(params.invalid("NetworkCardIndex", &index.to_string(), "there is only 0"));
        }
        if let Some(kind) = params.get("InterfaceType").filter(|it| *it != "interface") {
            return Err(unsupported(&format!(
                "This emulator has no network interfaces of type {kind}"
            )));
        }
        self.subnet = params.get("SubnetId").map(String::from);
        self.group_ids = owned(&params.list("SecurityGroupId"));
        self.public = params.bool("AssociatePublicIpAddress")?;
        self.private_ip = address(params)?;
        self.delete_on_termination = params.bool("DeleteOnTermination")?.unwrap_or(true);
        self.description = params.get("Description").unwrap_or_default().to_owned();
        if self.description.chars().count() > 255 {
            return Err(params.invalid(
                "Description",
                &self.description,
                "it has more than 255 characters",
            ));
        }
        Ok(())
    }

    /// Looks up what it names.
    pub(super) async fn look_up(
        &self,
        network: &dyn Network,
        caller: &Caller,
    ) -> Result<Place, AwsError> {
        let subnets = network.subnets(caller).await?;
        let subnet = self.choose_subnet(caller, subnets)?;
        let range = usable(&subnet)?;
        if let Some(ip) = self
            .private_ip
            .filter(|ip| !range.contains(&u32::from(*ip)))
        {
            return Err(AwsError::new(
                "InvalidParameterValue",
                format!("Address {ip} does not fall within the subnet's address range"),
            ));
        }
        let all = network.security_groups(caller).await?;
        Ok(Place {
            groups: self.choose_groups(&subnet, &all)?,
            public: self.public.unwrap_or(subnet.public_ips),
            subnet,
        })
    }

    fn choose_subnet(&self, caller: &Caller, subnets: Vec<Subnet>) -> Result<Subnet, AwsError> {
        if let Some(zone) = &self.zone {
            // Which zones a region has is LocalStack's to say; none has another region's name.
            let letter = zone
                .strip_prefix(caller.region.as_str())
                .unwrap_or_default();
            if letter.len() != 1 || !letter.bytes().all(|byte| byte.is_ascii_lowercase()) {
                return Err(AwsError::new(
                    "InvalidParameterValue",
                    format!("Invalid availability zone: [{zone}]"),
                ));
            }
        }
        if let Some(id) = &self.subnet {
            let found = subnets.into_iter().find(|it| it.id == *id).ok_or_else(|| {
                AwsError::new(
                    "InvalidSubnetID.NotFound",
                    format!("The subnet ID '{id}' does not exist"),
                )
            })?;
            return match &self.zone {
                Some(zone) if *zone != found.zone => Err(AwsError::new(
                    "InvalidParameterValue",
                    format!(
                        "Value ({zone}) for parameter availabilityZone is invalid. Subnet '{id}' \
                         is in the availability zone {}",
                        found.zone
                    ),
                )),
                _ => Ok(found),
            };
        }
        let mut default: Vec<Subnet> = subnets
            .into_iter()
            .filter(|it| it.default_for_zone)
            .collect();
        if default.is_empty() {
            return Err(AwsError::new(
                "VPCIdNotSpecified",
                "No default VPC for this user. GroupName is only supported for EC2-Classic and \
                 default VPC.",
            ));
        }
        default.sort_by(|one, other| one.zone.cmp(&other.zone));
        default
            .into_iter()
            .find(|it| self.zone.as_ref().is_none_or(|zone| it.zone == *zone))
            .ok_or_else(|| {
                AwsError::new(
                    "MissingInput",
                    format!(
                        "No default subnet for availability zone: '{}'.",
                        self.zone.as_deref().unwrap_or_default()
                    ),
                )
            })
    }

    fn choose_groups(
        &self,
        subnet: &Subnet,
        all: &[SecurityGroup],
    ) -> Result<Vec<(String, String)>, AwsError> {
        let mut chosen: Vec<&SecurityGroup> = Vec::new();
        for id in &self.group_ids {
            if !well_formed("sg", id) {
                return Err(AwsError::new(
                    "InvalidGroupId.Malformed",
                    format!("Invalid id: \"{id}\" (expecting \"sg-...\")"),
                ));
            }
            let group = all.iter().find(|it| it.id == *id).ok_or_else(|| {
                AwsError::new(
                    "InvalidGroup.NotFound",
                    format!("The security group '{id}' does not exist"),
                )
            })?;
            if group.vpc != subnet.vpc {
                return Err(AwsError::new(
                    "InvalidParameter",
                    format!(
                        "Security group {id} and subnet {} belong to different networks.",
                        subnet.id
                    ),
                ));
            }
            chosen.push(group);
        }
        for name in &self.group_names {
            let group = all
                .iter()
                .find(|it| it.name == *name && it.vpc == subnet.vpc)
                .ok_or_else(|| {
                    AwsError::new(
                        "InvalidGroup.NotFound",
                        format!(
                            "The security group '{name}' does not exist in default VPC '{}'",
                            subnet.vpc
                        ),
                    )
                })?;
            chosen.push(group);
        }
        if chosen.is_empty() {
            chosen.extend(
                all.iter()
                    .find(|it| it.name == "default" && it.vpc == subnet.vpc),
            );
        }
        let mut seen = BTreeSet::new();
        chosen.retain(|it| seen.insert(&it.id));
        Ok(chosen
            .into_iter()
            .map(|it| (it.id.clone(), it.name.clone()))
            .collect())
    }
}

fn address(params: &Params) -> Result<Option<Ipv4Addr>, AwsError> {
    params
        .get("PrivateIpAddress")
        .map(|value| {
            value
                .parse()
                .map_err(|_| params.invalid("PrivateIpAddress", value, "it is not an IPv4 address"))
        })
        .transpose()
}

/// Addresses of a subnet that instances can have: AWS keeps the first four and the last.
fn usable(subnet: &Subnet) -> Result<std::ops::Range<u32>, AwsError> {
    let range = subnet.cidr.split_once('/').and_then(|(base, length)| {
        let base = u32::from(base.parse::<Ipv4Addr>().ok()?);
        let size = 1_u32.checked_shl(32_u32.checked_sub(length.parse().ok()?)?)?;
        Some(base.checked_add(4)?..base.checked_add(size - 1)?)
    });
    range.ok_or_else(|| {
        AwsError::unavailable(format!(
            "LocalStack's subnet {} has the range '{}'",
            subnet.id, subnet.cidr
        ))
    })
}

/// The addresses of so many new instances, but of at least `min`: the one that was asked for, or
/// the lowest that are free.
pub(super) fn addresses(
    world: &World,
    subnet: &Subnet,
    wish: &Wish,
    (min, max): (usize, usize),
    now: OffsetDateTime,
) -> Result<Vec<Ipv4Addr>, AwsError> {
    let taken: BTreeSet<u32> = world
        .instances
        .values()
        .filter(|it| it.interface.subnet == subnet.id)
        .filter(|it| !it.state.has_ended(now))
        .map(|it| u32::from(it.interface.private_ip))
        .collect();
    if let Some(ip) = wish.private_ip {
        if taken.contains(&u32::from(ip)) {
            return Err(AwsError::new(
                "InvalidIPAddress.InUse",
                format!("Address {ip} is in use."),
            ));
        }
        return Ok(vec![ip]);
    }
    let free: Vec<Ipv4Addr> = usable(subnet)?
        .filter(|ip| !taken.contains(ip))
        .take(max)
        .map(Ipv4Addr::from)
        .collect();
    if free.len() < min {
        return Err(AwsError::new(
            "InsufficientFreeAddressesInSubnet",
            format!(
                "There are not enough free addresses in subnet '{}' to satisfy the requested \
                 number of instances.",
                subnet.id
            ),
        ));
    }
    Ok(free)
}

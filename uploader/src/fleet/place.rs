//! Where instances go: subnets, and types to try in them.

use super::error::FleetError;
use crate::aws::{AwsError, Kind, Session};
use aws_sdk_ec2::types::{Filter, InstanceTypeOffering};

/// What is tried where no type was asked for: small, and in every region one or the other. The
/// first is what the free tier has.
pub const TYPES: &[&str] = &["t2.micro", "t3.micro", "t3a.micro", "t3.small"];

/// A subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Its id.
    pub id: String,
    /// Its VPC.
    pub vpc: String,
    /// Its availability zone.
    pub zone: String,
}

/// A type in a subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The instance type.
    pub instance_type: String,
    /// Where.
    pub subnet: Subnet,
}

/// What to try, in this order: all zones with the first type, then with the next.
pub fn places(subnets: &[Subnet], types: &[&str]) -> Vec<Place> {
    let in_all = |instance_type: &&str| {
        let instance_type = (*instance_type).to_owned();
        subnets.iter().map(move |subnet| Place {
            instance_type: instance_type.clone(),
            subnet: subnet.clone(),
        })
    };
    types.iter().flat_map(in_all).collect()
}

/// The subnet that was asked for, or those of the default VPC, by zone.
///
/// # Errors
/// There is none, or EC2 refuses.
pub async fn subnets(session: &Session, asked: Option<&str>) -> Result<Vec<Subnet>, FleetError> {
    let region = session.region.clone();
    let filter = |name: &str, value: &str| Filter::builder().name(name).values(value).build();
    let call = session.ec2.describe_subnets();
    let call = match asked {
        Some(id) => call.subnet_ids(id),
        None => {
            let vpcs = session
                .ec2
                .describe_vpcs()
                .filters(filter("is-default", "true"))
                .send()
                .await
                .map_err(|error| AwsError::new("ec2 DescribeVpcs", error))?;
            let Some(vpc) = vpcs.vpcs().first().and_then(|it| it.vpc_id()) else {
                return Err(FleetError::NoDefaultVpc { region });
            };
            call.filters(filter("vpc-id", vpc))
                .filters(filter("default-for-az", "true"))
        }
    };
    let answer = call
        .send()
        .await
        .map_err(|error| AwsError::new("ec2 DescribeSubnets", error));
    let found = match (answer, asked) {
        (Ok(answer), _) => answer.subnets.unwrap_or_default(),
        (Err(error), Some(subnet)) if error.is_no_such_id() => {
            let subnet = subnet.to_owned();
            return Err(FleetError::NoSubnet { subnet, region });
        }
        (Err(error), _) => return Err(error.into()),
    };
    let mut subnets: Vec<Subnet> = found
        .into_iter()
        .filter_map(|it| {
            Some(Subnet {
                id: it.subnet_id?,
                vpc: it.vpc_id?,
                zone: it.availability_zone.unwrap_or_default(),
            })
        })
        .collect();
    subnets.sort_by(|a, b| (&a.zone, &a.id).cmp(&(&b.zone, &b.id)));
    match (subnets.is_empty(), asked) {
        (false, _) => Ok(subnets),
        (true, Some(subnet)) => Err(FleetError::NoSubnet {
            subnet: subnet.to_owned(),
            region,
        }),
        (true, None) => Err(FleetError::NoDefaultVpc { region }),
    }
}

/// Whether the region has this type. Who may not ask is told by the launch.
///
/// # Errors
/// There is none, or EC2 refuses.
pub async fn check_type(session: &Session, instance_type: &str) -> Result<(), FleetError> {
    let named = Filter::builder()
        .name("instance-type")
        .values(instance_type)
        .build();
    let answer = session
        .ec2
        .describe_instance_type_offerings()
        .filters(named)
        .send()
        .await
        .map_err(|error| AwsError::new("ec2 DescribeInstanceTypeOfferings", error));
    let is_it = |it: &InstanceTypeOffering| {
        let found = it.instance_type();
        found.is_some_and(|it| it.as_str() == instance_type)
    };
    match answer {
        Ok(answer) if !answer.instance_type_offerings().iter().any(is_it) => {
            Err(FleetError::NoType {
                instance_type: instance_type.to_owned(),
                region: session.region.clone(),
            })
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind == Kind::Denied => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_come_before_types() {
        let subnet = |zone: &str| Subnet {
            id: format!("subnet-{zone}"),
            vpc: "vpc-1".to_owned(),
            zone: zone.to_owned(),
        };
        let all = places(&[subnet("a"), subnet("b")], &["t2.micro", "t3.micro"]);
        let said: Vec<String> = all
            .iter()
            .map(|it| format!("{} {}", it.instance_type, it.subnet.zone))
            .collect();
        assert_eq!(
            said,
            ["t2.micro a", "t2.micro b", "t3.micro a", "t3.micro b"]
        );
    }
}

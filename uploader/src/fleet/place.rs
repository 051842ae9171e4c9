//! Where instances go: subnets, and types to try in them.

use super::error::FleetError;
use crate::aws::{Kind, Session, ec2};

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
    let found = match asked {
        Some(id) => ec2::subnet(session, id).await?.into_iter().collect(),
        None => {
            let Some(vpc) = ec2::default_vpc(session).await? else {
                return Err(FleetError::NoDefaultVpc { region });
            };
            let filters = vec![
                ec2::filter("vpc-id", &[&vpc]),
                ec2::filter("default-for-az", &["true"]),
            ];
            ec2::subnets(session, filters).await?
        }
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
    match ec2::offers_type(session, instance_type).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(FleetError::NoType {
            instance_type: instance_type.to_owned(),
            region: session.region.clone(),
        }),
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

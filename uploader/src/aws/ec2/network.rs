//! Where instances go: subnets, security groups, and what types there are.

use super::{filter, known};
use crate::aws::{AwsError, Session};
use aws_sdk_ec2::types::{Filter, SecurityGroup, Subnet};

const DESCRIBE_SUBNETS: &str = "ec2 DescribeSubnets";

/// The id of the region's default VPC.
///
/// # Errors
/// EC2 refuses.
pub async fn default_vpc(session: &Session) -> Result<Option<String>, AwsError> {
    let call = session.ec2.describe_vpcs();
    let answer = call.filters(filter("is-default", &["true"])).send().await;
    let answer = answer.map_err(|error| AwsError::new("ec2 DescribeVpcs", error))?;
    let vpc = answer.vpcs.unwrap_or_default().into_iter().next();
    Ok(vpc.and_then(|vpc| vpc.vpc_id))
}

/// A subnet.
///
/// # Errors
/// EC2 refuses.
pub async fn subnet(session: &Session, id: &str) -> Result<Option<Subnet>, AwsError> {
    let answer = session.ec2.describe_subnets().subnet_ids(id).send().await;
    let answer = known(answer.map_err(|error| AwsError::new(DESCRIBE_SUBNETS, error)))?;
    Ok(answer.and_then(|answer| answer.subnets?.into_iter().next()))
}

/// The subnets that all filters let through: a few, and so without pages.
///
/// # Errors
/// EC2 refuses.
pub async fn subnets(session: &Session, filters: Vec<Filter>) -> Result<Vec<Subnet>, AwsError> {
    let call = session.ec2.describe_subnets().set_filters(Some(filters));
    let answer = call.send().await;
    let answer = answer.map_err(|error| AwsError::new(DESCRIBE_SUBNETS, error))?;
    Ok(answer.subnets.unwrap_or_default())
}

/// The security groups that all filters let through: a few, and so without pages.
///
/// # Errors
/// EC2 refuses.
pub async fn security_groups(
    session: &Session,
    filters: Vec<Filter>,
) -> Result<Vec<SecurityGroup>, AwsError> {
    let call = session.ec2.describe_security_groups();
    let answer = call.set_filters(Some(filters)).send().await;
    let answer = answer.map_err(|error| AwsError::new("ec2 DescribeSecurityGroups", error))?;
    Ok(answer.security_groups.unwrap_or_default())
}

/// Whether the region offers this instance type.
///
/// # Errors
/// EC2 refuses.
pub async fn offers_type(session: &Session, instance_type: &str) -> Result<bool, AwsError> {
    let answer = session
        .ec2
        .describe_instance_type_offerings()
        .filters(filter("instance-type", &[instance_type]))
        .send()
        .await
        .map_err(|error| AwsError::new("ec2 DescribeInstanceTypeOfferings", error))?;
    let mut offered = answer.instance_type_offerings().iter();
    Ok(offered.any(|offering| {
        let name = offering.instance_type();
        name.is_some_and(|name| name.as_str() == instance_type)
    }))
}

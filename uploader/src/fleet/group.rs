//! Security groups: the converter's, which lets nothing in, and those of launched images.

use super::error::FleetError;
use crate::aws::{AwsError, Kind, Session, ec2};
use crate::vault::{Names, Vault, tags};
use aws_sdk_ec2::types::{ResourceType, SecurityGroup, Tag, TagSpecification};

/// What the converter's group is called.
pub fn name(names: &Names) -> String {
    format!("{}-converter", names.vault)
}

/// A vault's tags, as EC2 takes them.
pub(crate) fn tagged(kind: ResourceType, tags: &[(&str, &str)]) -> TagSpecification {
    let tags = tags
        .iter()
        .map(|(key, value)| Tag::builder().key(*key).value(*value).build());
    TagSpecification::builder()
        .resource_type(kind)
        .set_tags(Some(tags.collect()))
        .build()
}

/// The converter's group in a VPC, made if it is not there.
///
/// # Errors
/// It has inbound rules, or EC2 refuses.
pub async fn converters(vault: &Vault, vpc: &str) -> Result<String, FleetError> {
    let group = name(&vault.names);
    if let Some(id) = closed(find(&vault.session, &group, vpc).await?)? {
        return Ok(id);
    }
    let description = format!(
        "Converter of the vault {}: nothing comes in",
        vault.names.bucket()
    );
    let tags = [
        ("Name", group.as_str()),
        (tags::VAULT, vault.names.vault.as_str()),
    ];
    match create(&vault.session, &group, &description, vpc, &tags).await {
        Ok(id) => Ok(id),
        // Another caller was faster.
        Err(error) if error.kind == Kind::Conflict => {
            closed(find(&vault.session, &group, vpc).await?)?.ok_or_else(|| error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Its id, if it has no inbound rules. A new group has none, and lets everything out.
fn closed(found: Option<SecurityGroup>) -> Result<Option<String>, FleetError> {
    let Some(found) = found else {
        return Ok(None);
    };
    let id = found.group_id.unwrap_or_default();
    if found.ip_permissions.is_some_and(|it| !it.is_empty()) {
        let group = found.group_name.unwrap_or_default();
        return Err(FleetError::OpenGroup { group, id });
    }
    Ok(Some(id))
}

async fn find(session: &Session, name: &str, vpc: &str) -> Result<Option<SecurityGroup>, AwsError> {
    let filters = vec![
        ec2::filter("group-name", &[name]),
        ec2::filter("vpc-id", &[vpc]),
    ];
    let groups = ec2::security_groups(session, filters).await?;
    Ok(groups.into_iter().next())
}

/// The group of this name that [`create`] made and whose id it could not tell.
///
/// # Errors
/// EC2 refuses.
pub(crate) async fn id_of(
    session: &Session,
    name: &str,
    vpc: &str,
) -> Result<Option<String>, AwsError> {
    Ok(find(session, name, vpc).await?.and_then(|it| it.group_id))
}

/// Makes a group.
///
/// # Errors
/// EC2 refuses.
pub(crate) async fn create(
    session: &Session,
    name: &str,
    description: &str,
    vpc: &str,
    tags: &[(&str, &str)],
) -> Result<String, AwsError> {
    let answer = session
        .ec2
        .create_security_group()
        .group_name(name)
        .description(description)
        .vpc_id(vpc)
        .tag_specifications(tagged(ResourceType::SecurityGroup, tags))
        .send()
        .await
        .map_err(|error| AwsError::new("ec2 CreateSecurityGroup", error))?;
    Ok(answer.group_id.unwrap_or_default())
}

/// Deletes a group; it is no error if it is gone already.
///
/// # Errors
/// EC2 refuses: something still uses it.
pub(crate) async fn delete(session: &Session, id: &str) -> Result<(), AwsError> {
    let answer = session
        .ec2
        .delete_security_group()
        .group_id(id)
        .send()
        .await
        .map_err(|error| AwsError::new("ec2 DeleteSecurityGroup", error));
    match answer {
        Err(error) if error.kind != Kind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A vault's groups, in all VPCs of the region.
///
/// # Errors
/// EC2 refuses.
pub async fn all(vault: &Vault) -> Result<Vec<String>, AwsError> {
    let filters = vec![
        ec2::filter("group-name", &[&name(&vault.names)]),
        ec2::tag_filter(tags::VAULT, &vault.names.vault),
    ];
    let groups = ec2::security_groups(&vault.session, filters).await?;
    Ok(groups
        .into_iter()
        .filter_map(|group| group.group_id)
        .collect())
}

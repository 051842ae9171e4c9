//! The converter's role and its instance profile. IAM is one for all regions; each region's
//! converter has a role of its own.

use super::super::{Setting, Settings, Vault, VaultError};
use super::{built, document, optional, our_tags, pairs};
use crate::aws::{AwsError, Session};
use aws_sdk_iam::types::Tag;
use serde_json::{Map, Value, json};

/// The role's settings; `None` if there is none.
pub(crate) async fn inspect_role(vault: &Vault) -> Result<Option<Settings>, VaultError> {
    let name = vault.names.role();
    let answer = vault.session.iam.get_role().role_name(&name).send().await;
    let Some(role) = optional("iam GetRole", answer)?.and_then(|it| it.role) else {
        return Ok(None);
    };
    let mut settings = Settings::new();
    if let Some(trust) = role.assume_role_policy_document() {
        settings.insert(Setting::Trust, document(&unescape(trust)));
    }
    let tags = role.tags().iter().map(|it| (it.key(), it.value()));
    settings.insert(Setting::Tags, our_tags(tags));
    let mut permissions = Map::new();
    for policy in policy_names(&vault.session, &name).await? {
        let request = vault.session.iam.get_role_policy().role_name(&name);
        let answer = request.policy_name(&policy).send().await;
        if let Some(answer) = optional("iam GetRolePolicy", answer)? {
            permissions.insert(policy, document(&unescape(answer.policy_document())));
        }
    }
    settings.insert(Setting::Permissions, Value::Object(permissions));
    settings.insert(
        Setting::Attached,
        json!(attached(&vault.session, &name).await?),
    );
    Ok(Some(settings))
}

/// IAM gives documents back with percent signs.
fn unescape(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

/// The names of a role's own policies.
pub(crate) async fn policy_names(session: &Session, role: &str) -> Result<Vec<String>, AwsError> {
    let pages = session.iam.list_role_policies().role_name(role);
    let mut pages = pages.into_paginator().send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new("iam ListRolePolicies", error))?;
        all.extend(page.policy_names);
    }
    all.sort();
    Ok(all)
}

/// The ARNs of the policies that are attached to a role.
pub(crate) async fn attached(session: &Session, role: &str) -> Result<Vec<String>, AwsError> {
    let pages = session.iam.list_attached_role_policies().role_name(role);
    let mut pages = pages.into_paginator().send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new("iam ListAttachedRolePolicies", error))?;
        let policies = page.attached_policies.unwrap_or_default();
        all.extend(policies.into_iter().filter_map(|it| it.policy_arn));
    }
    all.sort();
    Ok(all)
}

/// Makes the role with its trust policy and tags.
pub(crate) async fn create_role(vault: &Vault, settings: &Settings) -> Result<(), VaultError> {
    const OPERATION: &str = "iam CreateRole";
    let trust = settings.get(&Setting::Trust).map(Value::to_string);
    let answer = vault
        .session
        .iam
        .create_role()
        .role_name(vault.names.role())
        .description(format!(
            "The converter of the vault {}",
            vault.names.bucket()
        ))
        .set_assume_role_policy_document(trust)
        .set_tags(Some(tag_list(OPERATION, settings.get(&Setting::Tags))?))
        .send()
        .await;
    answer.map_err(|error| AwsError::new(OPERATION, error))?;
    Ok(())
}

/// Sets something of the role.
pub(crate) async fn set_role(
    vault: &Vault,
    setting: Setting,
    value: &Value,
) -> Result<(), VaultError> {
    let (iam, name) = (&vault.session.iam, vault.names.role());
    match setting {
        Setting::Trust => {
            let request = iam.update_assume_role_policy().role_name(name);
            let answer = request.policy_document(value.to_string()).send().await;
            answer.map_err(|error| AwsError::new("iam UpdateAssumeRolePolicy", error))?;
        }
        Setting::Permissions => {
            let none = Map::new();
            let wanted = value.as_object().unwrap_or(&none);
            for (policy, document) in wanted {
                let request = iam.put_role_policy().role_name(&name).policy_name(policy);
                let answer = request.policy_document(document.to_string()).send().await;
                answer.map_err(|error| AwsError::new("iam PutRolePolicy", error))?;
            }
            let there = policy_names(&vault.session, &name).await?;
            let others = there.iter().filter(|it| !wanted.contains_key(*it));
            delete_policies(&vault.session, &name, others).await?;
        }
        Setting::Attached => detach_all(&vault.session, &name).await?,
        Setting::Tags => {
            const OPERATION: &str = "iam TagRole";
            let tags = tag_list(OPERATION, Some(value))?;
            let request = iam.tag_role().role_name(name).set_tags(Some(tags));
            let answer = request.send().await;
            answer.map_err(|error| AwsError::new(OPERATION, error))?;
        }
        _ => {}
    }
    Ok(())
}

/// Deletes policies of a role's own.
pub(crate) async fn delete_policies<'a>(
    session: &Session,
    role: &str,
    policies: impl Iterator<Item = &'a String>,
) -> Result<(), AwsError> {
    for policy in policies {
        let request = session.iam.delete_role_policy().role_name(role);
        let answer = request.policy_name(policy).send().await;
        optional("iam DeleteRolePolicy", answer)?;
    }
    Ok(())
}

/// Detaches what is attached to a role.
pub(crate) async fn detach_all(session: &Session, role: &str) -> Result<(), AwsError> {
    for arn in attached(session, role).await? {
        let request = session.iam.detach_role_policy().role_name(role);
        let answer = request.policy_arn(arn).send().await;
        optional("iam DetachRolePolicy", answer)?;
    }
    Ok(())
}

/// The roles in an instance profile; `None` if there is no such profile.
pub(crate) async fn roles_of(
    session: &Session,
    profile: &str,
) -> Result<Option<(Vec<String>, Value)>, AwsError> {
    let request = session.iam.get_instance_profile();
    let answer = request.instance_profile_name(profile).send().await;
    let profile = optional("iam GetInstanceProfile", answer)?.and_then(|it| it.instance_profile);
    Ok(profile.map(|it| {
        let roles = it.roles().iter().map(|it| it.role_name().to_owned());
        let tags = it.tags().iter().map(|it| (it.key(), it.value()));
        (roles.collect(), our_tags(tags))
    }))
}

/// The instance profile's settings; `None` if there is none.
pub(crate) async fn inspect_profile(vault: &Vault) -> Result<Option<Settings>, VaultError> {
    let found = roles_of(&vault.session, &vault.names.role()).await?;
    Ok(found.map(|(roles, tags)| {
        Settings::from([(Setting::Roles, json!(roles)), (Setting::Tags, tags)])
    }))
}

/// Makes the instance profile.
pub(crate) async fn create_profile(vault: &Vault, settings: &Settings) -> Result<(), VaultError> {
    const OPERATION: &str = "iam CreateInstanceProfile";
    let answer = vault
        .session
        .iam
        .create_instance_profile()
        .instance_profile_name(vault.names.role())
        .set_tags(Some(tag_list(OPERATION, settings.get(&Setting::Tags))?))
        .send()
        .await;
    answer.map_err(|error| AwsError::new(OPERATION, error))?;
    Ok(())
}

/// Sets something of the instance profile.
pub(crate) async fn set_profile(
    vault: &Vault,
    setting: Setting,
    value: &Value,
) -> Result<(), VaultError> {
    let (iam, name) = (&vault.session.iam, vault.names.role());
    match setting {
        Setting::Roles => {
            let wanted: Vec<&str> = value
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let there = roles_of(&vault.session, &name).await?;
            let (there, _) = there.unwrap_or_default();
            // There is room for one.
            for role in there.iter().filter(|it| !wanted.contains(&it.as_str())) {
                remove_from_profile(&vault.session, &name, role).await?;
            }
            for role in wanted.iter().filter(|it| !there.iter().any(|t| t == *it)) {
                let request = iam.add_role_to_instance_profile();
                let request = request.instance_profile_name(&name).role_name(*role);
                let answer = request.send().await;
                answer.map_err(|error| AwsError::new("iam AddRoleToInstanceProfile", error))?;
            }
        }
        Setting::Tags => {
            const OPERATION: &str = "iam TagInstanceProfile";
            let tags = tag_list(OPERATION, Some(value))?;
            let request = iam.tag_instance_profile().instance_profile_name(name);
            let answer = request.set_tags(Some(tags)).send().await;
            answer.map_err(|error| AwsError::new(OPERATION, error))?;
        }
        _ => {}
    }
    Ok(())
}

/// Takes a role out of an instance profile.
pub(crate) async fn remove_from_profile(
    session: &Session,
    profile: &str,
    role: &str,
) -> Result<(), AwsError> {
    let request = session.iam.remove_role_from_instance_profile();
    let request = request.instance_profile_name(profile).role_name(role);
    let answer = request.send().await;
    optional("iam RemoveRoleFromInstanceProfile", answer).map(drop)
}

fn tag_list(operation: &'static str, tags: Option<&Value>) -> Result<Vec<Tag>, AwsError> {
    tags.into_iter()
        .flat_map(pairs)
        .map(|(key, value)| built(operation, Tag::builder().key(key).value(value).build()))
        .collect()
}

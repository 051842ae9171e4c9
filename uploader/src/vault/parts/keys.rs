//! The KMS keys.

use super::super::desired::{ENCRYPTS, Keys, SIGNS, unmade};
use super::super::policy::KeyArns;
use super::super::{Names, Part, Setting, Settings, State, Vault, VaultError, tags};
use super::{built, document, optional, our_tags, pairs};
use crate::aws::{AwsError, Kind, Session};
use aws_sdk_kms::types::{KeyManagerType, KeyMetadata, KeySpec, KeyState, KeyUsageType, Tag};
use serde_json::{Value, json};

/// Most keys of an account that are looked through for those without an alias.
const MOST_KEYS: usize = 10_000;

/// A key of a vault that is there.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) arn: String,
    /// Whether init made it: it has the vault's tag.
    pub(crate) ours: bool,
    pub(crate) state: KeyState,
    /// Its kind, as [`ENCRYPTS`].
    kind: String,
    /// Whether the alias is of it.
    aliased: bool,
}

/// Looks at both keys, puts their settings into `state`, and says which they are, or will be.
/// `given` is what `--kms-key` says.
pub(crate) async fn inspect(
    vault: &Vault,
    given: Option<&str>,
    state: &mut State,
) -> Result<Keys, VaultError> {
    let mut encryption = find(vault, &vault.names.encryption_alias(), true).await?;
    let mut signing = find(vault, &vault.names.signing_alias(), true).await?;
    let given = match given {
        None => None,
        Some(id) => {
            let found = match find(vault, id, false).await {
                // What can be no key's id, ARN or alias.
                Err(VaultError::Aws(error)) if error.kind == Kind::Refused => None,
                found => found?,
            };
            Some(found.ok_or_else(|| VaultError::NoKey {
                key: id.to_owned(),
                region: vault.names.region.clone(),
            })?)
        }
    };
    let wanted = given.as_ref().map(|it| it.arn.clone());
    encryption = encryption.or(given);
    if encryption.is_none() || signing.is_none() {
        // An earlier init was killed before it could name what it had made.
        for key in all_of(vault).await? {
            let slot = match key.kind.as_str() {
                ENCRYPTS => &mut encryption,
                SIGNS => &mut signing,
                _ => continue,
            };
            if slot.is_none() && key.state == KeyState::Enabled {
                *slot = Some(key);
            }
        }
    }
    let arn = |found: &Option<Found>, part| match found {
        Some(key) => key.arn.clone(),
        None => unmade(&vault.names, part),
    };
    let keys = Keys {
        arns: KeyArns {
            encryption: wanted.unwrap_or_else(|| arn(&encryption, Part::EncryptionKey)),
            signing: arn(&signing, Part::SigningKey),
        },
        given: encryption.as_ref().is_some_and(|it| !it.ours),
    };
    if let Some(key) = encryption {
        let (alias, ours) = (vault.names.encryption_alias(), key.ours);
        let settings = settings(&vault.session, &key, &alias, ours).await?;
        state.put(Part::EncryptionKey, settings);
    }
    if let Some(key) = signing {
        let settings = settings(&vault.session, &key, &vault.names.signing_alias(), true).await?;
        state.put(Part::SigningKey, settings);
    }
    Ok(keys)
}

/// The key of this id, ARN or alias.
pub(crate) async fn find(
    vault: &Vault,
    id: &str,
    aliased: bool,
) -> Result<Option<Found>, VaultError> {
    let answer = vault.session.kms.describe_key().key_id(id).send().await;
    let Some(metadata) = optional("kms DescribeKey", answer)?.and_then(|it| it.key_metadata) else {
        return Ok(None);
    };
    let tags = tags_of(&vault.session, metadata.key_id()).await?;
    found(&vault.names, &metadata, &tags, aliased).map(Some)
}

fn found(
    names: &Names,
    metadata: &KeyMetadata,
    tags: &[Tag],
    aliased: bool,
) -> Result<Found, VaultError> {
    let missing = |what| VaultError::Answer {
        operation: "kms DescribeKey",
        what,
    };
    let arn = metadata.arn().ok_or_else(|| missing("an ARN"))?.to_owned();
    let text = |it: Option<&str>| it.unwrap_or("?").to_owned();
    let kind = if metadata.key_manager() == Some(&KeyManagerType::Aws) {
        "AWS managed".to_owned()
    } else if metadata.aws_account_id() != Some(names.account.as_str()) {
        "of another account".to_owned()
    } else {
        format!(
            "{} {}",
            text(metadata.key_spec().map(KeySpec::as_str)),
            text(metadata.key_usage().map(KeyUsageType::as_str))
        )
    };
    Ok(Found {
        arn,
        ours: tags
            .iter()
            .any(|it| it.tag_key() == tags::VAULT && it.tag_value() == names.vault),
        state: metadata
            .key_state()
            .cloned()
            .ok_or_else(|| missing("a state"))?,
        kind,
        aliased,
    })
}

/// All keys that init made for this vault, aliased or not.
pub(crate) async fn all_of(vault: &Vault) -> Result<Vec<Found>, VaultError> {
    let mut pages = vault.session.kms.list_keys().into_paginator().send();
    let mut ours = Vec::new();
    let mut seen = 0;
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new("kms ListKeys", error))?;
        for key in page.keys() {
            let Some(id) = key.key_id() else { continue };
            let tags = tags_of(&vault.session, id).await?;
            let is_tag =
                |it: &Tag| it.tag_key() == tags::VAULT && it.tag_value() == vault.names.vault;
            if tags.iter().any(is_tag)
                && let Some(key) = find(vault, id, false).await?
            {
                ours.push(key);
            }
        }
        seen += page.keys().len();
        if seen > MOST_KEYS {
            break;
        }
    }
    Ok(ours)
}

/// A key's tags; none of a key that does not let us look.
async fn tags_of(session: &Session, id: &str) -> Result<Vec<Tag>, AwsError> {
    let answer = session.kms.list_resource_tags().key_id(id).send().await;
    match optional("kms ListResourceTags", answer) {
        Ok(answer) => Ok(answer.and_then(|it| it.tags).unwrap_or_default()),
        Err(error) if error.kind == Kind::Denied => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// What is to be known of a key; of one that is not ours, or can't be used, no more than that.
async fn settings(
    session: &Session,
    key: &Found,
    alias: &str,
    ours: bool,
) -> Result<Settings, VaultError> {
    let mut settings = Settings::from([
        (Setting::KeyArn, json!(key.arn)),
        (Setting::KeyKind, json!(key.kind)),
        (Setting::KeyState, json!(key.state.as_str())),
    ]);
    if key.aliased {
        settings.insert(Setting::Alias, json!(alias));
    }
    if !ours || key.state != KeyState::Enabled {
        return Ok(settings);
    }
    if key.kind == ENCRYPTS {
        let request = session.kms.get_key_rotation_status().key_id(&key.arn);
        let answer = request.send().await;
        let answer = optional("kms GetKeyRotationStatus", answer)?;
        let rotates = answer.is_some_and(|it| it.key_rotation_enabled());
        settings.insert(Setting::Rotation, json!(rotates));
    }
    let request = session.kms.get_key_policy().key_id(&key.arn);
    let answer = request.policy_name("default").send().await;
    let answer = optional("kms GetKeyPolicy", answer)?;
    if let Some(policy) = answer.and_then(|it| it.policy) {
        settings.insert(Setting::Policy, document(&policy));
    }
    let tags = tags_of(session, &key.arn).await?;
    let pairs = tags.iter().map(|it| (it.tag_key(), it.tag_value()));
    settings.insert(Setting::Tags, our_tags(pairs));
    Ok(settings)
}

/// Makes a key with its policy and tags, and gives its ARN.
pub(crate) async fn create(
    vault: &Vault,
    part: Part,
    settings: &Settings,
) -> Result<String, VaultError> {
    const OPERATION: &str = "kms CreateKey";
    let mut request = vault
        .session
        .kms
        .create_key()
        .description(format!("The {part} of the vault {}", vault.names.bucket()));
    if part == Part::SigningKey {
        request = request
            .key_spec(KeySpec::EccNistP256)
            .key_usage(KeyUsageType::SignVerify);
    }
    if let Some(policy) = settings.get(&Setting::Policy) {
        request = request.policy(policy.to_string());
    }
    for tag in tag_list(OPERATION, settings.get(&Setting::Tags))? {
        request = request.tags(tag);
    }
    let answer = request.send().await;
    let answer = answer.map_err(|error| AwsError::new(OPERATION, error))?;
    answer
        .key_metadata
        .and_then(|it| it.arn)
        .ok_or(VaultError::Answer {
            operation: OPERATION,
            what: "an ARN",
        })
}

/// Sets something of the key `arn`.
pub(crate) async fn set(
    session: &Session,
    arn: &str,
    setting: Setting,
    value: &Value,
) -> Result<(), VaultError> {
    match setting {
        Setting::Alias => {
            let request = session.kms.create_alias().target_key_id(arn);
            let request = request.alias_name(value.as_str().unwrap_or_default());
            let answer = request.send().await;
            answer.map_err(|error| AwsError::new("kms CreateAlias", error))?;
        }
        Setting::Rotation => {
            let answer = session.kms.enable_key_rotation().key_id(arn).send().await;
            answer.map_err(|error| AwsError::new("kms EnableKeyRotation", error))?;
        }
        Setting::Policy => {
            let request = session.kms.put_key_policy().key_id(arn);
            let request = request.policy_name("default").policy(value.to_string());
            let answer = request.send().await;
            answer.map_err(|error| AwsError::new("kms PutKeyPolicy", error))?;
        }
        Setting::Tags => {
            const OPERATION: &str = "kms TagResource";
            let tags = tag_list(OPERATION, Some(value))?;
            let request = session.kms.tag_resource().key_id(arn);
            let answer = request.set_tags(Some(tags)).send().await;
            answer.map_err(|error| AwsError::new(OPERATION, error))?;
        }
        _ => {}
    }
    Ok(())
}

fn tag_list(operation: &'static str, tags: Option<&Value>) -> Result<Vec<Tag>, AwsError> {
    tags.into_iter()
        .flat_map(pairs)
        .map(|(key, value)| {
            built(
                operation,
                Tag::builder().tag_key(key).tag_value(value).build(),
            )
        })
        .collect()
}

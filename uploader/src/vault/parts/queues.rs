//! The queues.

use super::super::{Part, Setting, Settings, Vault, VaultError};
use super::{document, our_tags, pairs};
use crate::aws::{AwsError, Session};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Map, Value, json};

/// The attributes that a vault sets.
const ATTRIBUTES: &[&str] = &[
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "VisibilityTimeout",
];
/// Those whose values are documents.
const DOCUMENTS: &[&str] = &["RedriveAllowPolicy", "RedrivePolicy"];

/// A queue's URL; `None` if there is none of that name.
pub(crate) async fn url(session: &Session, queue: &str) -> Result<Option<String>, AwsError> {
    match session.sqs.get_queue_url().queue_name(queue).send().await {
        Ok(answer) => Ok(answer.queue_url),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|it| it.is_queue_does_not_exist()) =>
        {
            Ok(None)
        }
        Err(error) => Err(AwsError::new("sqs GetQueueUrl", error)),
    }
}

async fn url_of(session: &Session, queue: &str) -> Result<String, VaultError> {
    url(session, queue).await?.ok_or(VaultError::Answer {
        operation: "sqs GetQueueUrl",
        what: "a URL",
    })
}

/// A queue's settings; `None` if there is none.
pub(crate) async fn inspect(vault: &Vault, part: Part) -> Result<Option<Settings>, VaultError> {
    let Some(url) = url(&vault.session, &part.name(&vault.names)).await? else {
        return Ok(None);
    };
    let answer = vault
        .session
        .sqs
        .get_queue_attributes()
        .queue_url(&url)
        .attribute_names(QueueAttributeName::All)
        .send()
        .await
        .map_err(|error| AwsError::new("sqs GetQueueAttributes", error))?;
    let all = answer.attributes.unwrap_or_default();
    let get = |name: &str| all.get(&QueueAttributeName::from(name));
    let mut attributes = Map::new();
    for name in ATTRIBUTES {
        if let Some(value) = get(name) {
            attributes.insert((*name).to_owned(), json!(value));
        }
    }
    for name in DOCUMENTS {
        if let Some(value) = get(name).filter(|it| !it.is_empty()) {
            let mut value = document(value);
            // Given back as it was set, as a number or as a text.
            if let Some(text) = value["maxReceiveCount"].as_str() {
                value["maxReceiveCount"] = document(text);
            }
            attributes.insert((*name).to_owned(), value);
        }
    }
    let mut settings = Settings::from([(Setting::Attributes, Value::Object(attributes))]);
    if let Some(policy) = get("Policy").filter(|it| !it.is_empty()) {
        settings.insert(Setting::Policy, document(policy));
    }
    let answer = vault
        .session
        .sqs
        .list_queue_tags()
        .queue_url(&url)
        .send()
        .await;
    let answer = answer.map_err(|error| AwsError::new("sqs ListQueueTags", error))?;
    let tags = answer.tags.unwrap_or_default();
    let tags = tags
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()));
    settings.insert(Setting::Tags, our_tags(tags));
    Ok(Some(settings))
}

/// Makes a queue with all of its settings.
pub(crate) async fn create(
    vault: &Vault,
    part: Part,
    settings: &Settings,
) -> Result<(), VaultError> {
    let queue = part.name(&vault.names);
    let mut request = vault.session.sqs.create_queue().queue_name(&queue);
    for setting in [Setting::Attributes, Setting::Policy] {
        for (name, value) in attributes(setting, settings.get(&setting)) {
            request = request.attributes(name, value);
        }
    }
    for (key, value) in settings.get(&Setting::Tags).into_iter().flat_map(pairs) {
        request = request.tags(key, value);
    }
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|it| it.is_queue_deleted_recently()) =>
        {
            Err(VaultError::QueueDeletedRecently { queue })
        }
        Err(error) => Err(AwsError::new("sqs CreateQueue", error).into()),
    }
}

/// Sets something of a queue.
pub(crate) async fn set(
    vault: &Vault,
    part: Part,
    setting: Setting,
    value: &Value,
) -> Result<(), VaultError> {
    let url = url_of(&vault.session, &part.name(&vault.names)).await?;
    if setting == Setting::Tags {
        let mut request = vault.session.sqs.tag_queue().queue_url(url);
        for (key, value) in pairs(value) {
            request = request.tags(key, value);
        }
        let answer = request.send().await;
        answer.map_err(|error| AwsError::new("sqs TagQueue", error))?;
        return Ok(());
    }
    let mut request = vault.session.sqs.set_queue_attributes().queue_url(url);
    for (name, value) in attributes(setting, Some(value)) {
        request = request.attributes(name, value);
    }
    let answer = request.send().await;
    answer.map_err(|error| AwsError::new("sqs SetQueueAttributes", error))?;
    Ok(())
}

/// A setting as attributes, documents as texts.
fn attributes(setting: Setting, value: Option<&Value>) -> Vec<(QueueAttributeName, String)> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        document => document.to_string(),
    };
    match (setting, value) {
        (Setting::Policy, Some(policy)) => {
            vec![(QueueAttributeName::Policy, policy.to_string())]
        }
        (Setting::Attributes, Some(Value::Object(all))) => all
            .iter()
            .map(|(name, value)| (QueueAttributeName::from(name.as_str()), text(value)))
            .collect(),
        _ => Vec::new(),
    }
}

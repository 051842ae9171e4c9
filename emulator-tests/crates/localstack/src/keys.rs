//! KMS keys, as LocalStack has them.

use super::Upstream;
use async_trait::async_trait;
use emulator_backend::{Key, KeyState, Keys};
use emulator_protocol::{AwsError, Caller};
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::json;

/// What `DescribeKey` answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    key_metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    arn: String,
    key_state: String,
    key_usage: Option<String>,
    key_spec: Option<String>,
}

/// An error of the JSON protocol.
#[derive(Deserialize)]
struct Refused {
    #[serde(rename = "__type")]
    code: String,
    #[serde(alias = "Message", default)]
    message: String,
}

impl From<Metadata> for Key {
    fn from(it: Metadata) -> Self {
        Self {
            encrypts: it.key_usage.is_none_or(|usage| usage == "ENCRYPT_DECRYPT")
                && it.key_spec.is_none_or(|spec| spec == "SYMMETRIC_DEFAULT"),
            arn: it.arn,
            state: match it.key_state.as_str() {
                "Enabled" => KeyState::Enabled,
                "Disabled" => KeyState::Disabled,
                "PendingDeletion" | "PendingReplicaDeletion" => KeyState::PendingDeletion,
                _ => KeyState::Unavailable,
            },
        }
    }
}

#[async_trait]
impl Keys for Upstream {
    async fn find(&self, caller: &Caller, id: &str) -> Result<Option<Key>, AwsError> {
        if id.is_empty() || id.len() > 2048 || is_elsewhere(caller, id) {
            return Ok(None);
        }
        let request = http::Request::post("/")
            .header("x-amz-target", "TrentService.DescribeKey")
            .header(CONTENT_TYPE, "application/x-amz-json-1.1");
        let body = json!({ "KeyId": id }).to_string();
        let (status, body) = self.ask(caller, "kms", request, body).await?;
        if status.is_success() {
            return serde_json::from_slice::<Description>(&body)
                .map(|it| Some(it.key_metadata.into()))
                .map_err(|error| {
                    AwsError::unavailable(format!("LocalStack's answer to DescribeKey: {error}"))
                });
        }
        match serde_json::from_slice::<Refused>(&body) {
            // A name that can't be one is of no key either.
            Ok(refused)
                if [
                    "NotFoundException",
                    "InvalidArnException",
                    "ValidationException",
                ]
                .iter()
                .any(|code| refused.code.ends_with(code)) =>
            {
                Ok(None)
            }
            Ok(refused) => Err(AwsError::unavailable(format!(
                "LocalStack's KMS: {}: {}",
                refused.code, refused.message
            ))),
            Err(_) => Err(AwsError::unavailable(format!(
                "LocalStack answers DescribeKey with {status}"
            ))),
        }
    }
}

/// Whether an ARN names another region, whose keys are no use here.
fn is_elsewhere(caller: &Caller, id: &str) -> bool {
    id.starts_with("arn:") && id.split(':').nth(3) != Some(caller.region.as_str())
}

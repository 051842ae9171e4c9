//! Signing, sending and verifying: what needs KMS and SQS.

use super::{Envelope, FormError, MAX_MESSAGE, Request};
use crate::Class;
use crate::aws::{AwsError, Kind};
use crate::vault::{Names, Vault};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use sha2::{Digest, Sha256};

/// How requests are signed: over the SHA-256 of their text.
const ALGORITHM: SigningAlgorithmSpec = SigningAlgorithmSpec::EcdsaSha256;

/// A request was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It would be refused.
    #[error(transparent)]
    Form(#[from] FormError),
    /// Its text is too long.
    #[error("the request is {0} bytes long, with its signature: at most {MAX_MESSAGE} are read")]
    TooLong(usize),
    /// It has no text.
    #[error("the request can't be written as JSON: {0}")]
    Json(String),
    /// The vault has no such queue or key.
    #[error("there is no {what} {name} in {region}")]
    NoVault {
        /// `queue` or `signing key`.
        what: &'static str,
        /// Its name.
        name: String,
        /// Where.
        region: String,
    },
    /// AWS refused.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl SendError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            SendError::Form(_) | SendError::TooLong(_) => Class::Input,
            SendError::Json(_) => Class::Failed,
            SendError::NoVault { .. } => Class::Surroundings,
            SendError::Aws(error) => error.class(),
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            SendError::NoVault { .. } => Some(
                "uploader vault init makes the vault; uploader vault status shows what it lacks"
                    .to_owned(),
            ),
            SendError::TooLong(_) => Some("fewer or shorter tags".to_owned()),
            SendError::Aws(error) => error.hint(),
            SendError::Form(_) | SendError::Json(_) => None,
        }
    }
}

/// Signs a request with the vault's key, and gives the message.
async fn sign(vault: &Vault, request: &Request) -> Result<String, SendError> {
    request.check()?;
    let text = serde_json::to_string(request).map_err(|it| SendError::Json(it.to_string()))?;
    let key = vault.names.signing_alias();
    let answer = vault
        .session
        .kms
        .sign()
        .key_id(&key)
        .message(Blob::new(Sha256::digest(&text).to_vec()))
        .message_type(MessageType::Digest)
        .signing_algorithm(ALGORITHM)
        .send()
        .await
        .map_err(|error| AwsError::new("kms Sign", error))
        .map_err(|error| missing(error, "signing key", &key, &vault.names))?;
    let signature = answer.signature.map(Blob::into_inner).unwrap_or_default();
    let message = serde_json::to_string(&Envelope::new(text, &signature))
        .map_err(|it| SendError::Json(it.to_string()))?;
    if message.len() > MAX_MESSAGE {
        return Err(SendError::TooLong(message.len()));
    }
    Ok(message)
}

/// Signs a request and sends it to the vault's queue.
///
/// # Errors
/// A field is wrong, it is too long, there is no key or no queue, or KMS or SQS refuses.
pub async fn send(vault: &Vault, request: &Request) -> Result<(), SendError> {
    let (message, url) = tokio::join!(sign(vault, request), queue_url(vault));
    let (message, url) = (message?, url?);
    vault
        .session
        .sqs
        .send_message()
        .queue_url(url)
        .message_body(message)
        .send()
        .await
        .map_err(|error| AwsError::new("sqs SendMessage", error))?;
    Ok(())
}

async fn queue_url(vault: &Vault) -> Result<String, SendError> {
    let queue = vault.names.queue();
    let answer = vault
        .session
        .sqs
        .get_queue_url()
        .queue_name(&queue)
        .queue_owner_aws_account_id(&vault.names.account)
        .send()
        .await
        .map_err(|error| AwsError::new("sqs GetQueueUrl", error))
        .map_err(|error| missing(error, "queue", &queue, &vault.names))?;
    Ok(answer.queue_url.unwrap_or_default())
}

/// Whether the vault's key made `signature` over a text with this SHA-256.
///
/// # Errors
/// KMS can't say.
pub async fn verify(vault: &Vault, sha256: &[u8; 32], signature: &[u8]) -> Result<bool, AwsError> {
    let answer = vault
        .session
        .kms
        .verify()
        .key_id(vault.names.signing_alias())
        .message(Blob::new(sha256.to_vec()))
        .message_type(MessageType::Digest)
        .signing_algorithm(ALGORITHM)
        .signature(Blob::new(signature.to_vec()))
        .send()
        .await
        .map_err(|error| AwsError::new("kms Verify", error));
    match answer {
        Ok(answer) => Ok(answer.signature_valid),
        Err(error) if error.code == "KMSInvalidSignatureException" => Ok(false),
        Err(error) => Err(error),
    }
}

fn missing(error: AwsError, what: &'static str, name: &str, names: &Names) -> SendError {
    if error.kind == Kind::NotFound {
        SendError::NoVault {
            what,
            name: name.to_owned(),
            region: names.region.clone(),
        }
    } else {
        error.into()
    }
}

//! What has to be there before an agent takes its first request: the vault's key and its queues.

use super::queue::{QueueError, Queues};
use crate::Class;
use crate::aws::{AwsError, Kind};
use crate::vault::Vault;
use aws_sdk_kms::types::KeyState;

/// An agent can't work.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The vault's key is not there.
    #[error("there is no key {alias} in {region}")]
    NoKey {
        /// Its alias.
        alias: String,
        /// Where.
        region: String,
    },
    /// It is there, and can't be used.
    #[error("the vault's key {alias} ({arn}) is {state}")]
    KeyState {
        /// Its alias.
        alias: String,
        /// Its ARN.
        arn: String,
        /// `Disabled`, `PendingDeletion`, ….
        state: String,
    },
    /// A queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// AWS refuses.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl AgentError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            AgentError::NoKey { .. } | AgentError::KeyState { .. } => Class::Surroundings,
            AgentError::Queue(error) => error.class(),
            AgentError::Aws(error) => error.class(),
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            AgentError::NoKey { .. } => {
                Some("uploader vault init makes what a vault lacks".to_owned())
            }
            AgentError::KeyState { .. } => Some(
                "aws kms enable-key, or cancel-key-deletion; what is in the vault can't be read \
                 without it"
                    .to_owned(),
            ),
            AgentError::Queue(error) => error.hint(),
            AgentError::Aws(error) => error.hint(),
        }
    }
}

/// ARN of the key that encrypts a vault.
///
/// # Errors
/// It is not there, can't be used, or KMS refuses.
pub async fn vault_key(vault: &Vault) -> Result<String, AgentError> {
    let alias = vault.names.encryption_alias();
    let answer = vault
        .session
        .kms
        .describe_key()
        .key_id(&alias)
        .send()
        .await
        .map_err(|error| AwsError::new("kms DescribeKey", error));
    let no_key = || AgentError::NoKey {
        alias: alias.clone(),
        region: vault.names.region.clone(),
    };
    let answer = match answer {
        Err(error) if error.kind == Kind::NotFound => return Err(no_key()),
        answer => answer?,
    };
    let key = answer.key_metadata.ok_or_else(no_key)?;
    let arn = key.arn().ok_or_else(no_key)?;
    match key.key_state() {
        None | Some(KeyState::Enabled) => Ok(arn.to_owned()),
        Some(state) => Err(AgentError::KeyState {
            arn: arn.to_owned(),
            state: state.as_str().to_owned(),
            alias,
        }),
    }
}

/// What an agent has to know of its vault before it takes a request.
#[derive(Clone, Debug)]
pub struct Ready {
    /// ARN of the key that encrypts the vault.
    pub vault_key: String,
    /// Where requests come from.
    pub queues: Queues,
}

impl Ready {
    /// Asks KMS and SQS, both at the same time.
    ///
    /// # Errors
    /// Key or queues are not there, the key can't be used, or AWS refuses.
    pub async fn find(vault: &Vault) -> Result<Ready, AgentError> {
        // A task of its own: on a slow processor it is the handshakes that take time.
        let key = tokio::spawn({
            let vault = vault.clone();
            async move { vault_key(&vault).await }
        });
        let queues = Queues::find(vault).await;
        let vault_key = match key.await {
            Ok(key) => key?,
            // It was lost with its thread.
            Err(_) => vault_key(vault).await?,
        };
        Ok(Ready {
            vault_key,
            queues: queues?,
        })
    }
}

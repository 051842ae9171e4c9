//! KMS keys, as far as other services ask about them: whether one can be used.

use async_trait::async_trait;
use emulator_protocol::{AwsError, Caller};

/// A KMS key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// `arn:aws:kms:REGION:ACCOUNT:key/ID`.
    pub arn: String,
    /// What state it is in.
    pub state: KeyState,
    /// Whether it is a symmetric key that encrypts and decrypts.
    pub encrypts: bool,
}

/// A key's state, as far as it decides what can be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It can be used.
    Enabled,
    /// `DisableKey` was called.
    Disabled,
    /// `ScheduleKeyDeletion` was called.
    PendingDeletion,
    /// Any other that can't be used.
    Unavailable,
}

/// Where keys are looked up.
#[async_trait]
pub trait Keys: Send + Sync {
    /// The key that `id` (key id, ARN, alias or alias ARN) names for this caller in this region;
    /// `None` if there is none.
    ///
    /// # Errors
    /// [`AwsError::unavailable`] if the key service can't be asked.
    async fn find(&self, caller: &Caller, id: &str) -> Result<Option<Key>, AwsError>;
}

/// Why a key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    /// There is none of that name.
    #[error("the KMS key {0} does not exist")]
    NotFound(String),
    /// It is there, and not fit for use.
    #[error("the KMS key {arn} can't be used: {why}")]
    Unusable {
        /// The key's ARN.
        arn: String,
        /// What is wrong with it.
        why: Unusable,
    },
    /// KMS could not be asked.
    #[error(transparent)]
    Unknown(#[from] AwsError),
}

/// What is wrong with a key that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Its state is `Disabled`.
    #[error("it is disabled")]
    Disabled,
    /// Its state is `PendingDeletion`.
    #[error("it is pending deletion")]
    PendingDeletion,
    /// Its state is another one that is not `Enabled`.
    #[error("it is not enabled")]
    NotEnabled,
    /// It signs, or has two halves.
    #[error("it is not a symmetric encryption key")]
    NotSymmetric,
}

/// The ARN of the key that `id` names, if it can encrypt and decrypt now. Every service of the
/// emulator that uses keys asks this, and says what comes of it in words of its own.
///
/// # Errors
/// The key can't be used.
pub async fn usable_key(keys: &dyn Keys, caller: &Caller, id: &str) -> Result<String, KeyFault> {
    let key = keys
        .find(caller, id)
        .await?
        .ok_or_else(|| KeyFault::NotFound(id.to_owned()))?;
    let why = match key.state {
        KeyState::Enabled if key.encrypts => return Ok(key.arn),
        KeyState::Enabled => Unusable::NotSymmetric,
        KeyState::Disabled => Unusable::Disabled,
        KeyState::PendingDeletion => Unusable::PendingDeletion,
        KeyState::Unavailable => Unusable::NotEnabled,
    };
    Err(KeyFault::Unusable { arn: key.arn, why })
}

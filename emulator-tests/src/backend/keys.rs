//! KMS keys, as far as other services ask about them.

use crate::aws::{AwsError, Caller};
use async_trait::async_trait;

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

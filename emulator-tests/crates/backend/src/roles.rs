//! Where roles of instance profiles are looked up and taken on.

use async_trait::async_trait;
use emulator_protocol::{AwsError, Caller};

/// An instance profile, as IAM has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileNow {
    /// `AIPA…`: another one than the instance was given, if it was deleted and made again.
    pub id: String,
    /// Its role, if it has one.
    pub role: Option<Role>,
}

/// A role of an instance profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// `arn:aws:iam::ACCOUNT:role/NAME`.
    pub arn: String,
    /// Its name.
    pub name: String,
}

/// What STS gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionKeys {
    /// `LSIA…`.
    pub access_key_id: String,
    /// The secret.
    pub secret_access_key: String,
    /// The session's token.
    pub session_token: String,
}

/// Where roles are looked up and taken on.
#[async_trait]
pub trait Sts: Send + Sync {
    /// An instance profile by its name; `None` if there is none.
    async fn profile(&self, caller: &Caller, name: &str) -> Result<Option<ProfileNow>, AwsError>;

    /// Takes on a role for this many seconds. Below 500, an error's status says that STS refuses.
    async fn assume(
        &self,
        caller: &Caller,
        role: &Role,
        session: &str,
        seconds: i64,
    ) -> Result<SessionKeys, AwsError>;
}

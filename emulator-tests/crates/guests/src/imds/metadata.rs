//! What the service has to be told.

use async_trait::async_trait;
use emulator_protocol::AwsError;
use emulator_state::world::Instance;
use time::OffsetDateTime;

/// An instance, asked at every request, so that a change is seen at once.
#[async_trait]
pub trait Metadata: Send + Sync {
    /// The instance as it is now; `None` once it is gone.
    fn facts(&self) -> Option<Facts>;

    /// What its instance profile gives.
    ///
    /// # Errors
    /// The services that know can't be asked.
    async fn role(&self) -> Result<RoleStatus, AwsError>;
}

/// An instance, and what else the service tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its record: metadata options, user data, tags, network interface.
    pub instance: Instance,
    /// The device names of its volumes, the root's among them: `/dev/xvda`.
    pub devices: Vec<String>,
    /// The range of its subnet, `172.31.0.0/20`.
    pub subnet_cidr: String,
    /// The range of its VPC, `172.31.0.0/16`, if known.
    pub vpc_cidr: Option<String>,
}

/// What an instance profile gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleStatus {
    /// The instance has none.
    NoProfile,
    /// It was deleted, or another one has its name.
    ProfileGone,
    /// It has no role.
    NoRole,
    /// Its role's credentials.
    Given(RoleCredentials),
    /// Its role can't be taken on.
    Refused {
        /// The role's name.
        role: String,
        /// What STS says.
        why: AwsError,
    },
}

/// Temporary credentials of a role.
#[derive(Clone, PartialEq, Eq)]
pub struct RoleCredentials {
    /// The role's name.
    pub role: String,
    /// `LSIA…`.
    pub access_key_id: String,
    /// The secret.
    pub secret_access_key: String,
    /// The session's token.
    pub session_token: String,
    /// When they were given.
    pub updated: OffsetDateTime,
    /// When they end.
    pub expires: OffsetDateTime,
}

impl std::fmt::Debug for RoleCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RoleCredentials")
            .field("role", &self.role)
            .field("access_key_id", &self.access_key_id)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

//! Credentials of an instance's role, renewed before they end.

use super::metadata::{RoleCredentials, RoleStatus};
use emulator_backend::Sts;
use emulator_protocol::{AwsError, Caller};
use emulator_state::clock::Clock;
use emulator_state::world::{Instance, InstanceProfile};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use time::Duration;
use tokio::sync::Mutex as Turns;
use tokio::time::timeout;

/// How long credentials are good for: what every role allows.
const LIFETIME: Duration = Duration::hours(1);
/// There are new ones at least this long before the old ones end; AWS promises five minutes.
const RENEWED: Duration = Duration::minutes(15);
/// How long who asks waits for new ones while old ones are good. SDKs wait a second for an answer.
const WAITS: std::time::Duration = std::time::Duration::from_millis(500);
/// How long IAM and STS may take.
const ANSWERED_WITHIN: std::time::Duration = std::time::Duration::from_secs(30);

/// The credentials of one instance's role.
pub struct Roles {
    source: Arc<Source>,
    /// Whose turn it is to ask for new ones.
    turns: Arc<Turns<()>>,
    waits: std::time::Duration,
}

struct Source {
    sts: Arc<dyn Sts>,
    clock: Arc<dyn Clock>,
    /// The profile that they were given for, and they.
    given: Mutex<Option<(InstanceProfile, RoleCredentials)>>,
}

impl Roles {
    /// From a source of roles, renewed by this clock.
    pub fn new(sts: Arc<dyn Sts>, clock: Arc<dyn Clock>) -> Self {
        Self {
            source: Arc::new(Source {
                sts,
                clock,
                given: Mutex::new(None),
            }),
            turns: Arc::default(),
            waits: WAITS,
        }
    }

    /// What the instance's profile gives. Credentials that can't be renewed are given until they
    /// end; a role that left the profile, until they would be renewed.
    ///
    /// # Errors
    /// IAM or STS can't be asked, and there are no earlier credentials that are still good.
    pub async fn status(&self, instance: &Instance) -> Result<RoleStatus, AwsError> {
        let Some(profile) = &instance.profile else {
            return Ok(RoleStatus::NoProfile);
        };
        let earlier = self.source.earlier(profile);
        let turn = match &earlier {
            Some(earlier) if !self.source.is_due(earlier) => {
                return Ok(RoleStatus::Given(earlier.clone()));
            }
            Some(earlier) => match Arc::clone(&self.turns).try_lock_owned() {
                Ok(turn) => turn,
                // Somebody asks already.
                Err(_) => return Ok(RoleStatus::Given(earlier.clone())),
            },
            None => Arc::clone(&self.turns).lock_owned().await,
        };
        // Who waited gets what came meanwhile.
        let earlier = self.source.earlier(profile);
        if let Some(earlier) = &earlier
            && !self.source.is_due(earlier)
        {
            return Ok(RoleStatus::Given(earlier.clone()));
        }
        let (source, asks) = (Arc::clone(&self.source), instance.clone());
        let given_for = profile.clone();
        // In a task of its own: who asks may hang up before LocalStack has answered.
        let renewal = tokio::spawn(async move {
            let _turn = turn;
            source.renew(&asks, &given_for).await
        });
        let renewed = match &earlier {
            Some(earlier) => match timeout(self.waits, renewal).await {
                Ok(renewed) => renewed,
                Err(_) => return Ok(RoleStatus::Given(earlier.clone())),
            },
            None => renewal.await,
        };
        let renewed = renewed
            .unwrap_or_else(|error| Err(AwsError::unavailable(format!("credentials: {error}"))));
        match (renewed, earlier) {
            (Err(error), Some(earlier))
            | (Ok(RoleStatus::Refused { why: error, .. }), Some(earlier)) => {
                tracing::warn!(%error, role = earlier.role, "its credentials are not renewed");
                Ok(RoleStatus::Given(earlier))
            }
            (renewed, _) => renewed,
        }
    }
}

impl Source {
    fn given(&self) -> MutexGuard<'_, Option<(InstanceProfile, RoleCredentials)>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Credentials of this profile's role that are still good.
    fn earlier(&self, profile: &InstanceProfile) -> Option<RoleCredentials> {
        let now = self.clock.now();
        let given = self.given();
        let (_, credentials) = given.as_ref().filter(|(of, _)| of == profile)?;
        (now < credentials.expires).then(|| credentials.clone())
    }

    fn is_due(&self, credentials: &RoleCredentials) -> bool {
        credentials.expires - self.clock.now() <= RENEWED
    }

    /// Asks, and keeps what there is.
    async fn renew(
        &self,
        instance: &Instance,
        profile: &InstanceProfile,
    ) -> Result<RoleStatus, AwsError> {
        let asked = timeout(ANSWERED_WITHIN, self.ask(instance, profile)).await;
        let status = asked.unwrap_or_else(|_| {
            let seconds = ANSWERED_WITHIN.as_secs();
            let message = format!("LocalStack did not give credentials in {seconds} s");
            Err(AwsError::unavailable(message))
        })?;
        match &status {
            RoleStatus::Given(new) => *self.given() = Some((profile.clone(), new.clone())),
            RoleStatus::ProfileGone | RoleStatus::NoRole => *self.given() = None,
            RoleStatus::NoProfile | RoleStatus::Refused { .. } => {}
        }
        Ok(status)
    }

    async fn ask(
        &self,
        instance: &Instance,
        profile: &InstanceProfile,
    ) -> Result<RoleStatus, AwsError> {
        let caller = Caller {
            account: instance.owner.clone(),
            region: instance.region.clone(),
            access_key: String::new(),
            secure: true,
        };
        let name = profile.arn.rsplit('/').next().unwrap_or_default();
        let found = self.sts.profile(&caller, name).await?;
        let Some(found) = found.filter(|it| it.id == profile.id) else {
            return Ok(RoleStatus::ProfileGone);
        };
        let Some(role) = found.role else {
            return Ok(RoleStatus::NoRole);
        };
        // Before STS is asked: they never end later there than here.
        let updated = self.clock.now();
        let seconds = LIFETIME.whole_seconds();
        let assumed = self.sts.assume(&caller, &role, &instance.id, seconds);
        Ok(match assumed.await {
            Ok(keys) => RoleStatus::Given(RoleCredentials {
                role: role.name,
                access_key_id: keys.access_key_id,
                secret_access_key: keys.secret_access_key,
                session_token: keys.session_token,
                updated,
                expires: updated + LIFETIME,
            }),
            Err(why) if why.status < 500 => RoleStatus::Refused {
                role: role.name,
                why,
            },
            Err(error) => return Err(error),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

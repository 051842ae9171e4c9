//! Credentials of instances' roles, as STS gives them, renewed before they end.

use super::RoleCredentials;
use crate::aws::{AwsError, Caller};
use crate::clock::Clock;
use crate::keys::BoxFuture;
use crate::network::localstack::IAM;
use crate::upstream::Upstream;
use crate::world::Instance;
use serde::Deserialize;
use std::sync::Arc;
use time::Duration;
use tokio::sync::Mutex;

const STS: (&str, &str) = ("sts", "2011-06-15");
/// How long credentials are good for: what every role allows.
const LIFETIME: Duration = Duration::hours(1);
/// There are new ones at least this long before the old ones end; AWS promises five minutes.
const RENEWED: Duration = Duration::minutes(15);

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
pub trait Sts: Send + Sync {
    /// The role of an instance profile, if it has one.
    fn role<'a>(
        &'a self,
        caller: &'a Caller,
        profile: &'a str,
    ) -> BoxFuture<'a, Result<Option<Role>, AwsError>>;

    /// Takes on a role for this many seconds.
    fn assume<'a>(
        &'a self,
        caller: &'a Caller,
        role: &'a Role,
        session: &'a str,
        seconds: i64,
    ) -> BoxFuture<'a, Result<SessionKeys, AwsError>>;
}

/// The credentials of one instance's role.
pub struct Roles {
    sts: Arc<dyn Sts>,
    clock: Arc<dyn Clock>,
    /// The profile that they were given for, and they.
    given: Mutex<Option<(String, RoleCredentials)>>,
}

impl Roles {
    /// From a source of roles, renewed by this clock.
    pub fn new(sts: Arc<dyn Sts>, clock: Arc<dyn Clock>) -> Self {
        Self {
            sts,
            clock,
            given: Mutex::new(None),
        }
    }

    /// Credentials of the role of the instance's profile; `None` if it has no profile, or the
    /// profile no role.
    ///
    /// # Errors
    /// They can't be asked for, or are refused, and there are no earlier ones that are still good.
    pub async fn credentials(
        &self,
        instance: &Instance,
    ) -> Result<Option<RoleCredentials>, AwsError> {
        let Some(profile) = &instance.profile else {
            return Ok(None);
        };
        // Who comes at the same time gets the same ones.
        let mut given = self.given.lock().await;
        let now = self.clock.now();
        let earlier = given
            .as_ref()
            .filter(|(arn, it)| *arn == profile.arn && now < it.expires)
            .map(|(_, it)| it.clone());
        if let Some(earlier) = &earlier
            && earlier.expires - now > RENEWED
        {
            return Ok(Some(earlier.clone()));
        }
        match self.new_ones(instance, &profile.arn).await {
            Ok(Some(new)) => {
                *given = Some((profile.arn.clone(), new.clone()));
                Ok(Some(new))
            }
            Ok(None) => Ok(None),
            Err(error) => match earlier {
                Some(earlier) => {
                    tracing::warn!(%error, role = earlier.role, "its credentials are not renewed");
                    Ok(Some(earlier))
                }
                None => Err(error),
            },
        }
    }

    async fn new_ones(
        &self,
        instance: &Instance,
        profile: &str,
    ) -> Result<Option<RoleCredentials>, AwsError> {
        let caller = Caller {
            account: instance.owner.clone(),
            region: instance.region.clone(),
            access_key: String::new(),
            secure: true,
        };
        let name = profile.rsplit('/').next().unwrap_or_default();
        let Some(role) = self.sts.role(&caller, name).await? else {
            return Ok(None);
        };
        let seconds = LIFETIME.whole_seconds();
        let keys = self
            .sts
            .assume(&caller, &role, &instance.id, seconds)
            .await?;
        let updated = self.clock.now();
        Ok(Some(RoleCredentials {
            role: role.name,
            access_key_id: keys.access_key_id,
            secret_access_key: keys.secret_access_key,
            session_token: keys.session_token,
            updated,
            expires: updated + LIFETIME,
        }))
    }
}

impl Sts for Upstream {
    fn role<'a>(
        &'a self,
        caller: &'a Caller,
        profile: &'a str,
    ) -> BoxFuture<'a, Result<Option<Role>, AwsError>> {
        Box::pin(async move {
            let params = [("InstanceProfileName", profile)];
            let absent = ["NoSuchEntity", "ValidationError"];
            let found = self
                .find(caller, IAM, "GetInstanceProfile", &params, &absent)
                .await?;
            found.map_or(Ok(None), |body| role(&body))
        })
    }

    fn assume<'a>(
        &'a self,
        caller: &'a Caller,
        role: &'a Role,
        session: &'a str,
        seconds: i64,
    ) -> BoxFuture<'a, Result<SessionKeys, AwsError>> {
        Box::pin(async move {
            let seconds = seconds.to_string();
            let params = [
                ("RoleArn", &*role.arn),
                ("RoleSessionName", session),
                ("DurationSeconds", &seconds),
            ];
            let body = self.find(caller, STS, "AssumeRole", &params, &[]).await?;
            keys(&body.unwrap_or_default())
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProfileAnswer {
    get_instance_profile_result: ProfileResult,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProfileResult {
    instance_profile: ProfileItem,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProfileItem {
    #[serde(default)]
    roles: RoleList,
}

#[derive(Debug, Default, Deserialize)]
struct RoleList {
    #[serde(rename = "member", default)]
    members: Vec<RoleItem>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleItem {
    arn: String,
    role_name: String,
}

fn role(xml: &str) -> Result<Option<Role>, AwsError> {
    let answer: ProfileAnswer = parse(xml)?;
    let roles = answer.get_instance_profile_result.instance_profile.roles;
    let first = roles.members.into_iter().next();
    Ok(first.map(|it| Role {
        arn: it.arn,
        name: it.role_name,
    }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRoleAnswer {
    assume_role_result: AssumeRoleResult,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRoleResult {
    credentials: CredentialsItem,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CredentialsItem {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
}

fn keys(xml: &str) -> Result<SessionKeys, AwsError> {
    let answer: AssumeRoleAnswer = parse(xml)?;
    let it = answer.assume_role_result.credentials;
    Ok(SessionKeys {
        access_key_id: it.access_key_id,
        secret_access_key: it.secret_access_key,
        session_token: it.session_token,
    })
}

fn parse<'a, T: Deserialize<'a>>(xml: &'a str) -> Result<T, AwsError> {
    quick_xml::de::from_str(xml)
        .map_err(|error| AwsError::unavailable(format!("LocalStack's answer: {error}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::{self, TestClock};
    use crate::world::InstanceProfile;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Gives keys with a number, unless it is told to fail.
    #[derive(Default)]
    struct Counting {
        given: AtomicU64,
        fails: std::sync::atomic::AtomicBool,
    }

    impl Sts for Counting {
        fn role<'a>(
            &'a self,
            _caller: &'a Caller,
            profile: &'a str,
        ) -> BoxFuture<'a, Result<Option<Role>, AwsError>> {
            Box::pin(async move {
                Ok((profile != "bare").then(|| Role {
                    arn: format!("arn:aws:iam::111111111111:role/{profile}-role"),
                    name: format!("{profile}-role"),
                }))
            })
        }

        fn assume<'a>(
            &'a self,
            caller: &'a Caller,
            role: &'a Role,
            session: &'a str,
            seconds: i64,
        ) -> BoxFuture<'a, Result<SessionKeys, AwsError>> {
            Box::pin(async move {
                assert_eq!(caller.account.as_str(), "111111111111");
                assert_eq!((session, seconds), ("i-1", 3600));
                if self.fails.load(Ordering::Relaxed) {
                    return Err(AwsError::new("AccessDenied", "no"));
                }
                let number = self.given.fetch_add(1, Ordering::Relaxed);
                Ok(SessionKeys {
                    access_key_id: format!("{}-{number}", role.name),
                    secret_access_key: "secret".to_owned(),
                    session_token: "token".to_owned(),
                })
            })
        }
    }

    fn instance(profile: Option<&str>) -> Instance {
        let now = time::macros::datetime!(2026-01-01 00:00:00 UTC);
        let mut instance = testing::instance(&testing::caller(), "i-1", now);
        instance.profile = profile.map(|name| InstanceProfile {
            arn: format!("arn:aws:iam::111111111111:instance-profile/path/{name}"),
            id: "AIPA1".to_owned(),
        });
        instance
    }

    #[tokio::test]
    async fn credentials_are_renewed_before_they_end() {
        let sts = Arc::new(Counting::default());
        let clock: Arc<TestClock> = testing::world().clock;
        let roles = Roles::new(sts.clone(), clock.clone());
        let web = instance(Some("web"));
        let key = async || roles.credentials(&web).await.unwrap().unwrap();
        let first = key().await;
        assert_eq!(first.role, "web-role");
        assert_eq!(first.expires - first.updated, Duration::hours(1));
        clock.advance(Duration::minutes(44));
        assert_eq!(key().await, first);
        clock.advance(Duration::minutes(1));
        let second = key().await;
        assert_eq!(second.access_key_id, "web-role-1");
        assert_eq!(second.expires - clock.now(), Duration::hours(1));

        // What can't be renewed is good to its end.
        sts.fails.store(true, Ordering::Relaxed);
        clock.advance(Duration::minutes(59));
        assert_eq!(key().await, second);
        clock.advance(Duration::minutes(1));
        assert_eq!(
            roles.credentials(&web).await.unwrap_err().code,
            "AccessDenied"
        );
    }

    #[tokio::test]
    async fn credentials_are_of_the_profile_that_the_instance_has() {
        let roles = Roles::new(Arc::new(Counting::default()), testing::world().clock);
        let role = async |profile| {
            let given = roles.credentials(&instance(profile)).await.unwrap();
            given.map(|it| it.role)
        };
        assert_eq!(role(None).await, None);
        assert_eq!(role(Some("bare")).await, None);
        assert_eq!(role(Some("web")).await.unwrap(), "web-role");
        assert_eq!(role(Some("db")).await.unwrap(), "db-role");
        assert_eq!(role(None).await, None);
    }

    #[test]
    fn answers_are_read() {
        let xml = |roles: &str| {
            format!(
                "<GetInstanceProfileResponse><GetInstanceProfileResult><InstanceProfile>\
                 <Arn>arn:p</Arn>{roles}<Tags/></InstanceProfile></GetInstanceProfileResult>\
                 </GetInstanceProfileResponse>"
            )
        };
        let one = "<Roles><member><Path>/</Path><RoleName>r</RoleName><Arn>arn:r</Arn>\
                   <CreateDate>2026-01-01T00:00:00Z</CreateDate></member></Roles>";
        let found = role(&xml(one)).unwrap().unwrap();
        assert_eq!((&*found.arn, &*found.name), ("arn:r", "r"));
        assert_eq!(role(&xml("<Roles/>")).unwrap(), None);
        let given = keys(
            "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>LSIA</AccessKeyId>\
             <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
             <Expiration>2026-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult>\
             </AssumeRoleResponse>",
        );
        assert_eq!(given.unwrap().access_key_id, "LSIA");
        assert!(keys("<html>").is_err());
    }
}

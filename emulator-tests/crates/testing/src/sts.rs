//! IAM and STS.

use async_trait::async_trait;
use emulator_backend::{ProfileNow, Role, SessionKeys, Sts};
use emulator_protocol::{AwsError, Caller};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What [`TestSts`] does when a role is to be taken on.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum StsDoes {
    /// Gives keys with a number: `web-role-0`, `web-role-1`.
    #[default]
    Gives,
    /// Says that the role's trust policy does not allow it.
    Refuses,
    /// Fails.
    Fails,
    /// Never answers.
    Hangs,
}

/// Knows the profiles `web` and `db`, with roles, and `bare`, without one; their ids are `AIPA1`.
pub struct TestSts {
    /// What it does.
    pub does: Mutex<StsDoes>,
    /// The profiles, by name.
    pub profiles: Mutex<BTreeMap<String, ProfileNow>>,
    /// How many keys were given.
    pub given: AtomicU64,
}

impl TestSts {
    /// From now on.
    pub fn does(&self, what: StsDoes) {
        *self.does.lock().unwrap() = what;
    }

    /// Another role for a profile, or none.
    pub fn change(&self, profile: &str, role: Option<&str>) {
        let mut profiles = self.profiles.lock().unwrap();
        profiles.get_mut(profile).unwrap().role = role.map(test_role);
    }
}

fn test_role(name: &str) -> Role {
    Role {
        arn: format!("arn:aws:iam::111111111111:role/{name}"),
        name: name.to_owned(),
    }
}

impl Default for TestSts {
    fn default() -> Self {
        let profile = |name: &str, role: Option<&str>| {
            let now = ProfileNow {
                id: "AIPA1".to_owned(),
                role: role.map(test_role),
            };
            (name.to_owned(), now)
        };
        Self {
            does: Mutex::default(),
            profiles: Mutex::new(BTreeMap::from([
                profile("web", Some("web-role")),
                profile("db", Some("db-role")),
                profile("bare", None),
            ])),
            given: AtomicU64::default(),
        }
    }
}

#[async_trait]
impl Sts for TestSts {
    async fn profile(&self, caller: &Caller, name: &str) -> Result<Option<ProfileNow>, AwsError> {
        assert_eq!(caller.account.as_str(), "111111111111");
        Ok(self.profiles.lock().unwrap().get(name).cloned())
    }

    async fn assume(
        &self,
        caller: &Caller,
        role: &Role,
        session: &str,
        seconds: i64,
    ) -> Result<SessionKeys, AwsError> {
        assert_eq!(caller.account.as_str(), "111111111111");
        assert!(session.starts_with("i-"), "{session}");
        assert_eq!(seconds, 3600);
        let does = *self.does.lock().unwrap();
        match does {
            StsDoes::Gives => {}
            StsDoes::Refuses => {
                let message = "not authorized to perform: sts:AssumeRole";
                return Err(AwsError::new("AccessDenied", message).with_status(403));
            }
            StsDoes::Fails => return Err(AwsError::unavailable("LocalStack: 500")),
            StsDoes::Hangs => std::future::pending().await,
        }
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        Ok(SessionKeys {
            access_key_id: format!("{}-{number}", role.name),
            secret_access_key: "secret".to_owned(),
            session_token: "token".to_owned(),
        })
    }
}

//! Whose access key it is.

use super::memory::Memory;
use emulator_localstack::Upstream;
use emulator_protocol::{AwsError, Caller};
use iam_policy::Asker;

/// Principals by access key.
pub struct Principals {
    known: Memory<String, Asker>,
}

impl Principals {
    pub fn new() -> Self {
        Self {
            known: Memory::new(),
        }
    }

    /// Forgets all: users and roles changed.
    pub fn clear(&self) {
        self.known.clear();
    }

    /// The account's root.
    pub fn root(caller: &Caller) -> Asker {
        Asker {
            account: caller.account.to_string(),
            arn: format!("arn:aws:iam::{}:root", caller.account),
            role: None,
        }
    }

    /// The principal that an access key belongs to: as LocalStack's STS says, which knows the
    /// keys that it gave to users and sessions. Any other key is the account's root's.
    pub async fn find(&self, upstream: &Upstream, caller: &Caller) -> Result<Asker, AwsError> {
        let key = &caller.access_key;
        let plain = key == caller.account.as_str()
            || !key.starts_with(['A', 'L'])
            || !key.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if plain {
            return Ok(Self::root(caller));
        }
        let asked = match self.known.get(key) {
            Ok(asker) => return Ok(asker),
            Err(asked) => asked,
        };
        let arn = upstream.caller_arn(caller).await?;
        let asker = match arn {
            Some(arn) if arn.contains(&format!("::{}:", caller.account)) => Asker {
                account: caller.account.to_string(),
                role: role_of(&arn),
                arn,
            },
            _ => Self::root(caller),
        };
        self.known.put(asked, key.clone(), asker.clone());
        Ok(asker)
    }
}

/// `arn:aws:sts::A:assumed-role/R/SESSION` is a session of `arn:aws:iam::A:role/R`.
fn role_of(arn: &str) -> Option<String> {
    let (account, rest) = arn
        .strip_prefix("arn:aws:sts::")?
        .split_once(":assumed-role/")?;
    let (role, _session) = rest.split_once('/')?;
    Some(format!("arn:aws:iam::{account}:role/{role}"))
}

#[cfg(test)]
mod tests {
    use super::role_of;

    #[test]
    fn sessions_are_of_roles() {
        assert_eq!(
            role_of("arn:aws:sts::111111111111:assumed-role/r/s").as_deref(),
            Some("arn:aws:iam::111111111111:role/r")
        );
        assert_eq!(role_of("arn:aws:iam::111111111111:user/u"), None);
    }
}

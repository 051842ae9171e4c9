//! What is known of a bucket.

use emulator_localstack::Upstream;
use emulator_protocol::{Account, AwsError, Caller, Region};
use iam_policy::Policy;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// A bucket, as far as requests are judged by it.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Whose it is; `None` if it is of an account that never called.
    pub owner: Option<Account>,
    /// Where it is.
    pub region: Option<Region>,
    /// Its policy.
    pub policy: Option<Policy>,
    /// Whether its policy lets in whoever comes.
    pub public: bool,
    /// The key that objects are encrypted with where a request says nothing of encryption.
    pub default_key: Option<String>,
    /// Its public access block.
    pub block: AccessBlock,
    /// Whether ACLs are off: the owner owns everything.
    pub enforced: bool,
}

/// The part of a public access block that is about policies.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccessBlock {
    /// `BlockPublicPolicy`.
    pub policy: bool,
    /// `RestrictPublicBuckets`.
    pub restrict: bool,
}

/// Most accounts that are asked whether a bucket is theirs.
const MOST_ACCOUNTS: usize = 64;

/// The accounts that called.
#[derive(Default)]
pub struct Accounts(Mutex<BTreeSet<Account>>);

impl Accounts {
    /// One called.
    pub fn saw(&self, account: &Account) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() < MOST_ACCOUNTS && !seen.contains(account) {
            seen.insert(account.clone());
        }
    }

    fn all(&self) -> Vec<Account> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().cloned().collect()
    }
}

/// Whether a text can be a bucket's name, and stand in a path as it is.
pub fn is_name(name: &str) -> bool {
    (3..=255).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

/// Asks LocalStack; `None` if there is no such bucket.
pub async fn ask(
    upstream: &Upstream,
    caller: &Caller,
    accounts: &Accounts,
    expected: Option<&Account>,
    name: &str,
) -> Result<Option<Bucket>, AwsError> {
    let Some(found) = upstream.bucket(caller, name).await? else {
        return Ok(None);
    };
    let policy = match found.policy {
        None => None,
        Some(text) => Some(iam_policy::parse(&text).map_err(|error| {
            AwsError::unavailable(format!(
                "LocalStack has a policy of bucket {name} that can't be read: {error}"
            ))
        })?),
    };
    Ok(Some(Bucket {
        owner: owner(upstream, caller, accounts, expected, name).await?,
        region: found.region,
        public: policy.as_ref().is_some_and(iam_policy::is_public),
        policy,
        default_key: found.default_key,
        block: AccessBlock {
            policy: found.block_public_policy,
            restrict: found.restrict_public_buckets,
        },
        enforced: found.owner_enforced,
    }))
}

/// The account that a bucket is of, among those that may be.
async fn owner(
    upstream: &Upstream,
    caller: &Caller,
    accounts: &Accounts,
    expected: Option<&Account>,
    name: &str,
) -> Result<Option<Account>, AwsError> {
    let mut asked = BTreeSet::new();
    let likely = [&caller.account].into_iter().chain(expected).cloned();
    for account in likely.chain(accounts.all()) {
        if !asked.insert(account.clone()) {
            continue;
        }
        let as_account = Caller {
            account: account.clone(),
            ..caller.clone()
        };
        if upstream.owns_bucket(&as_account, name).await? {
            return Ok(Some(account));
        }
    }
    Ok(None)
}

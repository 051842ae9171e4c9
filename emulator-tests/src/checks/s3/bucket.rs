//! What is known of a bucket.

use crate::aws::{Account, AwsError, Caller, Region, xml_text};
use crate::checks::policy::{self, Policy};
use crate::localstack::Upstream;
use bytes::Bytes;
use http::StatusCode;
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
    let get = async |what: &'static str| {
        let uri = format!("/{name}?{what}");
        upstream.look(caller, "s3", &uri).await
    };
    let (location, policy, encryption, block, ownership) = tokio::try_join!(
        get("location"),
        get("policy"),
        get("encryption"),
        get("publicAccessBlock"),
        get("ownershipControls"),
    )?;
    let Some(location) = found(location, "location")? else {
        return Ok(None);
    };
    let policy = match found(policy, "policy")? {
        None => None,
        Some(text) => Some(policy::parse(&text).map_err(|error| {
            AwsError::unavailable(format!(
                "LocalStack has a policy of bucket {name} that can't be read: {error}"
            ))
        })?),
    };
    let region = match xml_text::text(&location, "LocationConstraint").as_deref() {
        None | Some("") => Region::parse("us-east-1"),
        Some("EU") => Region::parse("eu-west-1"),
        Some(region) => Region::parse(region),
    };
    let yes = |body: &[u8], name| xml_text::text(body, name).as_deref() == Some("true");
    let block = found(block, "publicAccessBlock")?.unwrap_or_default();
    let encryption = found(encryption, "encryption")?.unwrap_or_default();
    let ownership = found(ownership, "ownershipControls")?.unwrap_or_default();
    Ok(Some(Bucket {
        owner: owner(upstream, caller, accounts, expected, name).await?,
        region,
        public: policy.as_ref().is_some_and(policy::is_public),
        policy,
        default_key: xml_text::text(&encryption, "KMSMasterKeyID").filter(|key| !key.is_empty()),
        block: AccessBlock {
            policy: yes(&block, "BlockPublicPolicy"),
            restrict: yes(&block, "RestrictPublicBuckets"),
        },
        enforced: xml_text::text(&ownership, "ObjectOwnership").as_deref()
            == Some("BucketOwnerEnforced"),
    }))
}

/// An answer's body; `None` if there is no such thing.
fn found((status, body): (StatusCode, Bytes), what: &str) -> Result<Option<Bytes>, AwsError> {
    if status.is_success() {
        return Ok(Some(body));
    }
    if status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    Err(AwsError::unavailable(format!(
        "LocalStack answers {status} when asked for a bucket's {what}"
    )))
}

/// The account that a bucket is of. LocalStack tells all accounts of every bucket and gives all of
/// them one canonical id, but lists to each its own.
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
        let uri = format!("/?prefix={name}&max-buckets=1");
        let (status, body) = upstream.look(&as_account, "s3", &uri).await?;
        if status.is_success() && xml_text::texts(&body, "Name").iter().any(|it| it == name) {
            return Ok(Some(account));
        }
    }
    Ok(None)
}

//! Which key something new is encrypted with: what the request says, else what the account set.

use crate::services::Services;
use emulator_backend::{KeyFault, usable_key};
use emulator_protocol::{AwsError, Caller};
use emulator_state::world::{Settings, Snapshot};

/// The key that EBS uses where none is named: AWS's own, per account and region.
pub const DEFAULT_KEY: &str = "alias/aws/ebs";

/// The ARN of the key for something new of the caller's, or `None` if it stays plain.
///
/// `encrypted` and `key` are what the request says. Encryption by default of the account counts
/// where `encrypted` is not said or false, as on EC2.
///
/// # Errors
/// The key can't be used.
pub async fn choose(
    services: &Services,
    caller: &Caller,
    encrypted: Option<bool>,
    key: Option<&str>,
) -> Result<Option<String>, KeyFault> {
    let settings = services.store.read(|world| {
        world
            .settings
            .get(&Settings::id_of(&caller.account, &caller.region))
            .cloned()
    });
    let by_default = settings.as_ref().is_some_and(|it| it.encrypt_by_default);
    if !by_default && encrypted != Some(true) {
        return Ok(None);
    }
    let default = settings.and_then(|it| it.default_key);
    let id = key.or(default.as_deref()).unwrap_or(DEFAULT_KEY);
    usable_key(&*services.keys, caller, id).await.map(Some)
}

/// The ARN of a snapshot's key, if it can decrypt now; `None` if the snapshot is plain.
///
/// # Errors
/// The key can't be used.
pub async fn of_snapshot(
    services: &Services,
    snapshot: &Snapshot,
) -> Result<Option<String>, KeyFault> {
    let Some(key) = &snapshot.kms_key else {
        return Ok(None);
    };
    usable_key(&*services.keys, &owner(snapshot), key)
        .await
        .map(Some)
}

/// Whether a snapshot is encrypted with AWS's own key, which no other account can be let use.
///
/// # Errors
/// KMS could not be asked.
pub async fn has_aws_key(services: &Services, snapshot: &Snapshot) -> Result<bool, AwsError> {
    let Some(key) = &snapshot.kms_key else {
        return Ok(false);
    };
    let aws = services.keys.find(&owner(snapshot), DEFAULT_KEY).await?;
    Ok(aws.is_some_and(|aws| aws.arn == *key))
}

/// Who asks about a snapshot's key: its owner, where it is.
fn owner(snapshot: &Snapshot) -> Caller {
    Caller {
        account: snapshot.owner.clone(),
        region: snapshot.region.clone(),
        // An account's number is an access key of its own.
        access_key: snapshot.owner.as_str().to_owned(),
        secure: true,
    }
}

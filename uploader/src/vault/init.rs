//! Looks at a vault, and makes it as it should be.

use super::desired::{Keys, desired};
use super::drift::{Change, Drift, changes, drift};
use super::parts::{bucket, keys, queues, role};
use super::{Names, Part, Setting, Settings, State, Vault, VaultError};
use crate::aws::{AwsError, Kind};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How a vault should be, how it is, and which keys it has.
#[derive(Clone, Debug)]
pub struct Inspection {
    wanted: State,
    found: State,
    keys: Keys,
    /// All that is not as it should be.
    pub drifts: Vec<Drift>,
}

/// Looks at a vault. `key` is what `--kms-key` says.
///
/// # Errors
/// AWS refuses, or there is no such key.
pub async fn inspect(vault: &Vault, key: Option<&str>) -> Result<Inspection, VaultError> {
    let keys = async {
        let mut state = State::default();
        let keys = keys::inspect(vault, key, &mut state).await?;
        Ok((keys, state))
    };
    let ((keys, mut found), bucket, dead, queue, role, profile) = tokio::try_join!(
        keys,
        bucket::inspect(vault),
        queues::inspect(vault, Part::DeadLetterQueue),
        queues::inspect(vault, Part::Queue),
        role::inspect_role(vault),
        role::inspect_profile(vault),
    )?;
    for (part, settings) in [
        (Part::Bucket, bucket),
        (Part::DeadLetterQueue, dead),
        (Part::Queue, queue),
        (Part::Role, role),
        (Part::InstanceProfile, profile),
    ] {
        if let Some(settings) = settings {
            found.put(part, settings);
        }
    }
    let wanted = desired(&vault.names, &keys);
    let drifts = drift(&vault.names, &wanted, &found);
    Ok(Inspection {
        wanted,
        found,
        keys,
        drifts,
    })
}

impl Inspection {
    /// Whether none of the vault's parts is there.
    pub fn is_nothing_there(&self) -> bool {
        self.found.parts().next().is_none()
    }

    /// The ARN of the key that encrypts, if it is there.
    pub fn encryption_key(&self) -> Option<&str> {
        self.found.get(Part::EncryptionKey)?;
        Some(&self.keys.arns.encryption)
    }

    /// What init would do, in its order. ARNs of keys that are not there yet are placeholders.
    ///
    /// # Errors
    /// Something is in the way.
    pub fn changes(&self) -> Result<Vec<Change>, VaultError> {
        changes(&self.wanted, &self.drifts).map_err(VaultError::Obstacles)
    }
}

/// Makes a vault as it should be, and tells of each change before it is made; gives how many there
/// were. Interrupted, the change at hand is finished, and another `init` goes on from there.
///
/// # Errors
/// Something is in the way (then nothing was changed), AWS refuses, or `cancel`.
pub async fn init(
    vault: &Vault,
    mut inspection: Inspection,
    tell: &(dyn Fn(&Change) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<usize, VaultError> {
    let mut executor = Executor {
        vault,
        made: BTreeMap::new(),
    };
    // Keys first: the rest names them, and they get their names from KMS. KMS may not know at once
    // what it has just made, so it is not asked again.
    let mut count = 0;
    let mut done = |change: &Change| {
        count += 1;
        tell(change);
    };
    for change in inspection.changes()? {
        if change.part().is_key() {
            check(cancel)?;
            done(&change);
            executor.make(&inspection, &change).await?;
        }
    }
    let arns = &mut inspection.keys.arns;
    for (part, arn) in &executor.made {
        match part {
            Part::SigningKey => arns.signing.clone_from(arn),
            _ => arns.encryption.clone_from(arn),
        }
    }
    inspection.wanted = desired(&vault.names, &inspection.keys);
    for part in [Part::EncryptionKey, Part::SigningKey] {
        let settings = inspection.wanted.get(part).cloned().unwrap_or_default();
        inspection.found.put(part, settings);
    }
    inspection.drifts = drift(&vault.names, &inspection.wanted, &inspection.found);
    for change in inspection.changes()? {
        check(cancel)?;
        done(&change);
        executor.make(&inspection, &change).await?;
    }
    Ok(count)
}

fn check(cancel: &CancellationToken) -> Result<(), VaultError> {
    if cancel.is_cancelled() {
        return Err(VaultError::Cancelled);
    }
    Ok(())
}

/// Makes changes.
struct Executor<'a> {
    vault: &'a Vault,
    /// The keys that were made.
    made: BTreeMap<Part, String>,
}

impl Executor<'_> {
    /// Makes one. What was made a moment ago may not be known everywhere yet, for some seconds.
    async fn make(&mut self, inspection: &Inspection, change: &Change) -> Result<(), VaultError> {
        const ATTEMPTS: u32 = 10;
        let mut attempt = 1;
        loop {
            let result = match change {
                Change::Create(part) => {
                    let settings = inspection.wanted.get(*part).cloned().unwrap_or_default();
                    self.create(*part, &settings).await
                }
                Change::Set(part, setting, value) => {
                    self.set(inspection, *part, *setting, value).await
                }
            };
            match result {
                Err(VaultError::Aws(error)) if attempt < ATTEMPTS && is_too_early(&error) => {
                    attempt += 1;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                result => return result,
            }
        }
    }

    async fn create(&mut self, part: Part, settings: &Settings) -> Result<(), VaultError> {
        let vault = self.vault;
        match part {
            Part::EncryptionKey | Part::SigningKey => {
                let arn = keys::create(vault, part, settings).await?;
                self.made.insert(part, arn);
                Ok(())
            }
            Part::Bucket => bucket::create(vault).await,
            Part::DeadLetterQueue | Part::Queue => queues::create(vault, part, settings).await,
            Part::Role => role::create_role(vault, settings).await,
            Part::InstanceProfile => role::create_profile(vault, settings).await,
        }
    }

    async fn set(
        &self,
        inspection: &Inspection,
        part: Part,
        setting: Setting,
        value: &Value,
    ) -> Result<(), VaultError> {
        let vault = self.vault;
        match part {
            Part::EncryptionKey | Part::SigningKey => {
                let arns = &inspection.keys.arns;
                let known = match part {
                    Part::SigningKey => &arns.signing,
                    _ => &arns.encryption,
                };
                let arn = self.made.get(&part).unwrap_or(known);
                keys::set(&vault.session, arn, setting, value).await
            }
            Part::Bucket => bucket::set(vault, setting, value).await,
            Part::DeadLetterQueue | Part::Queue => queues::set(vault, part, setting, value).await,
            Part::Role => role::set_role(vault, setting, value).await,
            Part::InstanceProfile => role::set_profile(vault, setting, value).await,
        }
    }
}

/// Whether AWS does not know yet what it has just made.
fn is_too_early(error: &AwsError) -> bool {
    error.kind == Kind::NotFound || error.code == "OperationAborted"
}

/// What `vault status` and `vault init` print as JSON.
pub fn to_json(names: &Names, inspection: &Inspection) -> Value {
    json!({
        "vault": names.vault,
        "account": names.account,
        "region": names.region,
        "bucket": names.bucket(),
        "queue": names.queue(),
        "dead-letter-queue": names.dead_letter_queue(),
        "role": names.role(),
        "kms-key": inspection.encryption_key(),
        "drift": inspection.drifts,
    })
}

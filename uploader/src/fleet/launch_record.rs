//! The launch record, `converter/launch.json`: by it callers agree on who launches.
//!
//! It is written on condition only (`If-None-Match`, `If-Match`). Who raises the generation may
//! launch; who finds that its writer did nothing with it takes the same generation over, whose number
//! is part of the call's client token: EC2 then gives both the same instance. Nothing in it says what
//! is launched: whoever may write to the bucket can't make a caller launch anything else.

use crate::aws::{AwsError, Condition};
use crate::vault::{Names, SMALL_OBJECT, Vault};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

const KEY: &str = "converter/launch.json";
/// Version of the format.
const VERSION: u32 = 1;

/// Who launches, or has launched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchRecord {
    /// Version of this format: 1.
    pub version: u32,
    /// Counts launches.
    pub generation: u64,
    /// When somebody set out to launch, or had launched. The epoch: they gave up.
    #[serde(with = "time::serde::rfc3339")]
    pub claimed: OffsetDateTime,
    /// The instance, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// A record, and the version that the next write replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLaunch {
    /// The record.
    pub record: LaunchRecord,
    /// S3's ETag of it.
    pub etag: String,
}

impl LaunchRecord {
    /// The next launch's.
    pub fn next(before: Option<&StoredLaunch>, now: OffsetDateTime) -> LaunchRecord {
        LaunchRecord {
            version: VERSION,
            generation: before
                .map_or(0, |it| it.record.generation)
                .saturating_add(1),
            claimed: whole(now),
            instance: None,
        }
    }

    /// The same launch, by somebody else.
    pub fn taken_over(&self, now: OffsetDateTime) -> LaunchRecord {
        LaunchRecord {
            claimed: whole(now),
            instance: None,
            ..self.clone()
        }
    }

    /// The same, by nobody any more.
    pub fn given_up(&self) -> LaunchRecord {
        LaunchRecord {
            claimed: OffsetDateTime::UNIX_EPOCH,
            ..self.clone()
        }
    }

    /// The same, with its instance. From now on it counts, not from when somebody set out: EC2 may
    /// not list it yet.
    pub fn launched(&self, instance: &str, now: OffsetDateTime) -> LaunchRecord {
        LaunchRecord {
            claimed: whole(now),
            instance: Some(instance.to_owned()),
            ..self.clone()
        }
    }
}

fn whole(now: OffsetDateTime) -> OffsetDateTime {
    now.replace_nanosecond(0).unwrap_or(now)
}

/// The client token of a generation's call: with the same parameters it is the same, whoever calls,
/// and with others another, because EC2 refuses one token for two things.
pub fn client_token(names: &Names, generation: u64, parameters: &[&str]) -> String {
    let mut digest = Sha256::new();
    digest.update(names.bucket());
    digest.update(generation.to_le_bytes());
    for it in parameters {
        digest.update((it.len() as u64).to_le_bytes());
        digest.update(it);
    }
    // 64 characters, which is the most there can be.
    hex::encode(digest.finalize())
}

/// The vault's launch record, if there ever was one. What can't be read is replaced.
///
/// # Errors
/// S3 refuses.
pub async fn read(vault: &Vault) -> Result<Option<StoredLaunch>, AwsError> {
    let Some(object) = vault.bucket().get(KEY, SMALL_OBJECT).await? else {
        return Ok(None);
    };
    let record: Option<LaunchRecord> = serde_json::from_slice(&object.body.or_empty()).ok();
    let record = record.filter(|it| it.version == VERSION);
    let record = record.unwrap_or(LaunchRecord {
        version: VERSION,
        // No other generation has this number: a token is never used twice.
        generation: object.written.unix_timestamp().max(0).cast_unsigned(),
        claimed: OffsetDateTime::UNIX_EPOCH,
        instance: None,
    });
    Ok(Some(StoredLaunch {
        record,
        etag: object.etag,
    }))
}

/// Writes the record in the place of the one with this ETag, or where there is none; `None` if it
/// was changed meanwhile.
///
/// # Errors
/// S3 refuses.
pub async fn write(
    vault: &Vault,
    record: &LaunchRecord,
    replaces: Option<String>,
) -> Result<Option<String>, AwsError> {
    let text = serde_json::to_vec(record).unwrap_or_default();
    let condition = Condition::unchanged(replaces);
    vault.bucket().put_json(KEY, text, None, condition).await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_one_generation_of_one_vault_and_one_set_of_parameters() {
        let names = |vault| Names::new(vault, "111111111111", "eu-west-1", "aws").unwrap();
        let one = client_token(&names("image-vault"), 1, &["ami-1", "t2.micro"]);
        assert_eq!(one.len(), 64);
        assert_eq!(
            one,
            client_token(&names("image-vault"), 1, &["ami-1", "t2.micro"])
        );
        for other in [
            client_token(&names("image-vault"), 2, &["ami-1", "t2.micro"]),
            client_token(&names("image-vault"), 1, &["ami-1", "t3.micro"]),
            client_token(&names("image-vault"), 1, &["ami-1t2.micro"]),
            client_token(&names("other-vault"), 1, &["ami-1", "t2.micro"]),
        ] {
            assert_ne!(one, other);
        }
    }
}

//! Records in the vault: read whole and bounded, written on condition.

use super::record::{MAX_RECORD, Progress, Record, Stored};
use crate::Class;
use crate::aws::{AwsError, Body, Condition};
use crate::vault::{Names, Vault};
use uuid::Uuid;

/// Most objects that are listed: a record and its progress are two.
const MAX_OBJECTS: usize = 200_000;

/// A record can't be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It is none.
    #[error("s3://{bucket}/{key} is not a request's record: {why}")]
    Broken {
        /// The bucket.
        bucket: String,
        /// The object.
        key: String,
        /// What is wrong.
        why: String,
    },
    /// S3 refuses.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl JournalError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            JournalError::Broken { .. } => Class::Failed,
            JournalError::Aws(error) => error.class(),
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            JournalError::Broken { .. } => None,
            JournalError::Aws(error) if error.code == "NoSuchBucket" => {
                Some("uploader vault init makes the vault".to_owned())
            }
            JournalError::Aws(error) => error.hint(),
        }
    }
}

/// A request's record, if there is one.
///
/// # Errors
/// It is broken, or S3 refuses.
pub async fn read(vault: &Vault, id: &Uuid) -> Result<Option<Stored>, JournalError> {
    let key = Names::request_key(&id.to_string());
    let Some((text, etag)) = fetch(vault, &key).await? else {
        return Ok(None);
    };
    let record = Record::parse(&text, id).map_err(|why| JournalError::Broken {
        bucket: vault.names.bucket(),
        key,
        why,
    })?;
    Ok(Some(Stored { record, etag }))
}

/// How many blocks of a request are put, if somebody said so.
///
/// # Errors
/// S3 refuses.
pub async fn progress(vault: &Vault, id: &Uuid) -> Result<Option<Progress>, JournalError> {
    let found = fetch(vault, &progress_key(id)).await?;
    // It is only a help: what can't be read says nothing.
    Ok(found.and_then(|(text, _)| serde_json::from_slice(&text).ok()))
}

/// Ids of all requests with a record, the last written first.
///
/// # Errors
/// S3 refuses.
pub async fn list(vault: &Vault) -> Result<Vec<Uuid>, AwsError> {
    let objects = vault.bucket().list("requests/", MAX_OBJECTS).await?;
    let mut found: Vec<_> = objects
        .iter()
        .filter_map(|object| Some((object.written, parse_key(&object.key)?)))
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found.into_iter().map(|(_, id)| id).collect())
}

/// `requests/ID.json`
fn parse_key(key: &str) -> Option<Uuid> {
    let id = key.strip_prefix("requests/")?.strip_suffix(".json")?;
    Uuid::try_parse(id).ok().filter(|it| it.to_string() == id)
}

fn progress_key(id: &Uuid) -> String {
    format!("requests/{id}.progress.json")
}

/// What came of a write on condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The record is there, and has this ETag.
    Done(String),
    /// Somebody else wrote it first, or S3 did not say what it has now: it is to be read again.
    Lost,
}

/// Writes a record in the place of the one with this ETag, or where there is none.
pub(super) async fn write(
    vault: &Vault,
    vault_key: &str,
    record: &Record,
    replaces: Option<String>,
) -> Result<Written, AwsError> {
    let text =
        serde_json::to_vec(record).map_err(|error| AwsError::unsent("s3 PutObject", &error))?;
    let key = Names::request_key(&record.id.to_string());
    let condition = Condition::unchanged(replaces);
    let etag = vault
        .bucket()
        .put_json(&key, text, Some(vault_key), condition)
        .await?;
    Ok(etag.map_or(Written::Lost, Written::Done))
}

/// Writes down how many blocks are put, for whoever looks.
pub(super) async fn tell(vault: &Vault, vault_key: &str, id: &Uuid, progress: &Progress) {
    let Ok(text) = serde_json::to_vec(progress) else {
        return;
    };
    let written = vault
        .bucket()
        .put_json(&progress_key(id), text, Some(vault_key), Condition::Always)
        .await;
    if let Err(error) = written {
        tracing::debug!(%error, "progress is not told");
    }
}

/// An object's bytes and ETag.
async fn fetch(vault: &Vault, key: &str) -> Result<Option<(Vec<u8>, String)>, JournalError> {
    let object = vault.bucket().get(key, MAX_RECORD as u64).await;
    // A connection that broke is no broken record.
    let Some(object) = object.map_err(AwsError::from)? else {
        return Ok(None);
    };
    match object.body {
        Body::Whole(text) => Ok(Some((text, object.etag))),
        Body::TooLong(_) => Err(JournalError::Broken {
            bucket: vault.names.bucket(),
            key: key.to_owned(),
            why: format!("it is longer than {MAX_RECORD} bytes"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_records_are_listed() {
        let id = "07070707-0707-4707-8707-070707070707";
        assert!(parse_key(&format!("requests/{id}.json")).is_some());
        for other in [
            format!("requests/{id}.progress.json"),
            format!("requests/{}.json", id.replace('-', "")),
            format!("requests/../{id}.json"),
            "requests/.json".to_owned(),
        ] {
            assert!(parse_key(&other).is_none(), "{other}");
        }
    }
}

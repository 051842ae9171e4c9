//! Records in the vault: read whole and bounded, written on condition.

use super::record::{MAX_RECORD, Progress, Record, Stored};
use crate::Class;
use crate::aws::{AwsError, Kind, Session};
use crate::vault::Names;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ServerSideEncryption;
use uuid::Uuid;

/// Most records that are listed.
const MAX_RECORDS: usize = 100_000;

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
pub async fn read(
    session: &Session,
    names: &Names,
    id: &Uuid,
) -> Result<Option<Stored>, JournalError> {
    let key = Names::request_key(&id.to_string());
    let Some((text, etag)) = fetch(session, names, &key).await? else {
        return Ok(None);
    };
    let record = Record::parse(&text, id).map_err(|why| JournalError::Broken {
        bucket: names.bucket(),
        key,
        why,
    })?;
    Ok(Some(Stored { record, etag }))
}

/// How many blocks of a request are put, if somebody said so.
///
/// # Errors
/// S3 refuses.
pub async fn progress(
    session: &Session,
    names: &Names,
    id: &Uuid,
) -> Result<Option<Progress>, JournalError> {
    let found = fetch(session, names, &progress_key(id)).await?;
    // It is only a help: what can't be read says nothing.
    Ok(found.and_then(|(text, _)| serde_json::from_slice(&text).ok()))
}

/// Ids of all requests with a record, the last written first.
///
/// # Errors
/// S3 refuses.
pub async fn list(session: &Session, names: &Names) -> Result<Vec<Uuid>, AwsError> {
    let mut pages = session
        .s3
        .list_objects_v2()
        .bucket(names.bucket())
        .prefix("requests/")
        .expected_bucket_owner(&names.account)
        .into_paginator()
        .send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page =
            page.map_err(|error| AwsError::new("s3 ListObjectsV2", error).about(&names.bucket()))?;
        for object in page.contents() {
            let id = object.key().and_then(parse_key);
            let written = object.last_modified().map_or(0, |it| it.secs());
            found.extend(id.map(|id| (written, id)));
        }
        if found.len() > MAX_RECORDS {
            break;
        }
    }
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
    session: &Session,
    names: &Names,
    vault_key: &str,
    record: &Record,
    replaces: Option<String>,
) -> Result<Written, AwsError> {
    const OPERATION: &str = "s3 PutObject";
    let text = serde_json::to_vec(record).map_err(|error| AwsError::unsent(OPERATION, &error))?;
    let call = session
        .s3
        .put_object()
        .bucket(names.bucket())
        .key(Names::request_key(&record.id.to_string()))
        .expected_bucket_owner(&names.account)
        .server_side_encryption(ServerSideEncryption::AwsKms)
        .ssekms_key_id(vault_key)
        .content_type("application/json")
        .body(ByteStream::from(text));
    let call = match replaces {
        Some(etag) => call.if_match(etag),
        None => call.if_none_match("*"),
    };
    let answer = call
        .send()
        .await
        .map_err(|error| AwsError::new(OPERATION, error).about(&names.bucket()));
    match answer {
        Ok(answer) => Ok(answer.e_tag.map_or(Written::Lost, Written::Done)),
        // With If-Match, "no such key" says that it was deleted meanwhile.
        Err(error) if error.kind == Kind::Conflict || error.code == "NoSuchKey" => {
            Ok(Written::Lost)
        }
        Err(error) => Err(error),
    }
}

/// Writes down how many blocks are put, for whoever looks.
pub(super) async fn tell(
    session: &Session,
    names: &Names,
    vault_key: &str,
    id: &Uuid,
    progress: &Progress,
) {
    let Ok(text) = serde_json::to_vec(progress) else {
        return;
    };
    let written = session
        .s3
        .put_object()
        .bucket(names.bucket())
        .key(progress_key(id))
        .expected_bucket_owner(&names.account)
        .server_side_encryption(ServerSideEncryption::AwsKms)
        .ssekms_key_id(vault_key)
        .content_type("application/json")
        .body(ByteStream::from(text))
        .send()
        .await;
    if let Err(error) = written {
        let error = AwsError::new("s3 PutObject", error);
        tracing::debug!(%error, "progress is not told");
    }
}

/// An object's bytes and ETag.
async fn fetch(
    session: &Session,
    names: &Names,
    key: &str,
) -> Result<Option<(Vec<u8>, String)>, JournalError> {
    let answer = session
        .s3
        .get_object()
        .bucket(names.bucket())
        .key(key)
        .expected_bucket_owner(&names.account)
        .send()
        .await
        .map_err(|error| AwsError::new("s3 GetObject", error).about(&names.bucket()));
    let answer = match answer {
        Err(error) if error.code == "NoSuchKey" => return Ok(None),
        answer => answer?,
    };
    let broken = |why: String| JournalError::Broken {
        bucket: names.bucket(),
        key: key.to_owned(),
        why,
    };
    let etag = answer.e_tag.unwrap_or_default();
    let mut body = answer.body;
    let mut text = Vec::new();
    while let Some(piece) = body.next().await {
        // The connection broke, and not the record.
        let piece = piece.map_err(|error| AwsError {
            operation: "s3 GetObject",
            kind: Kind::Unavailable,
            code: String::new(),
            message: error.to_string(),
        })?;
        text.extend_from_slice(&piece);
        if text.len() > MAX_RECORD {
            return Err(broken(format!("it is longer than {MAX_RECORD} bytes")));
        }
    }
    Ok(Some((text, etag)))
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

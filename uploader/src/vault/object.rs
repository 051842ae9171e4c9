//! Small objects in the vault by which agents and callers know of each other.

use crate::aws::{AwsError, Kind, Session};
use crate::vault::Names;
use aws_sdk_s3::primitives::ByteStream;
use time::OffsetDateTime;

/// Most bytes of one: what is longer was not written by these programs.
const MAX_LEN: usize = 16 << 10;

/// An object as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    /// Its bytes; empty if there are more than it may have.
    pub(crate) text: Vec<u8>,
    /// S3's ETag of it.
    pub(crate) etag: String,
    /// When it was written, by S3's clock.
    pub(crate) written: OffsetDateTime,
}

/// On which condition an object is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum If {
    /// There is none of this key.
    Missing,
    /// It is the one with this ETag.
    Is(String),
}

impl If {
    /// The one that was read, or none if there was none.
    pub(crate) fn as_read(etag: Option<String>) -> If {
        etag.map_or(If::Missing, If::Is)
    }
}

/// Reads one.
pub(crate) async fn get(
    session: &Session,
    names: &Names,
    key: &str,
) -> Result<Option<Object>, AwsError> {
    const OPERATION: &str = "s3 GetObject";
    let answer = session
        .s3
        .get_object()
        .bucket(names.bucket())
        .key(key)
        .expected_bucket_owner(&names.account)
        .send()
        .await
        .map_err(|error| AwsError::new(OPERATION, error));
    let answer = match answer {
        Err(error) if error.code == "NoSuchKey" => return Ok(None),
        answer => answer?,
    };
    let written = answer
        .last_modified()
        .and_then(|it| OffsetDateTime::from_unix_timestamp(it.secs()).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let etag = answer.e_tag.unwrap_or_default();
    let mut body = answer.body;
    let mut text = Vec::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| AwsError {
            operation: OPERATION,
            kind: Kind::Unavailable,
            code: String::new(),
            message: error.to_string(),
        })?;
        text.extend_from_slice(&piece);
        if text.len() > MAX_LEN {
            text.clear();
            break;
        }
    }
    Ok(Some(Object {
        text,
        etag,
        written,
    }))
}

/// Writes one, on a condition: gives its ETag, or `None` if the condition does not hold. What it is
/// encrypted with is the bucket's own setting.
pub(crate) async fn put(
    session: &Session,
    names: &Names,
    key: &str,
    text: Vec<u8>,
    condition: If,
) -> Result<Option<String>, AwsError> {
    let call = session
        .s3
        .put_object()
        .bucket(names.bucket())
        .key(key)
        .expected_bucket_owner(&names.account)
        .content_type("application/json")
        .body(ByteStream::from(text));
    let call = match condition {
        If::Missing => call.if_none_match("*"),
        If::Is(etag) => call.if_match(etag),
    };
    let answer = call
        .send()
        .await
        .map_err(|error| AwsError::new("s3 PutObject", error));
    match answer {
        Ok(answer) => Ok(Some(answer.e_tag.unwrap_or_default())),
        // With If-Match, "no such key" says that it was deleted meanwhile.
        Err(error) if error.kind == Kind::Conflict || error.code == "NoSuchKey" => Ok(None),
        Err(error) => Err(error),
    }
}

/// Deletes one; it is no error if it is gone already.
pub(crate) async fn delete(session: &Session, names: &Names, key: &str) -> Result<(), AwsError> {
    session
        .s3
        .delete_object()
        .bucket(names.bucket())
        .key(key)
        .expected_bucket_owner(&names.account)
        .send()
        .await
        .map_err(|error| AwsError::new("s3 DeleteObject", error))?;
    Ok(())
}

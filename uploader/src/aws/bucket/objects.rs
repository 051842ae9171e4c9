//! What is done with small objects everywhere: read with a bound, written on a condition, listed, deleted.

use super::Bucket;
use crate::aws::{AwsError, Kind};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, ServerSideEncryption};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::error::Error;
use time::OffsetDateTime;

/// An object as it was read.
#[derive(Clone, Debug)]
pub struct Object {
    /// What is in it.
    pub body: Body,
    /// S3's ETag of it, which a [`Condition`] can name.
    pub etag: String,
    /// When it was written, by S3's clock.
    pub written: OffsetDateTime,
}

/// An object's bytes, as far as they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// All of them.
    Whole(Vec<u8>),
    /// It is longer than the reader allowed: at least so many bytes.
    TooLong(u64),
}

impl Body {
    /// The bytes; none of a body that is too long to be what the reader looked for.
    pub fn or_empty(self) -> Vec<u8> {
        match self {
            Body::Whole(bytes) => bytes,
            Body::TooLong(_) => Vec::new(),
        }
    }
}

/// An object can't be read.
#[derive(Debug)]
pub enum GetError {
    /// S3 refuses.
    Aws(AwsError),
    /// The connection broke in the middle of the object.
    Broken(std::io::Error),
}

impl From<GetError> for AwsError {
    fn from(error: GetError) -> AwsError {
        match error {
            GetError::Aws(error) => error,
            GetError::Broken(error) => AwsError {
                operation: "s3 GetObject",
                kind: Kind::Unavailable,
                code: String::new(),
                message: error.to_string(),
            },
        }
    }
}

/// On which condition an object is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Whatever is there.
    Always,
    /// There is none of this key.
    Missing,
    /// It is the one with this ETag.
    Matches(String),
}

impl Condition {
    /// Nobody wrote since it was read: with this ETag, or without one if there was none.
    pub fn unchanged(etag: Option<String>) -> Condition {
        etag.map_or(Condition::Missing, Condition::Matches)
    }
}

/// What S3 says of an object without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its length, in bytes.
    pub len: u64,
    /// Its SHA-256 in S3's spelling, if it was given one.
    pub checksum: Option<String>,
}

/// An object of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Its key.
    pub key: String,
    /// Its length, in bytes.
    pub size: u64,
    /// When it was written.
    pub written: OffsetDateTime,
}

impl Bucket {
    /// The object at `key`, if there is one, of which no more than `most` bytes are kept.
    ///
    /// # Errors
    /// S3 refuses, or the connection breaks.
    pub async fn get(&self, key: &str, most: u64) -> Result<Option<Object>, GetError> {
        let answer = self.get_object().key(key).send().await;
        let answer = match answer.map_err(|error| self.error("s3 GetObject", error)) {
            Err(error) if error.code == "NoSuchKey" => return Ok(None),
            answer => answer.map_err(GetError::Aws)?,
        };
        let written = answer
            .last_modified()
            .and_then(|time| OffsetDateTime::from_unix_timestamp(time.secs()).ok())
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let etag = answer.e_tag.unwrap_or_default();
        let promised = answer.content_length.unwrap_or(0).max(0).cast_unsigned();
        let body = read(answer.body, promised, most)
            .await
            .map_err(GetError::Broken)?;
        Ok(Some(Object {
            body,
            etag,
            written,
        }))
    }

    /// What S3 says of the object at `key`, if there is one.
    ///
    /// # Errors
    /// S3 refuses.
    pub async fn head(&self, key: &str) -> Result<Option<Head>, AwsError> {
        let call = self.head_object().key(key);
        let answer = call.checksum_mode(ChecksumMode::Enabled).send().await;
        match answer.map_err(|error| self.error("s3 HeadObject", error)) {
            Ok(answer) => Ok(Some(Head {
                len: answer.content_length.unwrap_or(0).max(0).cast_unsigned(),
                checksum: answer.checksum_sha256,
            })),
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a JSON document; gives its ETag, or `None` if the condition does not hold. It is encrypted
    /// with `kms_key`, or as the bucket's own setting says.
    ///
    /// # Errors
    /// S3 refuses.
    pub async fn put_json(
        &self,
        key: &str,
        text: Vec<u8>,
        kms_key: Option<&str>,
        condition: Condition,
    ) -> Result<Option<String>, AwsError> {
        let call = self
            .put_object()
            .key(key)
            .content_type("application/json")
            .set_server_side_encryption(kms_key.map(|_| ServerSideEncryption::AwsKms))
            .set_ssekms_key_id(kms_key.map(str::to_owned))
            .body(ByteStream::from(text));
        let call = match condition {
            Condition::Always => call,
            Condition::Missing => call.if_none_match("*"),
            Condition::Matches(etag) => call.if_match(etag),
        };
        let answer = call.send().await;
        match answer.map_err(|error| self.error("s3 PutObject", error)) {
            // Without an ETag nothing can be said of what is there: the caller reads it again.
            Ok(answer) => Ok(answer.e_tag),
            // With If-Match, "no such key" says that it was deleted meanwhile.
            Err(error) if error.kind == Kind::Conflict || error.code == "NoSuchKey" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes the object at `key`; it is no error if it is gone already.
    ///
    /// # Errors
    /// S3 refuses.
    pub async fn delete(&self, key: &str) -> Result<(), AwsError> {
        let answer = self.delete_object().key(key).send().await;
        answer.map_err(|error| self.error("s3 DeleteObject", error))?;
        Ok(())
    }

    /// The objects whose keys begin with `prefix`, by key. No more pages are asked for once there are
    /// `most` objects, so that a bucket that answers without end ends.
    ///
    /// # Errors
    /// S3 refuses.
    pub async fn list(&self, prefix: &str, most: usize) -> Result<Vec<ListedObject>, AwsError> {
        let call = self.list_objects_v2().prefix(prefix);
        let mut pages = call.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.error("s3 ListObjectsV2", error))?;
            found.extend(page.contents().iter().filter_map(|object| {
                let written = object.last_modified()?.secs();
                Some(ListedObject {
                    key: object.key()?.to_owned(),
                    size: object.size().unwrap_or(0).max(0).cast_unsigned(),
                    written: OffsetDateTime::from_unix_timestamp(written).ok()?,
                })
            }));
            if found.len() >= most {
                break;
            }
        }
        Ok(found)
    }

    /// What an error of a call about this bucket means.
    pub(super) fn error<E>(
        &self,
        operation: &'static str,
        error: SdkError<E, HttpResponse>,
    ) -> AwsError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        AwsError::new(operation, error).about(&self.name)
    }
}

/// Reads a body of which S3 promised so many bytes.
async fn read(mut stream: ByteStream, promised: u64, most: u64) -> Result<Body, std::io::Error> {
    if promised > most {
        return Ok(Body::TooLong(promised));
    }
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
        if bytes.len() as u64 > most {
            return Ok(Body::TooLong(bytes.len() as u64));
        }
    }
    Ok(Body::Whole(bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_is_kept_of_an_object_than_its_reader_allows() {
        let read = |promised| read(ByteStream::from_static(b"0123456789"), promised, 9);
        assert_eq!(read(10).await.unwrap(), Body::TooLong(10));
        // S3 promised less than came.
        assert_eq!(read(3).await.unwrap(), Body::TooLong(10));
        let fits = super::read(ByteStream::from_static(b"0123456789"), 10, 10);
        let body = fits.await.unwrap();
        assert_eq!(body, Body::Whole(b"0123456789".to_vec()));
        assert_eq!(body.or_empty(), b"0123456789");
        assert!(Body::TooLong(10).or_empty().is_empty());
    }

    #[test]
    fn a_write_on_a_condition_replaces_what_was_read() {
        assert_eq!(Condition::unchanged(None), Condition::Missing);
        let etag = "\"1\"".to_owned();
        let matches = Condition::Matches(etag.clone());
        assert_eq!(Condition::unchanged(Some(etag)), matches);
    }
}

//! What an S3 request asks for, and which actions that takes.

use super::operations;
use emulator_protocol::operation::s3_target;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;

/// A request to S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Request {
    /// The bucket.
    pub bucket: String,
    /// The object's key.
    pub key: Option<String>,
    /// The operation: `PutObject`.
    pub operation: &'static str,
    /// The action that it takes on the bucket or the object: `s3:PutObject`.
    pub action: &'static str,
    /// Parameters of the query.
    pub query: BTreeMap<String, String>,
    /// What it copies from.
    pub source: Option<Source>,
}

/// `x-amz-copy-source`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The version.
    pub version: Option<String>,
}

impl S3Request {
    /// Reads a request; `None` for one that is about no bucket.
    pub fn read(parts: &Parts) -> Option<Self> {
        let (bucket, key) = s3_target(parts);
        let bucket = bucket?;
        let query: BTreeMap<String, String> =
            form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
        let rows = operations::rows(parts.method.as_str(), key.is_some())?;
        let (_, operation, action) = rows
            .iter()
            .find(|(name, ..)| name.is_empty() || query.contains_key(*name))?;
        let source = parts
            .headers
            .get("x-amz-copy-source")
            .and_then(|value| value.to_str().ok())
            .filter(|_| matches!(*operation, "PutObject" | "UploadPart"))
            .and_then(Source::read);
        let operation = match (*operation, source.is_some()) {
            ("PutObject", true) => "CopyObject",
            ("UploadPart", true) => "UploadPartCopy",
            (operation, _) => operation,
        };
        let action = match (*action, query.contains_key("versionId")) {
            ("s3:GetObject", true) => "s3:GetObjectVersion",
            ("s3:GetObjectAcl", true) => "s3:GetObjectVersionAcl",
            ("s3:GetObjectAttributes", true) => "s3:GetObjectVersionAttributes",
            ("s3:GetObjectTagging", true) => "s3:GetObjectVersionTagging",
            ("s3:PutObjectAcl", true) => "s3:PutObjectVersionAcl",
            ("s3:PutObjectTagging", true) => "s3:PutObjectVersionTagging",
            ("s3:DeleteObject", true) => "s3:DeleteObjectVersion",
            ("s3:DeleteObjectTagging", true) => "s3:DeleteObjectVersionTagging",
            (action, _) => action,
        };
        Some(Self {
            bucket,
            key,
            operation,
            action,
            query,
            source,
        })
    }

    /// Every action that the request takes on its own bucket, its headers looked at.
    pub fn actions(&self, parts: &Parts) -> Vec<&'static str> {
        let mut actions = vec![self.action];
        let has = |name: &str| parts.headers.contains_key(name);
        if self.operation == "GetObjectAttributes" {
            actions.push(if self.query.contains_key("versionId") {
                "s3:GetObjectVersion"
            } else {
                "s3:GetObject"
            });
        }
        if matches!(
            self.operation,
            "PutObject" | "CopyObject" | "CreateMultipartUpload"
        ) {
            let grants = parts
                .headers
                .keys()
                .any(|name| name.as_str().starts_with("x-amz-grant-"));
            if has("x-amz-acl") || grants {
                actions.push("s3:PutObjectAcl");
            }
            if has("x-amz-tagging") {
                actions.push("s3:PutObjectTagging");
            }
            if has("x-amz-object-lock-mode") {
                actions.push("s3:PutObjectRetention");
            }
            if has("x-amz-object-lock-legal-hold") {
                actions.push("s3:PutObjectLegalHold");
            }
        }
        if has("x-amz-bypass-governance-retention") {
            actions.push("s3:BypassGovernanceRetention");
        }
        actions
    }

    /// The ARN that policies know the target by.
    pub fn arn(&self) -> String {
        arn(&self.bucket, self.key.as_deref())
    }

    /// Whether it goes on with a multipart upload, whose encryption was judged at its beginning.
    pub fn continues_upload(&self) -> bool {
        matches!(
            self.operation,
            "UploadPart" | "UploadPartCopy" | "CompleteMultipartUpload"
        )
    }
}

/// The ARN of a bucket or an object.
pub fn arn(bucket: &str, key: Option<&str>) -> String {
    match key {
        Some(key) => format!("arn:aws:s3:::{bucket}/{key}"),
        None => format!("arn:aws:s3:::{bucket}"),
    }
}

impl Source {
    fn read(header: &str) -> Option<Self> {
        let (path, version) = match header.split_once("?versionId=") {
            Some((path, version)) => (path, Some(version.to_owned())),
            None => (header, None),
        };
        let path = percent_decode_str(path).decode_utf8_lossy();
        let (bucket, key) = path.strip_prefix('/').unwrap_or(&path).split_once('/')?;
        Some(Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version,
        })
    }
}

#[cfg(test)]
mod tests;

//! Multipart uploads that were begun: what they have, and their end.

use super::objects::Target;
use super::parts::{Leftover, StoredPart};
use crate::aws::{AwsError, Kind};
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, MultipartUpload};
use std::collections::BTreeMap;

/// Most uploads of one key that are looked at.
const MAX_UPLOADS: usize = 100;

impl Target {
    /// Begins an upload, each part of which has a SHA-256. Encryption is the bucket's default.
    pub(super) async fn begin(&self, key: &str) -> Result<String, AwsError> {
        let answer = self
            .bucket
            .create_multipart_upload()
            .key(key)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .checksum_type(ChecksumType::Composite)
            .send()
            .await
            .map_err(|error| AwsError::new("s3 CreateMultipartUpload", error))?;
        Ok(answer.upload_id.unwrap_or_default())
    }

    /// Uploads of `key` that this push could go on with, and their parts.
    pub(super) async fn leftovers(&self, key: &str) -> Result<Vec<Leftover>, AwsError> {
        let mut leftovers = Vec::new();
        for upload in self.uploads(key).await? {
            if upload.checksum_algorithm() != Some(&ChecksumAlgorithm::Sha256) {
                continue;
            }
            let Some(id) = upload.upload_id else {
                continue;
            };
            match self.parts(key, &id).await {
                Ok(parts) => leftovers.push(Leftover { id, parts }),
                // It was completed or aborted meanwhile.
                Err(error) if error.kind == Kind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(leftovers)
    }

    /// Ends every upload of `key`. Only once the object is there: then they are of no use, and
    /// another push that is still at one of them looks for the object, and finds it.
    pub(super) async fn tidy(&self, key: &str) -> Result<(), AwsError> {
        for upload in self.uploads(key).await? {
            if let Some(id) = upload.upload_id() {
                self.abort(key, id).await?;
            }
        }
        Ok(())
    }

    /// Ends an upload, and takes away its parts.
    pub(super) async fn abort(&self, key: &str, upload: &str) -> Result<(), AwsError> {
        let answer = self
            .bucket
            .abort_multipart_upload()
            .key(key)
            .upload_id(upload)
            .send()
            .await
            .map_err(|error| AwsError::new("s3 AbortMultipartUpload", error));
        match answer {
            Err(error) if error.kind != Kind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn uploads(&self, key: &str) -> Result<Vec<MultipartUpload>, AwsError> {
        let mut uploads = Vec::new();
        let (mut key_marker, mut id_marker) = (None, None);
        loop {
            let answer = self
                .bucket
                .list_multipart_uploads()
                .prefix(key)
                .set_key_marker(key_marker)
                .set_upload_id_marker(id_marker)
                .send()
                .await
                .map_err(|error| AwsError::new("s3 ListMultipartUploads", error))?;
            let more = answer.is_truncated().unwrap_or_default();
            (key_marker, id_marker) = (answer.next_key_marker, answer.next_upload_id_marker);
            let found = answer.uploads.unwrap_or_default();
            uploads.extend(found.into_iter().filter(|it| it.key() == Some(key)));
            if !more || key_marker.is_none() || uploads.len() >= MAX_UPLOADS {
                uploads.truncate(MAX_UPLOADS);
                return Ok(uploads);
            }
        }
    }

    /// Parts of an upload that have a checksum.
    async fn parts(&self, key: &str, upload: &str) -> Result<BTreeMap<i32, StoredPart>, AwsError> {
        let mut pages = self
            .bucket
            .list_parts()
            .key(key)
            .upload_id(upload)
            .into_paginator()
            .send();
        let mut parts = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| AwsError::new("s3 ListParts", error))?;
            for part in page.parts.unwrap_or_default() {
                if let (Some(number), Some(len), Some(sha256), Some(etag)) = (
                    part.part_number,
                    part.size,
                    part.checksum_sha256,
                    part.e_tag,
                ) {
                    let len = len.max(0).cast_unsigned();
                    parts.insert(number, StoredPart { len, sha256, etag });
                }
            }
        }
        Ok(parts)
    }
}

//! Which AMI is the converter's: `converter-image/current.json` in the vault.
//!
//! Tags can be set by whoever may tag, and names be taken by whoever may register: an AMI that is
//! launched with the converter's role is believed on the vault's word only. What is there can be
//! written only by who may use the vault's key, and the converter's role can't.

use super::tags;
use crate::aws::{AwsError, Condition, Session, ec2};
use crate::image::ImageDigest;
use crate::vault::images::{StoreError, fetch_manifest_at};
use crate::vault::{SMALL_OBJECT, Vault};
use aws_sdk_ec2::types::ImageState;
use imgtool::pack::Manifest;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What all keys here begin with.
pub const PREFIX: &str = "converter-image/";
/// Where it is written down which AMI it is.
pub const KEY: &str = "converter-image/current.json";
/// Version of the format.
const VERSION: u32 = 1;

/// The converter's AMI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Current {
    /// Version of this format: 1.
    pub version: u32,
    /// The AMI.
    pub ami: String,
    /// The snapshot of its root.
    pub snapshot: String,
    /// The image that it is made of.
    pub digest: ImageDigest,
    /// Version of the program in it.
    pub program_version: String,
    /// SHA-256 of the program.
    pub program_sha256: String,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub made: OffsetDateTime,
}

/// A record, and the version that the next write replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The record; `None` if there is something else in its place.
    pub current: Option<Current>,
    /// S3's ETag of it.
    pub etag: String,
}

/// What there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No AMI was ever made.
    None,
    /// One was, and is gone, disabled or of no use.
    Gone(Current),
    /// It is not available yet.
    Pending(Current),
    /// It can be launched.
    Available(Current),
}

impl Found {
    /// What is written down of it.
    pub fn current(&self) -> Option<&Current> {
        match self {
            Found::None => None,
            Found::Gone(it) | Found::Pending(it) | Found::Available(it) => Some(it),
        }
    }
}

impl Current {
    /// That of an AMI that was just made.
    pub(super) fn new(
        ami: String,
        snapshot: String,
        digest: ImageDigest,
        program_version: &str,
        program_sha256: &str,
        made: OffsetDateTime,
    ) -> Current {
        Current {
            version: VERSION,
            ami,
            snapshot,
            digest,
            program_version: program_version.to_owned(),
            program_sha256: program_sha256.to_owned(),
            made: made.replace_nanosecond(0).unwrap_or(made),
        }
    }
}

/// The converter's AMI, as it can be launched or not: for whoever launches, and for people.
///
/// # Errors
/// S3 or EC2 refuses.
pub async fn find(vault: &Vault) -> Result<Found, AwsError> {
    match read(vault).await?.and_then(|it| it.current) {
        None => Ok(Found::None),
        Some(current) => look(&vault.session, current).await,
    }
}

/// What the AMI of a record is.
pub(super) async fn look(session: &Session, current: Current) -> Result<Found, AwsError> {
    let image = ec2::own_image(session, &current.ami).await?;
    Ok(match image {
        Some(image) if ec2::root_snapshot(&image) == Some(&*current.snapshot) => {
            match image.state() {
                Some(ImageState::Available) => Found::Available(current),
                Some(ImageState::Pending | ImageState::Transient) => Found::Pending(current),
                _ => Found::Gone(current),
            }
        }
        _ => Found::Gone(current),
    })
}

/// The record, if there is one.
pub(super) async fn read(vault: &Vault) -> Result<Option<Stored>, AwsError> {
    let object = vault.bucket().get(KEY, SMALL_OBJECT).await?;
    Ok(object.map(|it| Stored {
        current: parse(&it.body.or_empty()),
        etag: it.etag,
    }))
}

fn parse(text: &[u8]) -> Option<Current> {
    let current: Current = serde_json::from_slice(text).ok()?;
    (current.version == VERSION).then_some(current)
}

/// Writes the record in the place of the one with this ETag, or where there is none; `None` if it
/// was changed meanwhile.
pub(super) async fn write(
    vault: &Vault,
    current: &Current,
    replaces: Option<String>,
) -> Result<Option<String>, AwsError> {
    let text = serde_json::to_vec(current).unwrap_or_default();
    let condition = Condition::unchanged(replaces);
    vault.bucket().put_json(KEY, text, None, condition).await
}

/// Takes the record away: there is no converter's AMI any more.
pub(super) async fn clear(vault: &Vault) -> Result<(), AwsError> {
    vault.bucket().delete(KEY).await
}

/// Where the manifest of an image is, from which the next one's snapshot can be made.
fn manifest_key(digest: &ImageDigest) -> String {
    format!("{PREFIX}{digest}.json")
}

/// The manifest of an image, if the vault has it and it is that image's.
pub(super) async fn manifest(
    vault: &Vault,
    digest: &ImageDigest,
) -> Result<Option<Manifest>, AwsError> {
    let key = manifest_key(digest);
    match fetch_manifest_at(vault, &key, tags::IMAGE, digest).await {
        Ok(manifest) => Ok(Some(manifest)),
        Err(StoreError::Aws(error)) => Err(error),
        // Missing or broken: the next image is put whole, then.
        Err(error) => {
            tracing::debug!(%error, "no manifest of the last image");
            Ok(None)
        }
    }
}

/// Keeps the manifest of an image. One that is there already is the same: its name says what is in
/// it.
pub(super) async fn keep_manifest(vault: &Vault, manifest: &Manifest) -> Result<(), AwsError> {
    let key = manifest_key(&ImageDigest::of(manifest));
    let text = serde_json::to_vec(manifest).unwrap_or_default();
    let bucket = vault.bucket();
    bucket
        .put_json(&key, text, None, Condition::Missing)
        .await?;
    Ok(())
}

/// Forgets an image's manifest.
pub(super) async fn forget_manifest(vault: &Vault, digest: &ImageDigest) -> Result<(), AwsError> {
    vault.bucket().delete(&manifest_key(digest)).await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_record_is_none() {
        let digest: ImageDigest = "ab".repeat(32).parse().unwrap();
        let made = time::macros::datetime!(2026-11-01 12:00:00.5 UTC);
        let current = Current::new("ami-1".into(), "snap-1".into(), digest, "0.1.0", "cd", made);
        let text = serde_json::to_string(&current).unwrap();
        assert_eq!(parse(text.as_bytes()), Some(current));
        for bad in [
            String::new(),
            "{}".to_owned(),
            text.replace("\"version\":1", "\"version\":2"),
            text.replace("{\"version", "{\"more\":1,\"version"),
            text.replace("abab", "xyxy"),
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}

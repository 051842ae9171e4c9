//! Deletes objects, a thousand a call.

use super::{Vault, VaultError};
use crate::aws::AwsError;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use std::collections::BTreeSet;

/// Most objects of one call.
pub(super) const BATCH: usize = 1000;

/// What S3 said to a call: some objects may be deleted, and others not.
pub(super) struct Deleted {
    /// Keys of what was not.
    refused: BTreeSet<String>,
    /// Why, of the first of them.
    why: Option<VaultError>,
}

impl Deleted {
    /// Whether an object of the call was deleted.
    pub(super) fn has(&self, key: &str) -> bool {
        !self.refused.contains(key)
    }

    /// That all were.
    ///
    /// # Errors
    /// Names the first that was not.
    pub(super) fn all(self) -> Result<(), VaultError> {
        self.why.map_or(Ok(()), Err)
    }
}

/// Deletes objects, or versions of them.
///
/// # Errors
/// The call failed; it may have been carried out.
pub(super) async fn delete(
    vault: &Vault,
    objects: Vec<ObjectIdentifier>,
) -> Result<Deleted, VaultError> {
    const OPERATION: &str = "s3 DeleteObjects";
    let delete = Delete::builder().set_objects(Some(objects)).build();
    let answer = vault
        .bucket()
        .delete_objects()
        .delete(super::parts::built(OPERATION, delete)?)
        .send()
        .await
        .map_err(|error| AwsError::new(OPERATION, error))?;
    let errors = answer.errors();
    Ok(Deleted {
        refused: errors
            .iter()
            .filter_map(|it| it.key().map(str::to_owned))
            .collect(),
        why: errors.first().map(|error| VaultError::NotDeleted {
            bucket: vault.names.bucket(),
            key: error.key().unwrap_or_default().to_owned(),
            why: format!(
                "{} ({})",
                error.message().unwrap_or_default(),
                error.code().unwrap_or_default()
            ),
        }),
    })
}

/// A version of an object, or the object as it is.
pub(super) fn identifier(key: &str, version: Option<&str>) -> Result<ObjectIdentifier, VaultError> {
    let built = ObjectIdentifier::builder()
        .key(key)
        .set_version_id(version.map(str::to_owned))
        .build();
    Ok(super::parts::built("s3 DeleteObjects", built)?)
}

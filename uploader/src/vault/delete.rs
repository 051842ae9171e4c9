//! Deletes objects, a thousand a call.

use super::{Names, VaultError};
use crate::aws::{AwsError, Session};
use aws_sdk_s3::types::{Delete, DeletedObject, ObjectIdentifier};

/// Most objects of one call.
pub(super) const BATCH: usize = 1000;

/// Deletes objects, or versions of them, and gives what S3 says of each.
pub(super) async fn delete(
    session: &Session,
    names: &Names,
    objects: Vec<ObjectIdentifier>,
) -> Result<Vec<DeletedObject>, VaultError> {
    const OPERATION: &str = "s3 DeleteObjects";
    let delete = Delete::builder().set_objects(Some(objects)).build();
    let answer = session
        .s3
        .delete_objects()
        .bucket(names.bucket())
        .expected_bucket_owner(&names.account)
        .delete(super::parts::built(OPERATION, delete)?)
        .send()
        .await
        .map_err(|error| AwsError::new(OPERATION, error))?;
    if let Some(error) = answer.errors().first() {
        return Err(VaultError::NotDeleted {
            bucket: names.bucket(),
            key: error.key().unwrap_or_default().to_owned(),
            why: format!(
                "{} ({})",
                error.message().unwrap_or_default(),
                error.code().unwrap_or_default()
            ),
        });
    }
    Ok(answer.deleted.unwrap_or_default())
}

/// A version of an object, or the object as it is.
pub(super) fn identifier(key: &str, version: Option<&str>) -> Result<ObjectIdentifier, VaultError> {
    let built = ObjectIdentifier::builder()
        .key(key)
        .set_version_id(version.map(str::to_owned))
        .build();
    Ok(super::parts::built("s3 DeleteObjects", built)?)
}

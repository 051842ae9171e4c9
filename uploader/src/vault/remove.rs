//! Takes the parts of a vault away, one by one; the order is [`crate::teardown`]'s.

use super::delete::{BATCH, delete, identifier};
use super::parts::{optional, queues, role};
use super::{Vault, VaultError};
use crate::aws::{AwsError, Session};
use tokio_util::sync::CancellationToken;

/// Deletes an instance profile, once no role is in it.
pub(crate) async fn remove_profile(session: &Session, name: &str) -> Result<(), AwsError> {
    let there = role::roles_of(session, name).await?;
    for role in there.map(|(roles, _)| roles).unwrap_or_default() {
        role::remove_from_profile(session, name, &role).await?;
    }
    let request = session.iam.delete_instance_profile();
    let answer = request.instance_profile_name(name).send().await;
    optional("iam DeleteInstanceProfile", answer).map(drop)
}

/// Deletes a role with its policies.
pub(crate) async fn remove_role(session: &Session, name: &str) -> Result<(), AwsError> {
    role::detach_all(session, name).await?;
    let policies = role::policy_names(session, name).await?;
    role::delete_policies(session, name, policies.iter()).await?;
    let answer = session.iam.delete_role().role_name(name).send().await;
    optional("iam DeleteRole", answer).map(drop)
}

/// Deletes a queue with its messages.
pub(crate) async fn remove_queue(session: &Session, name: &str) -> Result<(), AwsError> {
    let Some(url) = queues::url(session, name).await? else {
        return Ok(());
    };
    let answer = session.sqs.delete_queue().queue_url(url).send().await;
    optional("sqs DeleteQueue", answer).map(drop)
}

/// Deletes an alias of a key.
pub(crate) async fn remove_alias(session: &Session, name: &str) -> Result<(), AwsError> {
    let answer = session.kms.delete_alias().alias_name(name).send().await;
    optional("kms DeleteAlias", answer).map(drop)
}

/// Has KMS delete a key, in so many days.
pub(crate) async fn schedule_deletion(
    session: &Session,
    arn: &str,
    days: u8,
) -> Result<(), AwsError> {
    let request = session.kms.schedule_key_deletion().key_id(arn);
    let answer = request.pending_window_in_days(days.into()).send().await;
    optional("kms ScheduleKeyDeletion", answer).map(drop)
}

/// Deletes the bucket with all versions of all objects.
pub(crate) async fn remove_bucket(
    vault: &Vault,
    cancel: &CancellationToken,
) -> Result<(), VaultError> {
    // Somebody may still be pushing: what came while it was emptied is emptied too.
    const ROUNDS: u32 = 5;
    let mut round = 1;
    loop {
        end_uploads(vault, cancel).await?;
        delete_versions(vault, cancel).await?;
        let answer = vault.bucket().delete_bucket().send().await;
        match optional("s3 DeleteBucket", answer) {
            Err(error) if error.code == "BucketNotEmpty" && round < ROUNDS => round += 1,
            answer => return Ok(answer.map(drop)?),
        }
    }
}

/// Ends all uploads in parts. They leave the list as they end, so the list is read from its start
/// until nothing is in it.
async fn end_uploads(vault: &Vault, cancel: &CancellationToken) -> Result<(), VaultError> {
    loop {
        let answer = vault.bucket().list_multipart_uploads().send().await;
        let answer = optional("s3 ListMultipartUploads", answer)?;
        let uploads = answer.and_then(|it| it.uploads).unwrap_or_default();
        if uploads.is_empty() {
            return Ok(());
        }
        for upload in uploads {
            if cancel.is_cancelled() {
                return Err(VaultError::Cancelled);
            }
            let answer = vault
                .bucket()
                .abort_multipart_upload()
                .set_key(upload.key)
                .set_upload_id(upload.upload_id)
                .send()
                .await;
            optional("s3 AbortMultipartUpload", answer)?;
        }
    }
}

/// Deletes all versions and delete markers, in the same way.
async fn delete_versions(vault: &Vault, cancel: &CancellationToken) -> Result<(), VaultError> {
    loop {
        let answer = vault.bucket().list_object_versions().send().await;
        let Some(answer) = optional("s3 ListObjectVersions", answer)? else {
            return Ok(());
        };
        let versions = answer
            .versions()
            .iter()
            .map(|it| (it.key(), it.version_id()));
        let markers = answer.delete_markers().iter();
        let markers = markers.map(|it| (it.key(), it.version_id()));
        let all = versions
            .chain(markers)
            .filter_map(|(key, version)| Some(identifier(key?, version)))
            .collect::<Result<Vec<_>, _>>()?;
        if all.is_empty() {
            return Ok(());
        }
        for batch in all.chunks(BATCH) {
            if cancel.is_cancelled() {
                return Err(VaultError::Cancelled);
            }
            delete(vault, batch.to_vec()).await?.all()?;
        }
    }
}

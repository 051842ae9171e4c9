//! What goes wrong with a vault.

use super::desired::OLD_VERSION_DAYS;
use super::drift::Drift;
use super::images::StoreError;
use crate::Class;
use crate::aws::AwsError;

/// A vault can't be looked at, made or removed.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Something is in the way that no change of ours mends.
    #[error("{}", sentences(.0))]
    Obstacles(Vec<Drift>),
    /// `--kms-key` names no key.
    #[error("there is no KMS key {key} in {region}")]
    NoKey {
        /// What was given.
        key: String,
        /// Where it was looked for.
        region: String,
    },
    /// There is no vault.
    #[error("there is no vault {bucket}")]
    NoVault {
        /// Its bucket.
        bucket: String,
    },
    /// Somebody else has the bucket.
    #[error("the bucket {bucket} belongs to another account")]
    ForeignBucket {
        /// The bucket.
        bucket: String,
    },
    /// The bucket can't be looked into.
    #[error("the bucket {bucket} belongs to another account, or the caller may not look into it")]
    ClosedBucket {
        /// The bucket.
        bucket: String,
        /// What S3 says.
        #[source]
        cause: AwsError,
    },
    /// A queue of that name was deleted less than a minute ago.
    #[error("the queue {queue} was deleted less than a minute ago")]
    QueueDeletedRecently {
        /// The queue.
        queue: String,
    },
    /// There are images in a vault that is to be removed.
    #[error("the vault {bucket} holds {images} images")]
    HoldsImages {
        /// The bucket.
        bucket: String,
        /// How many.
        images: usize,
    },
    /// Objects that S3 did not delete.
    #[error("s3://{bucket}/{key} was not deleted: {why}")]
    NotDeleted {
        /// The bucket.
        bucket: String,
        /// The first of them.
        key: String,
        /// S3's words.
        why: String,
    },
    /// An object was deleted, and may be needed again.
    #[error("s3://{bucket}/{key} was deleted, may be needed, and could not be brought back")]
    NotBroughtBack {
        /// The bucket.
        bucket: String,
        /// The object.
        key: String,
        /// Why not.
        #[source]
        cause: Box<VaultError>,
    },
    /// AWS answered something that can't be.
    #[error("{operation}: the answer lacks {what}")]
    Answer {
        /// What was called.
        operation: &'static str,
        /// What was missing.
        what: &'static str,
    },
    /// An image can't be read, so nobody knows which packs it names.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// AWS refused.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// Somebody wants it to end.
    #[error("interrupted")]
    Cancelled,
}

fn sentences(drifts: &[Drift]) -> String {
    let all: Vec<String> = drifts.iter().map(ToString::to_string).collect();
    all.join("; ")
}

impl VaultError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            VaultError::NoKey { .. } | VaultError::HoldsImages { .. } => Class::Input,
            VaultError::Obstacles(_)
            | VaultError::NoVault { .. }
            | VaultError::ForeignBucket { .. }
            | VaultError::QueueDeletedRecently { .. }
            | VaultError::NotDeleted { .. }
            | VaultError::Answer { .. }
            | VaultError::Cancelled => Class::Failed,
            VaultError::ClosedBucket { cause, .. } => cause.class(),
            VaultError::NotBroughtBack { cause, .. } => cause.class(),
            VaultError::Store(error) => error.class(),
            VaultError::Aws(error) => error.class(),
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            VaultError::Obstacles(drifts) => drifts.iter().find_map(Drift::hint),
            VaultError::NoKey { .. } => Some(
                "--kms-key takes a key's ARN, id or alias/NAME; aws kms list-aliases".to_owned(),
            ),
            VaultError::NoVault { .. } => Some("uploader vault init makes it".to_owned()),
            VaultError::ForeignBucket { .. } => Some(
                "names of buckets are taken in all of AWS: give another --vault, or ask its owner"
                    .to_owned(),
            ),
            VaultError::ClosedBucket { .. } => Some(
                "uploader vault status shows whose it is; a vault elsewhere takes --vault or \
                 --region"
                    .to_owned(),
            ),
            VaultError::QueueDeletedRecently { .. } => {
                Some("SQS wants 60 seconds between: run it again then".to_owned())
            }
            VaultError::HoldsImages { .. } => Some(
                "uploader vault list shows them; --force removes them with the vault".to_owned(),
            ),
            VaultError::NotDeleted { .. } | VaultError::Cancelled => {
                Some("run it again: it goes on where it was".to_owned())
            }
            VaultError::NotBroughtBack { bucket, key, .. } => Some(format!(
                "it is there for {OLD_VERSION_DAYS} days: aws s3api list-object-versions --bucket \
                 {bucket} --prefix {key}, and delete-object with the delete marker's version"
            )),
            VaultError::Answer { .. } => None,
            VaultError::Store(error) => error.hint(),
            VaultError::Aws(error) => error.hint(),
        }
    }
}

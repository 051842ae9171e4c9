//! Why blocks were not put.

use crate::Class;
use crate::aws::{AwsError, Kind};

/// Not all blocks of an image are in the snapshot.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// A pack is not what the manifest says.
    #[error("pack {pack}, block {index} (frame at byte {offset}): {why}")]
    Corrupt {
        /// The pack's digest, which is its name in the vault.
        pack: String,
        /// The block of the disk.
        index: u32,
        /// Where its frame is in the pack.
        offset: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A pack is not in the vault.
    #[error("the vault has no pack s3://{bucket}/{key}")]
    NoPack {
        /// The bucket.
        bucket: String,
        /// The object.
        key: String,
    },
    /// The snapshot takes no blocks: it is gone, or not pending any more.
    #[error("snapshot {snapshot} takes no blocks: {why}")]
    SnapshotGone {
        /// The snapshot.
        snapshot: String,
        /// What the service says of it.
        why: String,
    },
    /// Nothing went through for longer than is waited for.
    #[error("given up after {seconds} s in which no call went through")]
    Budget {
        /// How long.
        seconds: u64,
        /// What the last call got.
        #[source]
        last: AwsError,
    },
    /// AWS refused.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// Somebody said stop.
    #[error("interrupted")]
    Cancelled,
}

impl PutError {
    /// Whether the same will happen to whoever tries again.
    pub fn is_permanent(&self) -> bool {
        match self {
            PutError::Corrupt { .. } | PutError::NoPack { .. } => true,
            PutError::SnapshotGone { .. } | PutError::Budget { .. } | PutError::Cancelled => false,
            // Credentials and conflicts are the caller's moment, not the request's fault.
            PutError::Aws(error) => {
                matches!(error.kind, Kind::Denied | Kind::NotFound | Kind::Refused)
            }
        }
    }

    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            PutError::Corrupt { .. } | PutError::NoPack { .. } => Class::Input,
            PutError::SnapshotGone { .. } | PutError::Cancelled => Class::Failed,
            PutError::Budget { .. } => Class::Surroundings,
            PutError::Aws(error) => error.class(),
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            PutError::Corrupt { pack, .. } => Some(format!(
                "somebody changed the pack: delete packs/{pack} in the vault's bucket (aws s3 rm), \
                 and push the image again, which says what else has to go"
            )),
            PutError::NoPack { .. } => {
                Some("push the image again, which says what has to be done".to_owned())
            }
            PutError::Budget { last, .. } => last.hint(),
            PutError::Aws(error) => error.hint(),
            PutError::SnapshotGone { .. } | PutError::Cancelled => None,
        }
    }
}

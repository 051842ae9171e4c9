//! Why an AMI could not be compared.

use crate::Class;
use crate::aws::AwsError;
use crate::blocks::PlanError;

/// Nothing can be said about an AMI.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is neither an AMI's id nor a snapshot's.
    #[error("{0:?} is neither an AMI (ami-…) nor a snapshot (snap-…)")]
    NotAnId(String),
    /// There is no such AMI, or the caller may not see it.
    #[error("there is no {0} here, or it is not shared with this account")]
    NotFound(String),
    /// The AMI has no root volume with a snapshot.
    #[error("{0} has no snapshot for its root device")]
    NoRoot(String),
    /// Nothing says which image it should be.
    #[error("{0} has no tags that say which image it is")]
    NoTags(String),
    /// Its tags name no image.
    #[error("{id}: its tag {tag} is {value:?}")]
    Tag {
        /// The AMI or snapshot.
        id: String,
        /// The tag's key.
        tag: &'static str,
        /// Its value.
        value: String,
    },
    /// The snapshot can't be read.
    #[error("snapshot {snapshot} can't be read: {why}")]
    Unreadable {
        /// The snapshot.
        snapshot: String,
        /// What the service says of it.
        why: String,
    },
    /// The service's answers make no sense.
    #[error("snapshot {snapshot}: {why}")]
    Answer {
        /// The snapshot.
        snapshot: String,
        /// What is wrong with the answer.
        why: String,
    },
    /// What was read can't be kept.
    #[error("what was read can't be written")]
    Write(#[source] std::io::Error),
    /// The manifest can't be one.
    #[error(transparent)]
    Plan(#[from] PlanError),
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

impl VerifyError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            VerifyError::NotAnId(_)
            | VerifyError::NotFound(_)
            | VerifyError::NoRoot(_)
            | VerifyError::NoTags(_)
            | VerifyError::Tag { .. }
            | VerifyError::Unreadable { .. } => Class::Input,
            VerifyError::Answer { .. } | VerifyError::Write(_) | VerifyError::Cancelled => {
                Class::Failed
            }
            VerifyError::Budget { .. } => Class::Surroundings,
            VerifyError::Plan(error) => error.class(),
            VerifyError::Aws(error) => error.class(),
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            VerifyError::NotFound(_) => Some("is --region the one that it is in?".to_owned()),
            VerifyError::NoTags(_) | VerifyError::Tag { .. } => Some(
                "say which image it should be: --image NAME@DIGEST, or --manifest FILE".to_owned(),
            ),
            VerifyError::Unreadable { .. } => {
                Some("a snapshot can be read once it is completed".to_owned())
            }
            VerifyError::Plan(error) => error.hint(),
            VerifyError::Budget { last, .. } => last.hint(),
            VerifyError::Aws(error) => error.hint(),
            _ => None,
        }
    }
}

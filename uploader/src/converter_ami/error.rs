//! Why there is no converter's AMI.

use crate::Class;
use crate::agent::AgentError;
use crate::aws::AwsError;
use crate::blocks::{PlanError, PutError};

/// The converter's AMI can't be made, found or taken away.
#[derive(Debug, thiserror::Error)]
pub enum ConverterError {
    /// The vault's key can't be used.
    #[error(transparent)]
    Key(#[from] AgentError),
    /// The image has no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Blocks can't be put.
    #[error(transparent)]
    Put(#[from] PutError),
    /// A step failed; what was made has been taken away again.
    #[error("{0}")]
    Step(String),
    /// The same, because AWS does not take the caller's credentials.
    #[error("{why}")]
    SignedOut {
        /// Which step, and what AWS says.
        why: String,
        /// What a person can do about it.
        sign_in: String,
    },
    /// A step failed, and what was made could not be taken away.
    #[error("{why}; left behind: {}", .left.join(", "))]
    Left {
        /// Why.
        why: Box<ConverterError>,
        /// What.
        left: Vec<String>,
    },
    /// The AMI that is there is of a newer program.
    #[error("{ami} is of uploader {theirs}, which is newer than {ours}")]
    Newer {
        /// The AMI.
        ami: String,
        /// Version of the program in it.
        theirs: String,
        /// Version of the program that was to take its place.
        ours: String,
    },
    /// Somebody said stop.
    #[error("interrupted")]
    Interrupted,
    /// AWS refuses.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl ConverterError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            ConverterError::Key(error) => error.class(),
            ConverterError::Plan(error) => error.class(),
            ConverterError::Put(error) => error.class(),
            ConverterError::Step(_) | ConverterError::Interrupted => Class::Failed,
            ConverterError::SignedOut { .. } => Class::Surroundings,
            ConverterError::Left { why, .. } => why.class(),
            ConverterError::Newer { .. } => Class::Input,
            ConverterError::Aws(error) => error.class(),
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            ConverterError::Key(error) => error.hint(),
            ConverterError::Plan(error) => error.hint(),
            ConverterError::Put(error) => error.hint(),
            ConverterError::SignedOut { sign_in, .. } => Some(sign_in.clone()),
            ConverterError::Left { why, .. } => {
                let first = why.hint().map(|it| format!("{it}; ")).unwrap_or_default();
                let prune = "uploader converter prune deletes it an hour after it was made";
                Some(format!("{first}{prune}"))
            }
            ConverterError::Newer { .. } => Some(
                "is this checkout up to date? --force puts the older one in its place".to_owned(),
            ),
            ConverterError::Step(_) | ConverterError::Interrupted => None,
            ConverterError::Aws(error) if error.code == "NoSuchBucket" => {
                Some("uploader vault init makes the vault".to_owned())
            }
            ConverterError::Aws(error) => error.hint(),
        }
    }
}

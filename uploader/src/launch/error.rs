//! Why a launched image was not seen.

use crate::Class;
use crate::aws::AwsError;
use crate::fleet::FleetError;

/// An image was not launched, or did not answer.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// It was not launched.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// Its image can't be launched.
    #[error("the AMI {ami} can't be launched")]
    Ami {
        /// Its id.
        ami: String,
        /// What EC2 says.
        #[source]
        cause: AwsError,
    },
    /// Who may reach the port is no range of addresses that EC2 takes.
    #[error("--from {from}: EC2 does not take it")]
    From {
        /// What was said.
        from: String,
        /// What EC2 says.
        #[source]
        cause: AwsError,
    },
    /// The instance ended by itself, or was ended.
    #[error("{instance} is {state} without an answer{}", reason(.why))]
    Ended {
        /// The instance.
        instance: String,
        /// `shutting-down`, `terminated`, ….
        state: String,
        /// What EC2 says of it.
        why: Option<String>,
    },
    /// It did not answer in time.
    #[error("{instance} gave no answer within {seconds} s: {last}")]
    Silent {
        /// The instance.
        instance: String,
        /// So long it was waited for.
        seconds: u64,
        /// What was seen last.
        last: String,
    },
    /// It has no address to ask at.
    #[error("{instance} has no public address")]
    NoAddress {
        /// The instance.
        instance: String,
    },
    /// Ctrl-C.
    #[error("interrupted")]
    Cancelled,
    /// AWS refuses.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

fn reason(why: &Option<String>) -> String {
    why.as_ref().map_or(String::new(), |it| format!(" ({it})"))
}

impl LaunchError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            LaunchError::Fleet(error) => error.class(),
            LaunchError::Aws(error) => error.class(),
            LaunchError::Ami { .. } | LaunchError::From { .. } => Class::Input,
            LaunchError::NoAddress { .. } => Class::Surroundings,
            LaunchError::Ended { .. } | LaunchError::Silent { .. } | LaunchError::Cancelled => {
                Class::Failed
            }
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            LaunchError::Fleet(error) => error.hint(),
            LaunchError::Aws(error) => error.hint(),
            LaunchError::NoAddress { .. } => Some(
                "its subnet gives none: --private asks at the private one, --subnet names another \
                 subnet, --connect HOST:PORT asks elsewhere"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

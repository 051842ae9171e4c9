//! Takes away what a launch made.

use super::Launched;
use crate::aws::{AwsError, Session};
use crate::converter::{group, instances};
use std::time::Duration;

/// How long an instance may take to end. Some types take minutes.
const PATIENCE: u32 = 600;

/// Terminates the instance, waits until it is gone, and deletes the group, which EC2 keeps as long as
/// something has it. Gives what is left, in sentences.
pub async fn clean(session: &Session, made: &Launched) -> Vec<String> {
    let mut left = Vec::new();
    if let Some(instance) = &made.instance
        && let Err(error) = again(async || instances::terminate(session, instance).await).await
    {
        left.push(format!("the instance {instance}: {error}"));
    }
    let Some(group) = &made.group else {
        return left;
    };
    let mut seconds = 0;
    let failed = loop {
        match group::delete(session, group).await {
            Ok(()) => return left,
            // The instance has it still.
            Err(error) if error.code == "DependencyViolation" || error.is_transient() => {
                if seconds >= PATIENCE {
                    break error;
                }
            }
            Err(error) => break error,
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        seconds += 2;
    };
    left.push(format!("the security group {group}: {failed}"));
    left
}

/// Tries a few times: what stays costs money.
async fn again(call: impl AsyncFn() -> Result<(), AwsError>) -> Result<(), AwsError> {
    let mut tries = 1;
    loop {
        match call().await {
            Err(error) if error.is_transient() && tries < 5 => {
                tries += 1;
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            answer => return answer,
        }
    }
}

//! Takes away what a launch made.

use super::Launched;
use super::start::LAUNCH;
use crate::aws::ec2::instances;
use crate::aws::{AwsError, Session};
use crate::fleet::group;
use std::time::Duration;

/// How long an instance may take to end. Some types take minutes.
const PATIENCE: u32 = 600;
/// How often what may have been made is looked for: EC2 lists it a moment after it was made.
const LOOKS: u32 = 5;
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Terminates the instance, waits until it is gone, and deletes the group, which EC2 keeps as long as
/// something has it. What may have been made by a call whose answer was lost is looked for. Gives what
/// is left, in sentences.
pub async fn clean(session: &Session, made: &Launched) -> Vec<String> {
    let mut left = Vec::new();
    let mut instances: Vec<String> = made.instance.iter().cloned().collect();
    if let Some(token) = &made.unknown.instance {
        let look = async || instances::up_with_tag(session, LAUNCH, token).await;
        match found(look).await {
            Ok(found) => instances.extend(found),
            Err(error) => left.push(format!(
                "an instance with the tag {LAUNCH}={token}, if there is one: {error}"
            )),
        }
    }
    for instance in instances {
        let ended = again(async || instances::terminate(session, &instance).await).await;
        if let Err(error) = ended {
            left.push(format!("the instance {instance}: {error}"));
        }
    }
    let mut group = made.group.clone();
    if let Some((name, vpc)) = &made.unknown.group {
        let look = async || {
            let id = group::id_of(session, name, vpc).await?;
            Ok::<Vec<String>, AwsError>(id.into_iter().collect())
        };
        match found(look).await {
            Ok(ids) => group = ids.into_iter().next(),
            Err(error) => left.push(format!(
                "the security group {name}, if there is one: {error}"
            )),
        }
    }
    let Some(group) = &group else {
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

/// Looks until something is found.
async fn found(
    look: impl AsyncFn() -> Result<Vec<String>, AwsError>,
) -> Result<Vec<String>, AwsError> {
    let mut looks = 1;
    loop {
        let found = again(&look).await?;
        if !found.is_empty() || looks == LOOKS {
            return Ok(found);
        }
        looks += 1;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Tries a few times: what stays costs money.
async fn again<T>(call: impl AsyncFn() -> Result<T, AwsError>) -> Result<T, AwsError> {
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

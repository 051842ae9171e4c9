//! Instances. What is launched passes through its states in time, or, if [`crate::machines::Machines`] boots it, as
//! its machine does.

mod attributes;
mod change;
mod console;
mod describe;
mod devices;
mod fit;
mod metadata;
mod parameters;
mod place;
mod render;
mod run;
mod settle;
mod status;

use super::lookup;
use crate::ec2::call::{Answer, Call};
use emulator_protocol::{AwsError, Caller, Params};
use emulator_state::world::{Instance, World};
use time::Duration;

pub(super) use metadata::check_tags as check_metadata_tags;
pub(super) use settle::settle;

/// How long a terminated instance is still listed.
const LISTED_AFTER_END: Duration = Duration::hours(1);

/// Answers an action that is this module's; `None` for any other.
pub(super) async fn handle(call: &Call<'_>, action: &str) -> Option<Answer> {
    Some(match action {
        "RunInstances" => run::run(call).await,
        "DescribeInstances" => describe::describe(call),
        "DescribeInstanceStatus" => status::describe(call),
        "StartInstances" => change::start(call).await,
        "StopInstances" => change::stop(call).await,
        "RebootInstances" => change::reboot(call).await,
        "TerminateInstances" => change::terminate(call).await,
        "DescribeInstanceAttribute" => attributes::describe(call),
        "ModifyInstanceAttribute" => attributes::modify(call).await,
        "ModifyInstanceMetadataOptions" => metadata::modify(call),
        "DescribeInstanceCreditSpecifications" => attributes::credits(call),
        "GetConsoleOutput" => console::output(call).await,
        _ => return None,
    })
}

/// The caller's instances of these ids, each once, in the order given.
fn find<'a>(
    world: &'a World,
    caller: &Caller,
    ids: &[&str],
) -> Result<Vec<&'a Instance>, AwsError> {
    let mut found: Vec<&Instance> = Vec::new();
    let mut missing = Vec::new();
    for id in ids {
        match lookup::instance(world, caller, id) {
            Ok(instance) if found.iter().any(|it| it.id == instance.id) => {}
            Ok(instance) => found.push(instance),
            Err(error) if error.code == "InvalidInstanceID.NotFound" => missing.push(*id),
            Err(error) => return Err(error),
        }
    }
    match missing.as_slice() {
        [] => Ok(found),
        [id] => Err(not_found(format!("The instance ID '{id}' does not exist"))),
        ids => Err(not_found(format!(
            "The instance IDs '{}' do not exist",
            ids.join(", ")
        ))),
    }
}

fn not_found(message: String) -> AwsError {
    AwsError::new("InvalidInstanceID.NotFound", message)
}

/// `InstanceId.N`, of which there has to be one.
fn required_ids(params: &Params) -> Result<Vec<&str>, AwsError> {
    let ids = params.list("InstanceId");
    if ids.is_empty() {
        return Err(AwsError::new(
            "MissingParameter",
            "The request must contain the parameter InstanceId",
        ));
    }
    Ok(ids)
}

#[cfg(test)]
mod tests;

//! What is LocalStack's, and can't be deleted because an instance has it: LocalStack has none of the
//! instances.

use super::call::Call;
use emulator_protocol::AwsError;
use emulator_state::world::Instance;

/// Refuses to delete a security group or a subnet that an instance has which is not terminated.
pub(super) async fn check(call: &Call<'_>, action: &str) -> Result<(), AwsError> {
    match action {
        "DeleteSecurityGroup" => {
            let Some(id) = group(call).await? else {
                return Ok(());
            };
            let has = |it: &Instance| it.interface.groups.iter().any(|(group, _)| *group == id);
            refuse_if(call, has, || {
                format!("resource {id} has a dependent object")
            })
        }
        "DeleteSubnet" => {
            let Some(id) = call.params.get("SubnetId") else {
                return Ok(());
            };
            let has = |it: &Instance| it.interface.subnet == id;
            refuse_if(call, has, || {
                format!("The subnet '{id}' has dependencies and cannot be deleted.")
            })
        }
        _ => Ok(()),
    }
}

/// The group that is to be deleted: a name is one of the default VPC's.
async fn group(call: &Call<'_>) -> Result<Option<String>, AwsError> {
    if let Some(id) = call.params.get("GroupId") {
        return Ok(Some(id.to_owned()));
    }
    let Some(name) = call.params.get("GroupName") else {
        return Ok(None);
    };
    let network = &call.services.network;
    let subnets = network.subnets(call.caller).await?;
    let Some(default) = subnets.into_iter().find(|it| it.default_for_zone) else {
        return Ok(None);
    };
    let groups = network.security_groups(call.caller).await?;
    let is_it = |it: &emulator_backend::SecurityGroup| it.name == name && it.vpc == default.vpc;
    Ok(groups.into_iter().find(is_it).map(|it| it.id))
}

fn refuse_if(
    call: &Call<'_>,
    has: impl Fn(&Instance) -> bool,
    message: impl FnOnce() -> String,
) -> Result<(), AwsError> {
    // Whether it would be allowed to is another question than whether it could be done.
    if call.params.bool("DryRun")? == Some(true) {
        return Ok(());
    }
    let is_in_use = call.services.store.read(|world| {
        world.instances.values().any(|it| {
            it.owner == call.caller.account
                && it.region == call.caller.region
                && !it.state.has_ended(call.now)
                && has(it)
        })
    });
    if is_in_use {
        return Err(AwsError::new("DependencyViolation", message()));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::testing::{World, world};
    use emulator_protocol::{Caller, Params};
    use emulator_state::world::{Change, Instance, InstanceState, Interface, Reason};
    use emulator_testing::{caller, caller_of, instance};

    const SUBNET: &str = "Action=DeleteSubnet&SubnetId=subnet-a";
    const GROUP: &str = "Action=DeleteSecurityGroup&GroupId=sg-00000002";
    const BY_NAME: &str = "Action=DeleteSecurityGroup&GroupName=web";

    /// An error's code; nothing if LocalStack is asked.
    async fn code(world: &World, caller: &Caller, form: &str) -> Option<String> {
        let params = Params::parse(form.as_bytes()).unwrap();
        let answer = crate::ec2::handle(&world.services, caller, &params).await?;
        Some(answer.unwrap_err().code.into_owned())
    }

    /// An instance in the subnet and the group, in this state.
    fn put(world: &World, state: InstanceState) {
        let base = instance(&caller(), "i-01111111111111111", world.services.clock.now());
        let instance = Instance {
            state,
            interface: Interface {
                subnet: "subnet-a".to_owned(),
                vpc: "vpc-default".to_owned(),
                groups: vec![("sg-00000002".to_owned(), "web".to_owned())],
                ..base.interface.clone()
            },
            ..base
        };
        world
            .services
            .store
            .write(|_, changes| {
                changes.push(Change::Instance(Box::new(instance)));
                Ok(())
            })
            .unwrap();
    }

    #[tokio::test]
    async fn what_an_instance_has_stays_until_it_is_terminated() {
        let world = world();
        let now = world.services.clock.now();
        for form in [SUBNET, GROUP, BY_NAME] {
            assert_eq!(code(&world, &caller(), form).await, None, "{form}");
        }
        let reason = Reason {
            code: String::new(),
            message: String::new(),
            transition: String::new(),
        };
        let violation = Some("DependencyViolation".to_owned());
        for (state, expected) in [
            (InstanceState::Running { at: now }, &violation),
            (
                InstanceState::Stopped {
                    at: now,
                    reason: reason.clone(),
                },
                &violation,
            ),
            (
                InstanceState::Ending {
                    since: now,
                    reason: reason.clone(),
                },
                &violation,
            ),
            (InstanceState::Terminated { at: now, reason }, &None),
        ] {
            put(&world, state.clone());
            for form in [SUBNET, GROUP, BY_NAME] {
                let code = code(&world, &caller(), form).await;
                assert_eq!(code, *expected, "{state:?}: {form}");
            }
        }
    }

    #[tokio::test]
    async fn others_are_localstacks() {
        let world = world();
        put(
            &world,
            InstanceState::Running {
                at: world.services.clock.now(),
            },
        );
        for form in [
            "Action=DeleteSubnet&SubnetId=subnet-b",
            "Action=DeleteSecurityGroup&GroupId=sg-00000001",
            "Action=DeleteSecurityGroup&GroupName=default",
            "Action=DeleteSecurityGroup",
            "Action=DeleteSubnet&SubnetId=subnet-a&DryRun=true",
        ] {
            assert_eq!(code(&world, &caller(), form).await, None, "{form}");
        }
        for other in [
            caller_of("222222222222", "us-east-1"),
            caller_of("111111111111", "eu-west-1"),
        ] {
            assert_eq!(code(&world, &other, SUBNET).await, None, "{other:?}");
        }
    }
}

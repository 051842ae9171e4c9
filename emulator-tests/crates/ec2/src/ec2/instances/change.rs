//! `StartInstances`, `StopInstances`, `RebootInstances`, `TerminateInstances`: of all the instances
//! named, or of none.

use super::run::public_address;
use super::{find, render, required_ids};
use crate::ec2::call::{Answer, Call};
use crate::machines::{Bootable, PowerOff};
use emulator_protocol::{AwsError, Params, Xml};
use emulator_state::world::{
    Change, Instance, InstanceState, Interface, Reason, StateName, Volume, World,
};
use std::collections::BTreeSet;
use time::macros::format_description;

/// An instance that a call has looked at, and what comes of it: nothing, if it is so already.
struct Changed {
    before: StateName,
    instance: Instance,
    new: bool,
}

/// Decides for each instance named, in one transaction.
fn all(
    call: &Call<'_>,
    decide: impl Fn(&World, &Instance, StateName) -> Result<Option<Instance>, AwsError>,
) -> Result<Vec<Changed>, AwsError> {
    let ids = required_ids(call.params)?;
    call.services.store.write(|world, changes| {
        let mut changed = Vec::new();
        for instance in find(world, call.caller, &ids)? {
            let before = instance.state.name(call.now);
            let after = decide(world, instance, before)?;
            let new = after.is_some();
            let instance = after.unwrap_or_else(|| instance.clone());
            if new {
                changes.push(Change::Instance(Box::new(instance.clone())));
            }
            changed.push(Changed {
                before,
                instance,
                new,
            });
        }
        call.dry_run()?;
        Ok(changed)
    })
}

fn answer(call: &Call<'_>, changed: &[Changed]) -> Xml {
    let mut xml = Xml::new();
    xml.list("instancesSet", changed, |xml, it| {
        xml.leaf("instanceId", &it.instance.id);
        render::state(xml, "currentState", it.instance.state.name(call.now));
        render::state(xml, "previousState", it.before);
    });
    xml
}

fn incorrect(id: &str, done: &str) -> AwsError {
    AwsError::new(
        "IncorrectInstanceState",
        format!("The instance '{id}' is not in a state from which it can be {done}."),
    )
}

fn protected(id: &str, done: &str, attribute: &str) -> AwsError {
    AwsError::new(
        "OperationNotPermitted",
        format!(
            "The instance '{id}' may not be {done}. Modify its '{attribute}' instance attribute \
             and try again."
        ),
    )
}

fn user_initiated(call: &Call<'_>) -> Reason {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] GMT");
    // Formatting fails only on a component that the type lacks; this type has all of them.
    let when = call.now.format(format).unwrap_or_default();
    Reason {
        code: "Client.UserInitiatedShutdown".to_owned(),
        message: "Client.UserInitiatedShutdown: User initiated shutdown".to_owned(),
        transition: format!("User initiated ({when})"),
    }
}

/// `StartInstances`.
pub(super) async fn start(call: &Call<'_>) -> Answer {
    if call.params.get("AdditionalInfo").is_some() {
        return Err(AwsError::new(
            "UnsupportedOperation",
            "This emulator does not support the parameter AdditionalInfo",
        ));
    }
    let boots = bootable(call)?;
    let changed = all(call, |world, it, state| match state {
        StateName::RUNNING | StateName::PENDING => Ok(None),
        StateName::STOPPED => {
            let root = render::volumes(world, it).into_iter().any(|volume| {
                volume
                    .attachment
                    .as_ref()
                    .is_some_and(|at| at.device == it.root_device)
            });
            if !root {
                return Err(AwsError::new(
                    "IncorrectInstanceState",
                    format!(
                        "Invalid value '{}' for instanceId. Instance does not have a volume \
                         attached at root ({})",
                        it.id, it.root_device
                    ),
                ));
            }
            let public = it.interface.public;
            let booted = boots.contains(&it.id);
            Ok(Some(Instance {
                launched: call.now,
                booted,
                state: if booted {
                    InstanceState::Booting {
                        since: call.now,
                        new: false,
                    }
                } else {
                    InstanceState::Running {
                        at: call.now + call.services.settle,
                    }
                },
                interface: Interface {
                    public_ip: public.then(|| public_address(call.services.ids.number())),
                    ..it.interface.clone()
                },
                ..it.clone()
            }))
        }
        _ => Err(incorrect(&it.id, "started")),
    })?;
    for it in changed.iter().filter(|it| it.new) {
        call.services.machines.start(&it.instance).await?;
    }
    Ok(answer(call, &changed))
}

/// Which of the instances named machines are to boot.
fn bootable(call: &Call<'_>) -> Result<BTreeSet<String>, AwsError> {
    let ids = required_ids(call.params)?;
    let roots: Vec<(Instance, Volume)> = call.services.store.read(|world| {
        let found = find(world, call.caller, &ids)?;
        let root = |it: &Instance| {
            let is_root = |volume: &&Volume| {
                volume
                    .attachment
                    .as_ref()
                    .is_some_and(|at| at.device == it.root_device)
            };
            render::volumes(world, it)
                .into_iter()
                .find(is_root)
                .map(|volume| (it.clone(), volume.clone()))
        };
        Ok::<_, AwsError>(found.into_iter().filter_map(root).collect())
    })?;
    Ok(roots
        .into_iter()
        .filter(|(instance, root)| {
            call.services.machines.boots(Bootable {
                architecture: &instance.architecture,
                virtualization: &instance.virtualization,
                layers: &root.layers,
                blank: root.blank,
            })
        })
        .map(|(instance, _)| instance.id)
        .collect())
}

/// What a request says of how its instances power off. Those that do so already are told, too, if it
/// is more than to ask them.
fn power_off(params: &Params) -> Result<PowerOff, AwsError> {
    let force = params.bool("Force")?.unwrap_or_default();
    let skip = params.bool("SkipOsShutdown")?.unwrap_or_default();
    Ok(match (skip, force) {
        (true, _) => PowerOff::Cut,
        (false, true) => PowerOff::Force,
        (false, false) => PowerOff::Ask,
    })
}

/// `StopInstances`.
pub(super) async fn stop(call: &Call<'_>) -> Answer {
    if call.params.bool("Hibernate")? == Some(true) {
        return Err(AwsError::new(
            "UnsupportedHibernationConfiguration",
            "The instance is not configured for hibernation.",
        ));
    }
    let how = power_off(call.params)?;
    let changed = all(call, |_, it, state| match state {
        StateName::STOPPED | StateName::STOPPING => Ok(None),
        StateName::RUNNING if it.stop_protection => {
            Err(protected(&it.id, "stopped", "disableApiStop"))
        }
        StateName::RUNNING => Ok(Some(Instance {
            state: if it.has_machine() {
                InstanceState::PoweringOff {
                    since: call.now,
                    reason: user_initiated(call),
                }
            } else {
                InstanceState::Stopped {
                    at: call.now + call.services.settle,
                    reason: user_initiated(call),
                }
            },
            ..it.clone()
        })),
        _ => Err(incorrect(&it.id, "stopped")),
    })?;
    for it in changed.iter().filter(|it| it.new || how > PowerOff::Ask) {
        call.services.machines.stop(&it.instance, how).await?;
    }
    Ok(answer(call, &changed))
}

/// `RebootInstances`.
pub(super) async fn reboot(call: &Call<'_>) -> Answer {
    let changed = all(call, |_, it, state| match state {
        StateName::RUNNING => Ok(None),
        _ => Err(incorrect(&it.id, "rebooted")),
    })?;
    for it in &changed {
        call.services.machines.reboot(&it.instance).await?;
    }
    Ok(Xml::done())
}

/// `TerminateInstances`.
pub(super) async fn terminate(call: &Call<'_>) -> Answer {
    let how = power_off(call.params)?;
    let changed = all(call, |_, it, state| match state {
        StateName::TERMINATED | StateName::SHUTTING_DOWN => Ok(None),
        // It is about to end for a reason of its own.
        _ if it.state.ends() => Ok(None),
        _ if it.termination_protection => {
            Err(protected(&it.id, "terminated", "disableApiTermination"))
        }
        _ => Ok(Some(Instance {
            state: if it.has_machine() {
                InstanceState::Ending {
                    since: call.now,
                    reason: user_initiated(call),
                }
            } else {
                InstanceState::Terminated {
                    at: call.now + call.services.settle,
                    reason: user_initiated(call),
                }
            },
            ..it.clone()
        })),
    })?;
    for it in changed.iter().filter(|it| it.new || how > PowerOff::Ask) {
        call.services.machines.terminate(&it.instance, how).await?;
    }
    Ok(answer(call, &changed))
}

//! What becomes of an instance's record.

use emulator_protocol::AwsError;
use emulator_state::world::{Change, Instance, InstanceState, Reason, Store, World};
use time::OffsetDateTime;

/// How a machine ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was asked to: the record says for what.
    Asked,
    /// The guest powered off by itself.
    PowerOff,
    /// QEMU ended, and nobody had asked for it; its last words.
    Died(String),
    /// It could not be started; why.
    NotStarted(String),
    /// The emulator ends, or has ended.
    Emulator,
}

fn reason(code: &str, message: &str) -> Reason {
    Reason {
        code: code.to_owned(),
        message: format!("{code}: {message}"),
        transition: code.to_owned(),
    }
}

/// The state after `end`; `None` if it stays.
fn state_after(instance: &Instance, end: &End, at: OffsetDateTime) -> Option<InstanceState> {
    let terminates = instance.shutdown_behavior == "terminate";
    let by_behavior = |reason| {
        if terminates {
            InstanceState::Terminated { at, reason }
        } else {
            InstanceState::Stopped { at, reason }
        }
    };
    match &instance.state {
        InstanceState::Ending { reason, .. } => {
            let reason = reason.clone();
            return Some(InstanceState::Terminated { at, reason });
        }
        InstanceState::PoweringOff { reason, .. } => {
            let reason = reason.clone();
            return Some(InstanceState::Stopped { at, reason });
        }
        InstanceState::Booting { .. } | InstanceState::Running { .. } => {}
        _ => return None,
    }
    match end {
        End::Asked => None,
        End::PowerOff => Some(by_behavior(reason(
            "Client.InstanceInitiatedShutdown",
            "Instance initiated shutdown",
        ))),
        End::Died(_) => Some(by_behavior(reason(
            "Server.InternalError",
            "The machine ended unexpectedly",
        ))),
        End::NotStarted(why) => {
            let message = format!("Internal error on launch: {why}");
            let reason = reason("Server.InternalError", &message);
            Some(match instance.state {
                InstanceState::Booting { new: true, .. } => InstanceState::Failed { at, reason },
                _ => InstanceState::Stopped { at, reason },
            })
        }
        End::Emulator => Some(InstanceState::Stopped {
            at,
            reason: reason("Server.ScheduledStop", "The emulator ended"),
        }),
    }
}

/// Writes down that an instance's machine has ended. Doing it twice changes nothing.
pub(super) fn ended(
    store: &Store,
    id: &str,
    end: &End,
    now: OffsetDateTime,
) -> Result<(), AwsError> {
    store.write(|world, changes| {
        changes.extend(after(world, id, end, now));
        Ok(())
    })
}

fn after(world: &World, id: &str, end: &End, now: OffsetDateTime) -> Option<Change> {
    let instance = world.instances.get(id)?;
    let state = state_after(instance, end, now)?;
    Some(Change::Instance(Box::new(Instance {
        state,
        ..instance.clone()
    })))
}

/// Writes down that an instance's machine runs.
pub(super) fn runs(store: &Store, id: &str, now: OffsetDateTime) -> Result<(), AwsError> {
    store.write(|world, changes| {
        if let Some(instance) = world.instances.get(id)
            && matches!(instance.state, InstanceState::Booting { .. })
        {
            changes.push(Change::Instance(Box::new(Instance {
                state: InstanceState::Running { at: now },
                ..instance.clone()
            })));
        }
        Ok(())
    })
}

/// Writes down that all machines have ended with an earlier emulator.
///
/// # Errors
/// The journal can't be written.
pub fn all_ended(store: &Store, now: OffsetDateTime) -> Result<(), AwsError> {
    store.write(|world, changes| {
        let machines = world.instances.values().filter(|it| it.has_machine());
        changes.extend(machines.filter_map(|it| after(world, &it.id, &End::Emulator, now)));
        let live = world.volumes.values().filter(|it| it.live.is_some());
        changes.extend(live.map(|it| {
            Change::Volume(emulator_state::world::Volume {
                live: None,
                ..it.clone()
            })
        }));
        Ok(())
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use emulator_state::world::StateName;
    use emulator_testing as testing;
    use time::macros::datetime;

    #[test]
    fn what_becomes_of_an_instance() {
        let now = datetime!(2026-01-01 00:00 UTC);
        let since = now;
        let user = reason("Client.UserInitiatedShutdown", "User initiated shutdown");
        let booting = |new| InstanceState::Booting { since, new };
        let running = InstanceState::Running { at: now };
        let ending = InstanceState::Ending {
            since,
            reason: user.clone(),
        };
        let powering_off = InstanceState::PoweringOff {
            since,
            reason: user,
        };
        let died = End::Died(String::new());
        let not_started = End::NotStarted(String::new());
        let initiated = "Client.InstanceInitiatedShutdown";
        let internal = "Server.InternalError";
        let by_user = "Client.UserInitiatedShutdown";
        for (state, behavior, end, name, code) in [
            (
                &running,
                "stop",
                &End::PowerOff,
                StateName::STOPPED,
                initiated,
            ),
            (
                &running,
                "terminate",
                &End::PowerOff,
                StateName::TERMINATED,
                initiated,
            ),
            (&running, "stop", &died, StateName::STOPPED, internal),
            (
                &running,
                "terminate",
                &died,
                StateName::TERMINATED,
                internal,
            ),
            (
                &powering_off,
                "terminate",
                &End::Asked,
                StateName::STOPPED,
                by_user,
            ),
            (&powering_off, "stop", &died, StateName::STOPPED, by_user),
            (&ending, "stop", &End::Asked, StateName::TERMINATED, by_user),
            (
                &ending,
                "stop",
                &End::Emulator,
                StateName::TERMINATED,
                by_user,
            ),
            (
                &booting(true),
                "stop",
                &not_started,
                StateName::TERMINATED,
                internal,
            ),
            (
                &booting(false),
                "terminate",
                &not_started,
                StateName::STOPPED,
                internal,
            ),
            (
                &running,
                "terminate",
                &End::Emulator,
                StateName::STOPPED,
                "Server.ScheduledStop",
            ),
            (
                &booting(true),
                "stop",
                &End::Emulator,
                StateName::STOPPED,
                "Server.ScheduledStop",
            ),
        ] {
            let instance = Instance {
                state: state.clone(),
                shutdown_behavior: behavior.to_owned(),
                ..testing::instance(&testing::caller(), "i-01111111111111111", now)
            };
            let after = state_after(&instance, end, now).unwrap();
            let what = format!("{state:?}, {behavior}, {end:?}");
            assert_eq!(after.name(now), name, "{what}");
            assert_eq!(after.reason(now).unwrap().code, code, "{what}");
            // Once more is no change.
            let instance = Instance {
                state: after,
                ..instance
            };
            assert_eq!(state_after(&instance, end, now), None, "{what}");
        }
    }
}

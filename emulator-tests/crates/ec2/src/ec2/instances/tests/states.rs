//! Starting, stopping, rebooting, terminating.

use super::*;
use crate::machines::{Bootable, Machines, PowerOff};
use async_trait::async_trait;
use emulator_state::world::Instance;
use std::sync::{Arc, Mutex};
use time::Duration;

#[tokio::test]
async fn states_pass_in_time() {
    let world = with_image(|_| {});
    let id = launch(&world, "").await;
    let tick = || world.clock.advance(Duration::seconds(1));
    let act = |action: &str| format!("Action={action}&InstanceId.1={id}");
    assert_eq!(state(&world, &id).await, "pending");
    assert_eq!(
        code(call(&world, &act("StopInstances")).await),
        "IncorrectInstanceState"
    );
    assert_eq!(
        code(call(&world, &act("RebootInstances")).await),
        "IncorrectInstanceState"
    );
    tick();
    assert_eq!(state(&world, &id).await, "running");
    assert!(call(&world, &act("RebootInstances")).await.is_ok());
    let again = call(&world, &act("StartInstances")).await.unwrap();
    assert_eq!(text(text(&again, "currentState"), "code"), "16");

    let stop = call(&world, &act("StopInstances")).await.unwrap();
    assert_eq!(text(text(&stop, "currentState"), "name"), "stopping");
    assert_eq!(text(text(&stop, "previousState"), "name"), "running");
    assert_eq!(
        code(call(&world, &act("StartInstances")).await),
        "IncorrectInstanceState"
    );
    tick();
    let stopped = call(&world, &act("DescribeInstances")).await.unwrap();
    assert_eq!(text(text(&stopped, "instanceState"), "code"), "80");
    assert_eq!(
        text(text(&stopped, "stateReason"), "code"),
        "Client.UserInitiatedShutdown"
    );
    assert_eq!(
        text(&stopped, "reason"),
        "User initiated (2026-01-01 00:00:01 GMT)"
    );
    assert!(!stopped.contains("ipAddress>198"));
    assert!(call(&world, &act("StopInstances")).await.is_ok());
    assert_eq!(
        code(call(&world, &act("RebootInstances")).await),
        "IncorrectInstanceState"
    );
    call(&world, &act("StartInstances")).await.unwrap();
    assert_eq!(state(&world, &id).await, "pending");
    tick();

    call(&world, &act("TerminateInstances")).await.unwrap();
    assert_eq!(state(&world, &id).await, "shutting-down");
    tick();
    let gone = call(&world, &act("DescribeInstances")).await.unwrap();
    assert_eq!(text(text(&gone, "instanceState"), "name"), "terminated");
    assert_eq!(text(&gone, "networkInterfaceSet"), "");
    assert_eq!(text(&gone, "blockDeviceMapping"), "");
    assert!(call(&world, &act("TerminateInstances")).await.is_ok());
    for action in ["StartInstances", "StopInstances", "RebootInstances"] {
        assert_eq!(
            code(call(&world, &act(action)).await),
            "IncorrectInstanceState",
            "{action}"
        );
    }
    world.clock.advance(Duration::hours(1));
    let none = call(&world, &act("DescribeInstances")).await;
    assert_eq!(code(none), "InvalidInstanceID.NotFound");
    world
        .services
        .store
        .read(|world| assert!(world.instances.is_empty()));
}

#[tokio::test]
async fn of_several_instances_all_change_or_none() {
    let world = with_image(|_| {});
    let one = launch(&world, "").await;
    let other = launch(&world, "&DisableApiTermination=true&DisableApiStop=true").await;
    world.clock.advance(Duration::seconds(1));
    let both = format!("InstanceId.1={one}&InstanceId.2={other}");
    for action in ["TerminateInstances", "StopInstances"] {
        let refused = call(&world, &format!("Action={action}&{both}")).await;
        assert_eq!(code(refused), "OperationNotPermitted", "{action}");
        assert_eq!(state(&world, &one).await, "running");
    }
    let missing = format!("Action=StopInstances&InstanceId.1={one}&InstanceId.2=i-00000000");
    assert_eq!(
        code(call(&world, &missing).await),
        "InvalidInstanceID.NotFound"
    );
    assert_eq!(state(&world, &one).await, "running");
    assert_eq!(
        code(call(&world, "Action=StopInstances").await),
        "MissingParameter"
    );
    let hibernate = format!("Action=StopInstances&Hibernate=true&InstanceId.1={one}");
    assert_eq!(
        code(call(&world, &hibernate).await),
        "UnsupportedHibernationConfiguration"
    );
    let dry = format!("Action=TerminateInstances&DryRun=true&InstanceId.1={one}");
    assert_eq!(call(&world, &dry).await.unwrap_err().status, 412);
    assert_eq!(state(&world, &one).await, "running");
}

/// Notes who is to power off, and how.
#[derive(Default)]
struct Noting(Mutex<Vec<(&'static str, PowerOff)>>);

#[async_trait]
impl Machines for Noting {
    fn boots(&self, _what: Bootable<'_>) -> bool {
        true
    }

    async fn start(&self, _instance: &Instance) -> Result<(), AwsError> {
        Ok(())
    }

    async fn stop(&self, _instance: &Instance, how: PowerOff) -> Result<(), AwsError> {
        self.0.lock().unwrap().push(("stop", how));
        Ok(())
    }

    async fn reboot(&self, _instance: &Instance) -> Result<(), AwsError> {
        Ok(())
    }

    async fn terminate(&self, _instance: &Instance, how: PowerOff) -> Result<(), AwsError> {
        self.0.lock().unwrap().push(("terminate", how));
        Ok(())
    }

    async fn console(&self, _instance: &Instance) -> Result<Vec<u8>, AwsError> {
        Ok(Vec::new())
    }

    fn settle_volumes(&self, _volumes: &[String]) -> Result<(), AwsError> {
        Ok(())
    }

    fn forget(&self, _instance: &str) {}
}

#[tokio::test]
async fn one_that_powers_off_can_still_be_forced() {
    let mut world = with_image(|_| {});
    let machines = Arc::new(Noting::default());
    world.services.machines = machines.clone();
    let id = "i-00000000000000001";
    let now = world.services.clock.now();
    let running = Instance {
        booted: true,
        ..emulator_testing::instance(&caller(), id, now)
    };
    put(&world, Change::Instance(Box::new(running)));
    let said = || std::mem::take(&mut *machines.0.lock().unwrap());
    for (action, more, is, says) in [
        ("Stop", "", "stopping", vec![("stop", PowerOff::Ask)]),
        ("Stop", "", "stopping", vec![]),
        (
            "Stop",
            "&Force=true",
            "stopping",
            vec![("stop", PowerOff::Force)],
        ),
        ("Stop", "&Force=false", "stopping", vec![]),
        (
            "Stop",
            "&SkipOsShutdown=true",
            "stopping",
            vec![("stop", PowerOff::Cut)],
        ),
        (
            "Terminate",
            "",
            "shutting-down",
            vec![("terminate", PowerOff::Ask)],
        ),
        ("Terminate", "", "shutting-down", vec![]),
        (
            "Terminate",
            "&Force=true&SkipOsShutdown=true",
            "shutting-down",
            vec![("terminate", PowerOff::Cut)],
        ),
    ] {
        let form = format!("Action={action}Instances&InstanceId.1={id}{more}");
        call(&world, &form).await.unwrap();
        assert_eq!(said(), says, "{form}");
        assert_eq!(state(&world, id).await, is, "{form}");
    }
}

//! What can be done to volumes while their instance is in this or that state.

use super::*;
use emulator_state::world::{Attachment, Instance, InstanceState, Reason};

/// What an instance may be, two seconds from now.
fn states(w: &World) -> Vec<(&'static str, InstanceState)> {
    let now = w.services.clock.now();
    let (soon, later) = (now + Duration::seconds(1), now + Duration::seconds(9));
    let reason = Reason {
        code: "Client.UserInitiatedShutdown".to_owned(),
        message: String::new(),
        transition: String::new(),
    };
    let stopped = |at| InstanceState::Stopped {
        at,
        reason: reason.clone(),
    };
    let terminated = |at| InstanceState::Terminated {
        at,
        reason: reason.clone(),
    };
    vec![
        ("pending", InstanceState::Running { at: later }),
        ("running", InstanceState::Running { at: soon }),
        ("stopping", stopped(later)),
        ("stopped", stopped(soon)),
        ("shutting-down", terminated(later)),
        ("terminated", terminated(soon)),
    ]
}

#[tokio::test]
async fn an_instances_state_says_what_its_volumes_do() {
    let me = caller();
    let empty = world();
    for (name, state) in states(&empty) {
        let w = world();
        let root = create(&w, &me, "&Size=1").await;
        let data = create(&w, &me, "&Size=1").await;
        w.clock.advance(Duration::seconds(2));
        let it = instance(&me, INSTANCE, w.services.clock.now());
        put(
            &w,
            Change::Instance(Box::new(Instance {
                state,
                ..it.clone()
            })),
        );
        put(
            &w,
            Change::Volume(Volume {
                attachment: Some(Attachment {
                    instance: INSTANCE.to_owned(),
                    device: it.root_device,
                    since: w.services.clock.now(),
                    delete_on_termination: false,
                }),
                ..get(&w, &root).unwrap()
            }),
        );
        let attach =
            format!("Action=AttachVolume&VolumeId={data}&InstanceId={INSTANCE}&Device=/dev/sdf");
        let snapshots =
            format!("Action=CreateSnapshots&InstanceSpecification.InstanceId={INSTANCE}");
        let without_root = format!("{snapshots}&InstanceSpecification.ExcludeBootVolume=true");
        let detach = format!("Action=DetachVolume&VolumeId={root}");
        let usable = matches!(name, "running" | "stopped");
        let ends = matches!(name, "shutting-down" | "terminated");
        for (form, is) in [
            (attach, if usable { "ok" } else { "IncorrectState" }),
            (snapshots, if ends { "IncorrectState" } else { "ok" }),
            (
                without_root,
                match name {
                    _ if ends => "IncorrectState",
                    _ if usable => "ok",
                    // Nothing else is attached.
                    _ => "InvalidParameterValue",
                },
            ),
            (
                detach,
                match name {
                    "stopped" => "ok",
                    // It has no volumes any more.
                    "terminated" => "IncorrectState",
                    _ => "OperationNotPermitted",
                },
            ),
        ] {
            let answer = w.ec2(&me, &form).await;
            let code = answer.map_or_else(|error| error.code.into_owned(), |_| "ok".to_owned());
            assert_eq!(code, is, "{name} {form}");
        }
    }
}

#[tokio::test]
async fn a_volume_is_where_its_instance_is() {
    let w = world();
    let me = caller();
    put_instance(&w, &me, INSTANCE);
    let form = "Action=CreateVolume&AvailabilityZone=us-east-1b&Size=1";
    let xml = w.ec2(&me, form).await.unwrap();
    w.clock.advance(Duration::seconds(1));
    let form = format!(
        "Action=AttachVolume&VolumeId={}&InstanceId={INSTANCE}&Device=/dev/sdf",
        inside(&xml, "volumeId")
    );
    // Also of an instance without any other volume.
    assert_eq!(code(&w, &me, &form).await, "InvalidVolume.ZoneMismatch");
}

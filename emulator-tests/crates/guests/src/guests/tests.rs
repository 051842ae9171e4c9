//! Guests that come at the wrong time, or not at all. No QEMU runs here.

use super::*;
use emulator_ec2::Machines;
use emulator_state::world::{Attachment, Change, InstanceState, Reason, StateName, Volume};
use emulator_testing::{self as testing, TestState};
use std::sync::atomic::Ordering;

const ID: &str = "i-01111111111111111";
const VOL: &str = "vol-01111111111111111";
const PATIENCE: Duration = Duration::from_secs(60);

/// Guests with room for one.
fn guests(w: &TestState) -> Guests {
    let nowhere = "127.0.0.1:1".parse().unwrap();
    Guests::open(Setup {
        dir: w.dir.path().join("guests"),
        limits: Limits {
            guests: 1,
            cpus: 1,
            memory_mib: 512,
        },
        storage: Storage {
            store: Arc::clone(&w.store),
            layers: w.layers.clone(),
            ids: w.ids.clone(),
        },
        clock: w.clock.clone(),
        sts: Arc::new(testing::TestSts::default()),
        network: w.network.clone(),
        gateway: nowhere,
    })
    .unwrap()
}

/// Writes down an instance with a volume, which is to boot but that its record has this state. Gives
/// it as whoever launched it has it.
fn launched(w: &TestState, state: Option<InstanceState>) -> Instance {
    let (caller, now) = (testing::caller(), w.clock.now());
    let instance = Instance {
        booted: true,
        state: InstanceState::Booting {
            since: now,
            new: true,
        },
        ..testing::instance(&caller, ID, now)
    };
    let volume = Volume {
        attachment: Some(Attachment {
            instance: ID.to_owned(),
            device: instance.root_device.clone(),
            since: now,
            delete_on_termination: true,
        }),
        ..testing::volume(&caller, VOL, now)
    };
    let record = Instance {
        state: state.unwrap_or_else(|| instance.state.clone()),
        ..instance.clone()
    };
    w.store
        .write(|_, changes| {
            changes.push(Change::Instance(Box::new(record)));
            changes.push(Change::Volume(volume));
            Ok(())
        })
        .unwrap();
    instance
}

fn state(w: &TestState) -> InstanceState {
    w.store.read(|world| world.instances[ID].state.clone())
}

fn volume(w: &TestState) -> Volume {
    w.store.read(|world| world.volumes[VOL].clone())
}

/// Waits until something is so.
async fn until(is_so: impl Fn() -> bool) {
    let waits = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waits).await.unwrap();
}

#[tokio::test]
async fn one_that_was_terminated_before_its_machine_began_has_none() {
    let reason = Reason {
        code: "Client.UserInitiatedShutdown".to_owned(),
        message: String::new(),
        transition: String::new(),
    };
    let at = testing::state().clock.now();
    for (before, after) in [
        (
            InstanceState::Terminated {
                at,
                reason: reason.clone(),
            },
            StateName::TERMINATED,
        ),
        // Whoever terminates it has not yet looked for its machine, or has given it the order.
        (
            InstanceState::Ending {
                since: at,
                reason: reason.clone(),
            },
            StateName::TERMINATED,
        ),
        (
            InstanceState::PoweringOff { since: at, reason },
            StateName::STOPPED,
        ),
    ] {
        let w = testing::state();
        let guests = guests(&w);
        let instance = launched(&w, Some(before.clone()));
        guests.start(&instance).await.unwrap();
        assert!(!guests.is_live(ID), "{before:?}");
        assert_eq!(state(&w).name(at), after, "{before:?}");
        assert_eq!(*guests.inner.count.borrow(), 0, "{before:?}");
        assert!(volume(&w).layers.is_empty());
    }
}

#[tokio::test]
async fn none_begins_while_the_emulator_ends() {
    let w = testing::state();
    let guests = guests(&w);
    let instance = launched(&w, None);
    guests.end(false).await;
    guests.start(&instance).await.unwrap();
    assert!(!guests.is_live(ID));
    let now = w.clock.now();
    assert_eq!(state(&w).name(now), StateName::STOPPED);
    assert_eq!(state(&w).reason(now).unwrap().code, "Server.ScheduledStop");
    tokio::time::timeout(PATIENCE, guests.end(true))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_a_guest_writes_while_it_starts_is_settled_and_stays() {
    let w = testing::state();
    let guests = guests(&w);
    let instance = launched(&w, None);
    let paused = w.network.paused.write().await;
    guests.start(&instance).await.unwrap();
    // Its disk is open, and it waits for its network.
    let disk = || guests.inner.lock().of.get(ID)?.disks.first().cloned();
    until(|| disk().is_some()).await;
    let block = vec![7; emulator_state::layers::BLOCK_LEN];
    nbd::Export::write(&*disk().unwrap(), 0, &block).unwrap();
    guests.settle_volumes(&[VOL.to_owned()]).unwrap();
    let layers = &w.layers;
    let settled = volume(&w).settled_layers().to_vec();
    assert!(layers.find(&settled, 0).unwrap().is_some());

    // Its subnet is not there: it is not started, and says why.
    drop(paused);
    until(|| *guests.inner.count.borrow() == 0).await;
    let now = w.clock.now();
    let state = state(&w);
    assert_eq!(state.name(now), StateName::TERMINATED);
    let message = &state.reason(now).unwrap().message;
    assert!(message.contains("subnet-01111111111111111"), "{message}");
    let volume = volume(&w);
    assert_eq!((volume.live, volume.layers), (None, settled));
    assert!(!w.dir.path().join("guests").join(ID).join("run").exists());
}

#[tokio::test]
async fn a_start_that_fails_for_a_bug_leaves_no_disk_open() {
    let w = testing::state();
    let guests = guests(&w);
    let instance = launched(&w, None);
    w.network.panics.store(true, Ordering::Relaxed);
    guests.start(&instance).await.unwrap();
    until(|| *guests.inner.count.borrow() == 0).await;
    assert!(!guests.is_live(ID));
    let volume = volume(&w);
    assert_eq!((volume.live, volume.layers), (None, Vec::new()));
    assert!(!w.dir.path().join("guests").join(ID).join("run").exists());
}

#[tokio::test]
async fn the_metadata_service_is_told_of_the_subnet_and_the_vpc() {
    let w = testing::state();
    let guests = guests(&w);
    let mut instance = launched(&w, None);
    instance.interface.subnet = "subnet-a".to_owned();
    let lan = machine::lan(&guests.inner, &instance).await.unwrap();
    let facts = lan.metadata.facts().unwrap();
    assert_eq!(facts.subnet_cidr, "172.31.0.0/20");
    assert_eq!(facts.vpc_cidr.as_deref(), Some("172.31.0.0/16"));
}

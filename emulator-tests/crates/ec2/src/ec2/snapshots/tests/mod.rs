//! What the tests of snapshots start from.
#![allow(clippy::unwrap_used)]

mod copy;
mod create;
mod delete;
mod describe;
mod sharing;

use crate::testing::World;
use emulator_protocol::Caller;
use emulator_state::layers::Blank;
use emulator_state::world::{Change, Permissions, Snapshot, SnapshotState};
use emulator_testing::{caller, caller_of};

const SNAP: &str = "snap-01111111111111111";

fn other() -> Caller {
    caller_of("222222222222", "us-east-1")
}

/// A snapshot of the caller's that is complete, with a layer of its own.
fn snapshot(w: &World, who: &Caller, id: &str) -> Snapshot {
    Snapshot {
        id: id.to_owned(),
        owner: who.account.clone(),
        region: who.region.clone(),
        volume_id: super::NO_VOLUME.to_owned(),
        volume_size: 8,
        description: String::new(),
        encrypted: false,
        kms_key: None,
        parent: None,
        layers: vec![format!("layer-{id}")],
        blank: Blank::Zero,
        full_size: 524_288,
        started: w.services.clock.now(),
        state: SnapshotState::Completed {
            at: w.services.clock.now(),
        },
        permissions: Permissions::default(),
        tags: Default::default(),
        timeout_minutes: None,
        client_token: None,
    }
}

fn with_key(snapshot: Snapshot, who: &Caller, key: &str) -> Snapshot {
    let arn = format!("arn:aws:kms:{}:{}:key/{key}", who.region, who.account);
    Snapshot {
        encrypted: true,
        kms_key: Some(arn),
        blank: Blank::Noise,
        ..snapshot
    }
}

fn put(w: &World, change: Change) {
    w.services
        .store
        .write(|_, changes| {
            changes.push(change);
            Ok(())
        })
        .unwrap();
}

fn put_snapshot(w: &World, snapshot: Snapshot) {
    for layer in &snapshot.layers {
        // It is there already, where two share it.
        let _ = w.services.layers.create(layer);
    }
    put(w, Change::Snapshot(snapshot));
}

fn get(w: &World, id: &str) -> Option<Snapshot> {
    w.services
        .store
        .read(|world| world.snapshots.get(id).cloned())
}

fn inside<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap();
    rest.split_once(&format!("</{name}>")).unwrap().0
}

async fn code(w: &World, who: &Caller, form: &str) -> String {
    w.ec2(who, form).await.unwrap_err().code.into_owned()
}

async fn share(w: &World, id: &str, how: &str) {
    let form = format!("Action=ModifySnapshotAttribute&SnapshotId={id}&{how}");
    w.ec2(&caller(), &form).await.unwrap();
}

const WITH_OTHER: &str = "CreateVolumePermission.Add.1.UserId=222222222222";
const WITH_ALL: &str = "CreateVolumePermission.Add.1.Group=all";

async fn listed(w: &World, who: &Caller, more: &str) -> Vec<String> {
    let form = format!("Action=DescribeSnapshots{more}");
    let xml = w.ec2(who, &form).await.unwrap();
    xml.split("<snapshotId>")
        .skip(1)
        .map(|rest| rest.split('<').next().unwrap().to_owned())
        .collect()
}

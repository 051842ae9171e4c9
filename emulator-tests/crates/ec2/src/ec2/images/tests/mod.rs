//! What the tests of images start from.
#![allow(clippy::unwrap_used, clippy::panic)]

mod copy;
mod create;
mod describe;
mod lifecycle;
mod register;
mod sharing;

use crate::testing::World;
use emulator_protocol::{Account, AwsError, Caller, Region};
use emulator_state::layers::Blank;
use emulator_state::world::{Change, Image, Permissions, Snapshot, SnapshotState};
use time::Duration;

/// A completed, plain snapshot of 8 GiB.
pub const PLAIN: &str = "snap-00000000000000001";
/// What registers it.
pub const REGISTER: &str = "Action=RegisterImage&Name=one&Architecture=x86_64\
    &VirtualizationType=hvm&RootDeviceName=/dev/xvda&BlockDeviceMapping.1.DeviceName=/dev/xvda\
    &BlockDeviceMapping.1.Ebs.SnapshotId=snap-00000000000000001";

/// A snapshot's record, completed and plain.
pub fn snapshot(caller: &Caller, id: &str) -> Snapshot {
    Snapshot {
        id: id.to_owned(),
        owner: caller.account.clone(),
        region: caller.region.clone(),
        volume_id: "vol-ffffffff".to_owned(),
        volume_size: 8,
        description: String::new(),
        encrypted: false,
        kms_key: None,
        parent: None,
        layers: vec![format!("layer-of-{id}")],
        blank: Blank::Zero,
        full_size: 524_288,
        started: time::macros::datetime!(2026-01-01 00:00 UTC),
        state: SnapshotState::Completed {
            at: time::macros::datetime!(2026-01-01 00:00 UTC),
        },
        permissions: Permissions::default(),
        tags: Default::default(),
        timeout_minutes: None,
        client_token: None,
    }
}

/// The same, encrypted with a key.
pub fn encrypted(caller: &Caller, id: &str, key: &str) -> Snapshot {
    Snapshot {
        encrypted: true,
        kms_key: Some(arn(caller, key)),
        blank: Blank::Noise,
        ..snapshot(caller, id)
    }
}

/// A key's ARN.
pub fn arn(caller: &Caller, key: &str) -> String {
    format!("arn:aws:kms:{}:{}:key/{key}", caller.region, caller.account)
}

impl World {
    /// Puts a record.
    pub fn put(&self, change: Change) {
        self.services
            .store
            .write(|_, changes| {
                changes.push(change);
                Ok(())
            })
            .unwrap();
    }

    /// An image's record.
    pub fn image(&self, id: &str) -> Image {
        self.services.store.read(|world| world.images[id].clone())
    }

    /// A snapshot's record.
    pub fn snapshot(&self, id: &str) -> Option<Snapshot> {
        self.services
            .store
            .read(|world| world.snapshots.get(id).cloned())
    }

    /// Makes an image, and waits until it is available.
    pub async fn make(&self, caller: &Caller, form: &str) -> String {
        let id = leaf(&self.ec2(caller, form).await.unwrap(), "imageId");
        self.clock.advance(Duration::seconds(2));
        id
    }

    /// Makes an image of [`PLAIN`].
    pub async fn registered(&self, caller: &Caller) -> String {
        self.put(Change::Snapshot(snapshot(caller, PLAIN)));
        self.make(caller, REGISTER).await
    }

    /// The code of what a call answers, `ok` if it is no error.
    pub async fn code(&self, caller: &Caller, form: &str) -> String {
        code(self.ec2(caller, form).await)
    }
}

/// An answer's code, `ok` if it is no error.
pub fn code(answer: Result<String, AwsError>) -> String {
    match answer {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.code.into_owned(),
    }
}

/// The first element of this name.
pub fn leaf(xml: &str, name: &str) -> String {
    let from = xml
        .find(&format!("<{name}>"))
        .unwrap_or_else(|| panic!("no {name} in {xml}"));
    let inner = &xml[from + name.len() + 2..];
    inner[..inner.find(&format!("</{name}>")).unwrap()].to_owned()
}

/// How often an element is there.
pub fn count(xml: &str, name: &str) -> usize {
    xml.matches(&format!("<{name}>")).count()
}

/// An account.
pub fn account(text: &str) -> Account {
    Account::parse(text).unwrap()
}

/// A region.
pub fn region(text: &str) -> Region {
    Region::parse(text).unwrap()
}

/// A form with other values: `NAME=VALUE&…` puts, `-NAME` leaves out.
pub fn with(form: &str, changes: &str) -> String {
    let mut pairs: Vec<(&str, &str)> = form
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .collect();
    for change in changes.split('&') {
        let name = change.trim_start_matches('-').split('=').next().unwrap();
        pairs.retain(|(other, _)| *other != name);
        pairs.extend(change.split_once('='));
    }
    let pairs: Vec<String> = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect();
    pairs.join("&")
}

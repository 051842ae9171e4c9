//! What the tests of instances start from.
#![allow(clippy::unwrap_used)]

mod attributes;
mod described;
mod fit;
mod refused;
mod states;
mod volumes;

use crate::ec2::volumes::provision;
use crate::testing::{World, world};
use emulator_protocol::AwsError;
use emulator_state::layers::Blank;
use emulator_state::world::{
    BlockDevice, Change, EbsDevice, Image, ImageState, Permissions, Snapshot, SnapshotState,
};
use emulator_testing::caller;

const IMAGE: &str = "ami-00000000000000001";
const SNAPSHOT: &str = "snap-00000000000000001";
const SECOND: &str = "snap-00000000000000002";

fn snapshot(world: &World, id: &str, layer: &str) -> Snapshot {
    Snapshot {
        id: id.to_owned(),
        owner: caller().account,
        region: caller().region,
        volume_id: "vol-ffffffff".to_owned(),
        volume_size: 8,
        description: String::new(),
        encrypted: false,
        kms_key: None,
        parent: None,
        layers: vec![layer.to_owned()],
        blank: Blank::Zero,
        full_size: 524_288,
        started: world.services.clock.now(),
        state: SnapshotState::Completed {
            at: world.services.clock.now(),
        },
        permissions: Permissions::default(),
        tags: Default::default(),
        timeout_minutes: None,
        client_token: None,
    }
}

fn ebs(snapshot: Option<&str>, size: u32, delete: bool) -> EbsDevice {
    let gets = provision("gp3", i64::from(size), None, None).unwrap();
    EbsDevice {
        snapshot: snapshot.map(String::from),
        size,
        kind: gets.kind,
        iops: gets.iops,
        throughput: gets.throughput,
        delete_on_termination: delete,
        encrypted: false,
        kms_key: None,
    }
}

fn device(name: &str, ebs: EbsDevice) -> BlockDevice {
    BlockDevice {
        name: name.to_owned(),
        virtual_name: None,
        ebs: Some(ebs),
        no_device: false,
    }
}

fn image(world: &World) -> Image {
    Image {
        id: IMAGE.to_owned(),
        owner: caller().account,
        region: caller().region,
        name: "image".to_owned(),
        description: None,
        architecture: "x86_64".to_owned(),
        virtualization: "hvm".to_owned(),
        root_device: "/dev/xvda".to_owned(),
        devices: vec![
            device("/dev/xvda", ebs(Some(SNAPSHOT), 8, true)),
            device("/dev/sdf", ebs(None, 3, false)),
        ],
        ena: Some(true),
        sriov: Some("simple".to_owned()),
        boot_mode: Some("uefi-preferred".to_owned()),
        tpm: None,
        imds: Some("v2.0".to_owned()),
        uefi_data: None,
        kernel: None,
        ramdisk: None,
        billing_products: Vec::new(),
        created: world.services.clock.now(),
        state: ImageState::Available {
            at: world.services.clock.now(),
        },
        deprecated: Some(world.services.clock.now()),
        deregistration_protection: Default::default(),
        permissions: Permissions::default(),
        source_image: None,
        source_instance: None,
        tags: Default::default(),
        client_token: None,
    }
}

fn put(world: &World, change: Change) {
    world
        .services
        .store
        .write(|_, changes| {
            changes.push(change);
            Ok(())
        })
        .unwrap();
}

/// With a snapshot of 8 GiB, and an image with it and a blank data volume.
fn with_image(edit: impl FnOnce(&mut Image)) -> World {
    let world = world();
    for (id, layer) in [(SNAPSHOT, "root-layer"), (SECOND, "other-layer")] {
        put(&world, Change::Snapshot(snapshot(&world, id, layer)));
    }
    let mut image = image(&world);
    edit(&mut image);
    put(&world, Change::Image(Box::new(image)));
    world
}

fn form(more: &str) -> String {
    format!("Action=RunInstances&ImageId={IMAGE}&InstanceType=t3.micro&MinCount=1&MaxCount=1{more}")
}

async fn run(world: &World, more: &str) -> Result<String, AwsError> {
    world.ec2(&caller(), &form(more)).await
}

async fn call(world: &World, form: &str) -> Result<String, AwsError> {
    world.ec2(&caller(), form).await
}

/// What is inside the first such element.
fn text<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap();
    rest.split_once(&format!("</{name}>")).unwrap().0
}

async fn launch(world: &World, more: &str) -> String {
    let xml = run(world, more).await.unwrap();
    text(&xml, "instanceId").to_owned()
}

async fn state(world: &World, id: &str) -> String {
    let xml = call(
        world,
        &format!("Action=DescribeInstances&InstanceId.1={id}"),
    )
    .await
    .unwrap();
    text(text(&xml, "instanceState"), "name").to_owned()
}

fn code<T: std::fmt::Debug>(result: Result<T, AwsError>) -> String {
    result.unwrap_err().code.into_owned()
}

//! Deletion, and what stays.

use super::*;
use crate::testing::world;
use emulator_state::world::{BlockDevice, EbsDevice, Image, ImageState};

const AMI: &str = "ami-01111111111111111";

#[tokio::test]
async fn layers_go_with_the_last_that_has_them() {
    let w = world();
    let me = caller();
    put_snapshot(&w, snapshot(&w, &me, SNAP));
    let layer = format!("layer-{SNAP}");
    let there = caller_of("111111111111", "eu-west-1");
    let form = format!("Action=CopySnapshot&SourceRegion=us-east-1&SourceSnapshotId={SNAP}");
    let xml = w.ec2(&there, &form).await.unwrap();
    let copy = inside(&xml, "snapshotId").to_owned();
    assert_eq!(get(&w, &copy).unwrap().layers.join(" "), layer);
    let is_there = || w.dir.path().join(format!("layers/{layer}.data")).exists();
    w.ec2(&me, &format!("Action=DeleteSnapshot&SnapshotId={SNAP}"))
        .await
        .unwrap();
    assert!(is_there());
    // Pending still.
    w.ec2(&there, &format!("Action=DeleteSnapshot&SnapshotId={copy}"))
        .await
        .unwrap();
    assert!(!is_there());
    let form = format!("Action=DeleteSnapshot&SnapshotId={SNAP}");
    assert_eq!(code(&w, &me, &form).await, "InvalidSnapshot.NotFound");
}

#[tokio::test]
async fn a_snapshot_of_an_image_stays() {
    let w = world();
    let me = caller();
    put_snapshot(&w, snapshot(&w, &me, SNAP));
    put(&w, Change::Image(Box::new(image(&w, &me))));
    let form = format!("Action=DeleteSnapshot&SnapshotId={SNAP}");
    let error = w.ec2(&me, &form).await.unwrap_err();
    assert_eq!(error.code, "InvalidSnapshot.InUse");
    assert_eq!(
        error.message,
        format!("The snapshot {SNAP} is currently in use by {AMI}")
    );
    put(&w, Change::RemoveImage(AMI.to_owned()));
    w.ec2(&me, &form).await.unwrap();
    assert_eq!(get(&w, SNAP), None);
}

fn image(w: &World, who: &Caller) -> Image {
    Image {
        id: AMI.to_owned(),
        owner: who.account.clone(),
        region: who.region.clone(),
        name: "n".to_owned(),
        description: None,
        architecture: "x86_64".to_owned(),
        virtualization: "hvm".to_owned(),
        root_device: "/dev/xvda".to_owned(),
        devices: vec![BlockDevice {
            name: "/dev/xvda".to_owned(),
            virtual_name: None,
            ebs: Some(EbsDevice {
                snapshot: Some(SNAP.to_owned()),
                size: 8,
                kind: "gp3".to_owned(),
                iops: None,
                throughput: None,
                delete_on_termination: true,
                encrypted: false,
                kms_key: None,
            }),
            no_device: false,
        }],
        ena: None,
        sriov: None,
        boot_mode: None,
        tpm: None,
        imds: None,
        uefi_data: None,
        kernel: None,
        ramdisk: None,
        billing_products: Vec::new(),
        created: w.services.clock.now(),
        state: ImageState::Disabled,
        deprecated: None,
        deregistration_protection: Default::default(),
        permissions: Permissions::default(),
        source_image: None,
        source_instance: None,
        tags: Default::default(),
        client_token: None,
    }
}

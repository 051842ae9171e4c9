//! The volumes that instances are launched with.

use super::*;
use emulator_testing::{DISABLED, KEY};
use time::Duration;

#[tokio::test]
async fn volumes_go_or_stay_when_an_instance_ends() {
    let world = with_image(|_| {});
    for layer in ["root-layer", "own-layer"] {
        world.services.layers.create(layer).unwrap();
    }
    let id = launch(&world, "").await;
    // As if the root volume had been written to.
    let mut root = world.services.store.read(|world| {
        world
            .volumes
            .values()
            .find(|it| it.size == 8)
            .cloned()
            .unwrap()
    });
    root.layers.insert(0, "own-layer".to_owned());
    put(&world, Change::Volume(root));
    let file = |layer: &str| {
        world
            .dir
            .path()
            .join("layers")
            .join(format!("{layer}.data"))
    };

    call(
        &world,
        &format!("Action=TerminateInstances&InstanceId.1={id}"),
    )
    .await
    .unwrap();
    call(&world, "Action=DescribeInstances").await.unwrap();
    world
        .services
        .store
        .read(|world| assert_eq!(world.volumes.len(), 2));
    assert!(file("own-layer").exists());
    world.clock.advance(Duration::seconds(1));
    call(&world, "Action=DescribeInstances").await.unwrap();
    world.services.store.read(|world| {
        let left: Vec<_> = world.volumes.values().collect();
        assert_eq!(left.len(), 1);
        assert_eq!((left[0].size, &left[0].attachment), (3, &None));
    });
    assert!(!file("own-layer").exists());
    assert!(file("root-layer").exists());
}

#[tokio::test]
async fn encryption_of_a_launch() {
    let arn = format!("arn:aws:kms:us-east-1:111111111111:key/{KEY}");
    let root = "&BlockDeviceMapping.1.DeviceName=/dev/xvda&BlockDeviceMapping.1.Ebs";
    for (encrypted, more, key, ends) in [
        (false, String::new(), None, false),
        (
            false,
            format!("{root}.Encrypted=true&BlockDeviceMapping.1.Ebs.KmsKeyId={KEY}"),
            Some(arn.as_str()),
            false,
        ),
        (true, String::new(), Some(arn.as_str()), false),
        (
            false,
            format!("{root}.Encrypted=true&BlockDeviceMapping.1.Ebs.KmsKeyId=none"),
            None,
            true,
        ),
        (
            false,
            format!("{root}.Encrypted=true&BlockDeviceMapping.1.Ebs.KmsKeyId={DISABLED}"),
            None,
            true,
        ),
    ] {
        let world = with_image(|_| {});
        if encrypted {
            put(
                &world,
                Change::Snapshot(Snapshot {
                    encrypted: true,
                    kms_key: Some(arn.clone()),
                    ..snapshot(&world, SNAPSHOT, "root-layer")
                }),
            );
            let plain = run(&world, &format!("{root}.Encrypted=false")).await;
            assert_eq!(code(plain), "InvalidBlockDeviceMapping");
        }
        let id = launch(&world, &more).await;
        assert_eq!(state(&world, &id).await, "pending", "{more}");
        world.services.store.read(|world| {
            let found = world.volumes.values().find(|it| it.size == 8);
            assert_eq!(found.is_none(), ends, "{more}");
            assert_eq!(found.and_then(|it| it.kms_key.as_deref()), key, "{more}");
        });
        world.clock.advance(Duration::seconds(1));
        let xml = call(&world, "Action=DescribeInstances").await.unwrap();
        let after = text(text(&xml, "instanceState"), "name");
        assert_eq!(after, if ends { "terminated" } else { "running" }, "{more}");
        assert_eq!(
            xml.contains("Client.InvalidKMSKey.InvalidState"),
            ends,
            "{more}"
        );
    }
}

#[tokio::test]
async fn mappings_override_the_images() {
    for (more, sizes) in [
        ("", vec![3, 8]),
        (
            "&BlockDeviceMapping.1.DeviceName=/dev/sdf&BlockDeviceMapping.1.NoDevice=",
            vec![8],
        ),
        (
            "&BlockDeviceMapping.1.DeviceName=/dev/sdf&BlockDeviceMapping.1.Ebs.VolumeSize=5",
            vec![5, 8],
        ),
        (
            "&BlockDeviceMapping.1.DeviceName=/dev/sdf&BlockDeviceMapping.1.Ebs.SnapshotId=snap-00000000000000002",
            vec![8, 8],
        ),
        (
            "&BlockDeviceMapping.1.DeviceName=/dev/sdg&BlockDeviceMapping.1.Ebs.VolumeSize=5",
            vec![3, 5, 8],
        ),
        (
            "&BlockDeviceMapping.1.DeviceName=/dev/sdg&BlockDeviceMapping.1.VirtualName=ephemeral0",
            vec![3, 8],
        ),
        (
            "&BlockDeviceMapping.1.DeviceName=/dev/xvda&BlockDeviceMapping.1.Ebs.VolumeType=gp2",
            vec![3, 8],
        ),
    ] {
        let world = with_image(|_| {});
        run(&world, more).await.unwrap();
        world.services.store.read(|world| {
            let mut found: Vec<u32> = world.volumes.values().map(|it| it.size).collect();
            found.sort_unstable();
            assert_eq!(found, sizes, "{more}");
        });
    }
}

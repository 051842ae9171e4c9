//! Snapshots of volumes.

use super::*;
use crate::testing::world;
use emulator_state::world::Volume;
use emulator_testing::KEY;
use time::Duration;

const VOL: &str = "vol-01111111111111111";

fn put_volume(w: &World, who: &Caller, id: &str) -> Volume {
    let volume = Volume {
        id: id.to_owned(),
        owner: who.account.clone(),
        region: who.region.clone(),
        zone: format!("{}a", who.region),
        size: 8,
        kind: "gp3".to_owned(),
        iops: Some(3_000),
        throughput: Some(125),
        encrypted: true,
        kms_key: Some("arn:aws:kms:key".to_owned()),
        snapshot: None,
        layers: vec!["layer-of-volume".to_owned()],
        live: None,
        blank: Blank::Noise,
        full_size: 1_048_576,
        created: w.services.clock.now(),
        available: w.services.clock.now() + Duration::seconds(1),
        modification: None,
        auto_enable_io: false,
        attachment: None,
        tags: Default::default(),
        client_token: None,
    };
    put(w, Change::Volume(volume.clone()));
    volume
}

#[tokio::test]
async fn a_snapshot_of_a_volume_is_its_bytes_and_key() {
    let w = world();
    let me = caller();
    let volume = put_volume(&w, &me, VOL);
    let form = format!(
        "Action=CreateSnapshot&VolumeId={VOL}&Description=d%26e&TagSpecification.1.ResourceType=snapshot\
         &TagSpecification.1.Tag.1.Key=k&TagSpecification.1.Tag.1.Value=v"
    );
    assert_eq!(code(&w, &me, &form).await, "IncorrectState");
    w.clock.advance(Duration::seconds(1));
    let xml = w.ec2(&me, &form).await.unwrap();
    let id = inside(&xml, "snapshotId");
    let made = get(&w, id).unwrap();
    assert_eq!(made.layers, volume.layers);
    assert_eq!((made.blank, made.kms_key), (volume.blank, volume.kms_key));
    assert!(!xml.contains("fullSnapshotSizeInBytes"));
    for (name, value) in [
        ("volumeId", VOL),
        ("status", "pending"),
        ("progress", "0%"),
        ("volumeSize", "8"),
        ("description", "d&amp;e"),
        ("encrypted", "true"),
        ("kmsKeyId", "arn:aws:kms:key"),
        ("ownerId", "111111111111"),
        ("tagSet", "<item><key>k</key><value>v</value></item>"),
    ] {
        assert_eq!(inside(&xml, name), value, "{name}");
    }
    w.clock.advance(Duration::seconds(1));
    let form = format!("Action=DescribeSnapshots&SnapshotId.1={id}");
    let xml = w.ec2(&me, &form).await.unwrap();
    for (name, value) in [
        ("status", "completed"),
        ("progress", "100%"),
        ("startTime", "2026-01-01T00:00:01.000Z"),
        ("completionTime", "2026-01-01T00:00:02.000Z"),
        ("storageTier", "standard"),
        ("fullSnapshotSizeInBytes", "1048576"),
    ] {
        assert_eq!(inside(&xml, name), value, "{name}");
    }
    // What is made of it is as large.
    let form = format!("Action=CopySnapshot&SourceRegion=us-east-1&SourceSnapshotId={id}");
    put_snapshot(&w, with_key(get(&w, id).unwrap(), &me, KEY));
    let xml = w.ec2(&me, &form).await.unwrap();
    let copy = get(&w, inside(&xml, "snapshotId")).unwrap();
    assert_eq!(copy.full_size, 1_048_576);
    let form = format!("Action=CreateVolume&AvailabilityZone=us-east-1a&SnapshotId={id}");
    let xml = w.ec2(&me, &form).await.unwrap();
    let volume = inside(&xml, "volumeId").to_owned();
    let made = w
        .services
        .store
        .read(|world| world.volumes[&volume].full_size);
    assert_eq!(made, 1_048_576);
}

#[tokio::test]
async fn what_can_not_be_snapshotted() {
    let w = world();
    let me = caller();
    put_volume(&w, &other(), VOL);
    let long = "d".repeat(256);
    for (rest, is) in [
        ("", "MissingParameter"),
        ("&VolumeId=vol-xyz", "InvalidVolumeID.Malformed"),
        ("&VolumeId=vol-0123456789abcdef0", "InvalidVolume.NotFound"),
        (&format!("&VolumeId={VOL}"), "InvalidVolume.NotFound"),
        (
            &format!("&VolumeId={VOL}&OutpostArn=x"),
            "InvalidParameterValue",
        ),
        (
            &format!("&VolumeId={VOL}&Location=local"),
            "InvalidParameterValue",
        ),
        (
            &format!("&VolumeId={VOL}&Description={long}"),
            "InvalidParameterValue",
        ),
        (
            &format!("&VolumeId={VOL}&TagSpecification.1.ResourceType=image"),
            "InvalidParameterValue",
        ),
        (&format!("&VolumeId={VOL}&DryRun=true"), "DryRunOperation"),
    ] {
        let form = format!("Action=CreateSnapshot{rest}");
        assert_eq!(code(&w, &me, &form).await, is, "{rest}");
    }
}

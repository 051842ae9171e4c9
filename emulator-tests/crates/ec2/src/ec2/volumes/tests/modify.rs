//! `ModifyVolume` and the attributes of a volume.

use super::*;

#[tokio::test]
async fn a_volume_is_modified() {
    let w = world();
    let me = caller();
    let id = create(&w, &me, "&Size=10").await;
    let modify = |more: &str| format!("Action=ModifyVolume&VolumeId={id}{more}");
    let larger = modify("&Size=20&VolumeType=gp3&Throughput=200");
    assert_eq!(code(&w, &me, &larger).await, "IncorrectState");
    w.clock.advance(Duration::seconds(1));
    let describe = format!("Action=DescribeVolumesModifications&VolumeId.1={id}");
    let none = "InvalidVolumeModification.NotFound";
    assert_eq!(code(&w, &me, &describe).await, none);
    for (more, is) in [
        ("", "MissingParameter"),
        ("&Size=9", "InvalidParameterValue"),
        ("&Size=20000", "InvalidParameterValue"),
        ("&Iops=3000", "InvalidParameterCombination"),
        ("&VolumeType=gp9", "UnknownVolumeType"),
        ("&VolumeType=io1", "InvalidParameterValue"),
        ("&Size=20&MultiAttachEnabled=true", "UnsupportedOperation"),
        ("&Size=20&DryRun=true", "DryRunOperation"),
    ] {
        assert_eq!(code(&w, &me, &modify(more)).await, is, "{more}");
    }
    assert_eq!(code(&w, &other(), &larger).await, "InvalidVolume.NotFound");
    assert_eq!(get(&w, &id).unwrap().modification, None);

    let xml = w.ec2(&me, &larger).await.unwrap();
    let again = modify("&Size=30");
    assert_eq!(code(&w, &me, &again).await, "IncorrectModificationState");
    w.clock.advance(Duration::seconds(1));
    let later = w.ec2(&me, &describe).await.unwrap();
    assert_eq!(inside(&later, "endTime"), "2026-01-01T00:00:02.000Z");
    for (xml, state, progress) in [(xml, "modifying", "0"), (later, "completed", "100")] {
        for (name, value) in [
            ("volumeId", id.as_str()),
            ("modificationState", state),
            ("progress", progress),
            ("originalSize", "10"),
            ("originalVolumeType", "gp2"),
            ("originalIops", "100"),
            ("targetSize", "20"),
            ("targetVolumeType", "gp3"),
            ("targetIops", "3000"),
            ("targetThroughput", "200"),
            ("startTime", "2026-01-01T00:00:01.000Z"),
        ] {
            assert_eq!(inside(&xml, name), value, "{name}");
        }
    }
    let volume = get(&w, &id).unwrap();
    assert_eq!((volume.size, volume.kind.as_str()), (20, "gp3"));
    // What is not said stays.
    w.ec2(&me, &again).await.unwrap();
    let volume = get(&w, &id).unwrap();
    assert_eq!((volume.size, volume.throughput), (30, Some(200)));
    create(&w, &me, "&Size=1").await;
    for (filter, are) in [("", 1), ("modifying", 1), ("completed", 0)] {
        let mut form = "Action=DescribeVolumesModifications".to_owned();
        if !filter.is_empty() {
            form += "&Filter.1.Name=modification-state&Filter.1.Value.1=";
            form += filter;
        }
        let xml = w.ec2(&me, &form).await.unwrap();
        assert_eq!(xml.matches("<volumeId>").count(), are, "{filter}");
    }
}

#[tokio::test]
async fn a_volumes_attributes() {
    let w = world();
    let me = caller();
    let id = create(&w, &me, "&Size=1").await;
    let describe =
        |name: &str| format!("Action=DescribeVolumeAttribute&VolumeId={id}&Attribute={name}");
    for value in ["true", "false"] {
        let form = format!("Action=ModifyVolumeAttribute&VolumeId={id}&AutoEnableIO.Value={value}");
        w.ec2(&me, &form).await.unwrap();
        let xml = w.ec2(&me, &describe("autoEnableIO")).await.unwrap();
        assert_eq!(inside(&xml, "value"), value);
    }
    let xml = w.ec2(&me, &describe("productCodes")).await.unwrap();
    assert_eq!(inside(&xml, "productCodes"), "");
    for (form, is) in [
        (describe("size"), "InvalidParameterValue"),
        (
            format!("Action=ModifyVolumeAttribute&VolumeId={id}"),
            "MissingParameter",
        ),
        (
            "Action=DescribeVolumeAttribute&VolumeId=vol-1&Attribute=autoEnableIO".to_owned(),
            "InvalidVolumeID.Malformed",
        ),
    ] {
        assert_eq!(code(&w, &me, &form).await, is, "{form}");
    }
}

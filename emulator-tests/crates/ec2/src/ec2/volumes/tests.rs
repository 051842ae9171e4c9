#![allow(clippy::unwrap_used)]

mod instance_states;
mod modify;

use crate::testing::{World, world};
use emulator_protocol::Caller;
use emulator_state::layers::Blank;
use emulator_state::world::{Change, Permissions, Snapshot, SnapshotState, Volume};
use emulator_testing::{DISABLED, KEY, caller, caller_of, instance};
use time::Duration;

const SNAP: &str = "snap-01111111111111111";
const INSTANCE: &str = "i-01111111111111111";

fn other() -> Caller {
    caller_of("222222222222", "us-east-1")
}

/// Puts a complete snapshot of 8 GiB, encrypted if there is a key.
fn put_snapshot(w: &World, who: &Caller, key: Option<&str>, state: Option<SnapshotState>) {
    let arn = |key| format!("arn:aws:kms:{}:{}:key/{key}", who.region, who.account);
    let now = w.services.clock.now();
    let snapshot = Snapshot {
        id: SNAP.to_owned(),
        owner: who.account.clone(),
        region: who.region.clone(),
        volume_id: "vol-ffffffff".to_owned(),
        volume_size: 8,
        description: String::new(),
        encrypted: key.is_some(),
        kms_key: key.map(arn),
        parent: None,
        layers: vec!["layer".to_owned()],
        blank: if key.is_some() {
            Blank::Noise
        } else {
            Blank::Zero
        },
        full_size: 524_288,
        started: now,
        state: state.unwrap_or(SnapshotState::Completed { at: now }),
        permissions: Permissions {
            accounts: [other().account].into(),
            ..Permissions::default()
        },
        tags: Default::default(),
        timeout_minutes: None,
        client_token: None,
    };
    put(w, Change::Snapshot(snapshot));
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

fn get(w: &World, id: &str) -> Option<Volume> {
    w.services
        .store
        .read(|world| world.volumes.get(id).cloned())
}

fn inside<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap();
    rest.split_once(&format!("</{name}>")).unwrap().0
}

async fn code(w: &World, who: &Caller, form: &str) -> String {
    w.ec2(who, form).await.unwrap_err().code.into_owned()
}

async fn create(w: &World, who: &Caller, more: &str) -> String {
    let form = format!("Action=CreateVolume&AvailabilityZone={}a{more}", who.region);
    let xml = w.ec2(who, &form).await.unwrap();
    inside(&xml, "volumeId").to_owned()
}

#[tokio::test]
async fn a_volume_of_a_snapshot_is_its_bytes() {
    let w = world();
    let me = caller();
    put_snapshot(&w, &me, Some(KEY), None);
    let form = format!(
        "Action=CreateVolume&AvailabilityZone=us-east-1b&SnapshotId={SNAP}&VolumeType=gp3\
         &Throughput=200&TagSpecification.1.ResourceType=volume\
         &TagSpecification.1.Tag.1.Key=k&TagSpecification.1.Tag.1.Value=v"
    );
    let xml = w.ec2(&me, &form).await.unwrap();
    let id = inside(&xml, "volumeId").to_owned();
    let made = get(&w, &id).unwrap();
    assert_eq!(
        (made.layers, made.blank),
        (vec!["layer".to_owned()], Blank::Noise)
    );
    w.clock.advance(Duration::seconds(1));
    let form = format!("Action=DescribeVolumes&VolumeId.1={id}");
    let later = w.ec2(&me, &form).await.unwrap();
    for (xml, status) in [(xml, "creating"), (later, "available")] {
        for (name, value) in [
            ("status", status),
            ("size", "8"),
            ("snapshotId", SNAP),
            ("availabilityZone", "us-east-1b"),
            ("volumeType", "gp3"),
            ("iops", "3000"),
            ("throughput", "200"),
            ("encrypted", "true"),
            (
                "kmsKeyId",
                &format!("arn:aws:kms:us-east-1:111111111111:key/{KEY}"),
            ),
            ("createTime", "2026-01-01T00:00:00.000Z"),
            ("attachmentSet", ""),
            ("tagSet", "<item><key>k</key><value>v</value></item>"),
        ] {
            assert_eq!(inside(&xml, name), value, "{name}");
        }
    }
}

#[tokio::test]
async fn a_volume_has_its_snapshots_key_or_another() {
    let arn = |who: &Caller, key: &str| {
        Some(format!(
            "arn:aws:kms:{}:{}:key/{key}",
            who.region, who.account
        ))
    };
    let (me, other) = (caller(), other());
    let from = format!("&SnapshotId={SNAP}");
    let with = format!("&Encrypted=true&KmsKeyId={KEY}");
    for (who, source, more, key) in [
        (&me, None, "&Size=1", None),
        (&me, None, "&Size=1&Encrypted=true", arn(&me, "ebs")),
        (&me, None, &format!("&Size=1{with}"), arn(&me, KEY)),
        (&me, None, &from, None),
        (&me, None, &format!("{from}{with}"), arn(&me, KEY)),
        (&me, Some(KEY), &from, arn(&me, KEY)),
        (&me, Some("ebs"), &format!("{from}{with}"), arn(&me, KEY)),
        (&other, Some(KEY), &from, arn(&other, "ebs")),
    ] {
        let w = world();
        put_snapshot(&w, &me, source, None);
        let id = create(&w, who, more).await;
        let volume = get(&w, &id).unwrap();
        assert_eq!(volume.kms_key, key, "{} {source:?} {more}", who.account);
        assert_eq!(volume.encrypted, key.is_some());
    }
}

#[tokio::test]
async fn encryption_by_default_counts_for_volumes() {
    let w = world();
    let me = caller();
    w.ec2(&me, "Action=EnableEbsEncryptionByDefault")
        .await
        .unwrap();
    w.ec2(
        &me,
        &format!("Action=ModifyEbsDefaultKmsKeyId&KmsKeyId={KEY}"),
    )
    .await
    .unwrap();
    let id = create(&w, &me, "&Size=1").await;
    let arn = format!("arn:aws:kms:us-east-1:111111111111:key/{KEY}");
    assert_eq!(get(&w, &id).unwrap().kms_key, Some(arn));
}

#[tokio::test]
async fn a_volume_whose_key_can_not_be_used_is_answered_and_never_there() {
    let w = world();
    let me = caller();
    for key in ["no-such-key", DISABLED] {
        let more = format!("&Size=1&Encrypted=true&KmsKeyId={key}");
        let id = create(&w, &me, &more).await;
        let form = format!("Action=DescribeVolumes&VolumeId.1={id}");
        assert_eq!(
            code(&w, &me, &form).await,
            "InvalidVolume.NotFound",
            "{key}"
        );
    }
}

#[tokio::test]
async fn what_can_not_be_made() {
    let w = world();
    let me = caller();
    put_snapshot(&w, &me, Some(KEY), None);
    let from = format!("&SnapshotId={SNAP}");
    for (more, is) in [
        ("&Size=1", "MissingParameter"),
        (
            "&AvailabilityZone=us-east-1z&Size=1",
            "InvalidZone.NotFound",
        ),
        (
            "&AvailabilityZone=eu-west-1a&Size=1",
            "InvalidZone.NotFound",
        ),
        ("&AvailabilityZone=us-east-1a", "MissingParameter"),
        (
            "&AvailabilityZone=us-east-1a&Size=x",
            "InvalidParameterValue",
        ),
        (
            "&AvailabilityZone=us-east-1a&Size=0",
            "InvalidParameterValue",
        ),
        (
            "&AvailabilityZone=us-east-1a&Size=1&VolumeType=gp9",
            "UnknownVolumeType",
        ),
        (
            "&AvailabilityZone=us-east-1a&Size=1&KmsKeyId=k",
            "InvalidParameterDependency",
        ),
        (
            "&AvailabilityZone=us-east-1a&Size=1&OutpostArn=o",
            "InvalidParameterValue",
        ),
        (
            "&AvailabilityZone=us-east-1a&Size=1&MultiAttachEnabled=true",
            "UnsupportedOperation",
        ),
        (
            "&AvailabilityZone=us-east-1a&SnapshotId=snap-1",
            "InvalidSnapshotID.Malformed",
        ),
        (
            "&AvailabilityZone=us-east-1a&SnapshotId=snap-09999999999999999",
            "InvalidSnapshot.NotFound",
        ),
        (
            &format!("&AvailabilityZone=us-east-1a&Size=7{from}"),
            "InvalidParameterValue",
        ),
        (
            &format!("&AvailabilityZone=us-east-1a&Encrypted=false{from}"),
            "InvalidParameterCombination",
        ),
    ] {
        let form = format!("Action=CreateVolume{more}");
        assert_eq!(code(&w, &me, &form).await, is, "{more}");
    }
    let form = format!("Action=CreateVolume&AvailabilityZone=us-east-1a{from}");
    for state in [
        SnapshotState::Pending,
        SnapshotState::Error {
            message: "m".to_owned(),
        },
    ] {
        put_snapshot(&w, &me, None, Some(state));
        assert_eq!(code(&w, &me, &form).await, "IncorrectState");
    }
    assert!(w.services.store.read(|world| world.volumes.is_empty()));
}

#[tokio::test]
async fn a_client_token_makes_one_volume() {
    let w = world();
    let me = caller();
    let first = create(&w, &me, "&Size=1&ClientToken=t").await;
    w.clock.advance(Duration::seconds(5));
    assert_eq!(create(&w, &me, "&Size=1&ClientToken=t").await, first);
    assert_ne!(create(&w, &me, "&Size=1&ClientToken=u").await, first);
    assert_ne!(create(&w, &other(), "&Size=1&ClientToken=t").await, first);
    let form = "Action=CreateVolume&AvailabilityZone=us-east-1a&Size=2&ClientToken=t";
    assert_eq!(code(&w, &me, form).await, "IdempotentParameterMismatch");
}

#[tokio::test]
async fn a_listing_is_the_callers() {
    let w = world();
    let me = caller();
    let mut ids = Vec::new();
    for size in 1..=6 {
        ids.push(create(&w, &me, &format!("&Size={size}")).await);
    }
    create(&w, &other(), "&Size=1").await;
    create(&w, &caller_of("111111111111", "eu-west-1"), "&Size=1").await;
    let count = async |more: &str| {
        let form = format!("Action=DescribeVolumes{more}");
        w.ec2(&me, &form)
            .await
            .unwrap()
            .matches("<volumeId>")
            .count()
    };
    for (more, are) in [
        ("", 6),
        (
            "&Filter.1.Name=size&Filter.1.Value.1=1&Filter.1.Value.2=2",
            2,
        ),
        ("&Filter.1.Name=status&Filter.1.Value.1=creating", 6),
        ("&Filter.1.Name=status&Filter.1.Value.1=in-use", 0),
        ("&Filter.1.Name=attachment.device&Filter.1.Value.1=*", 0),
        (
            "&Filter.1.Name=availability-zone&Filter.1.Value.1=us-east-1a",
            6,
        ),
        ("&Filter.1.Name=volume-type&Filter.1.Value.1=gp2", 6),
        (&format!("&VolumeId.1={}&VolumeId.2={}", ids[0], ids[1]), 2),
        ("&MaxResults=5", 5),
    ] {
        assert_eq!(count(more).await, are, "{more}");
    }
    let page = w
        .ec2(&me, "Action=DescribeVolumes&MaxResults=5")
        .await
        .unwrap();
    let token = inside(&page, "nextToken");
    assert_eq!(count(&format!("&MaxResults=5&NextToken={token}")).await, 1);
    for (more, is) in [
        ("&VolumeId.1=vol-1", "InvalidVolumeID.Malformed"),
        (
            "&VolumeId.1=vol-09999999999999999",
            "InvalidVolume.NotFound",
        ),
        (
            &format!("&VolumeId.1={}&MaxResults=5", ids[0]),
            "InvalidParameterCombination",
        ),
        (
            "&Filter.1.Name=colour&Filter.1.Value.1=red",
            "InvalidParameterValue",
        ),
        ("&MaxResults=1001", "InvalidParameterValue"),
    ] {
        let form = format!("Action=DescribeVolumes{more}");
        assert_eq!(code(&w, &me, &form).await, is, "{more}");
        let form = format!("Action=DescribeVolumeStatus{more}");
        assert_eq!(code(&w, &me, &form).await, is, "{more}");
    }
    let status = "Action=DescribeVolumeStatus";
    let xml = w.ec2(&me, status).await.unwrap();
    assert_eq!(
        xml.matches("<status>insufficient-data</status>").count(),
        12
    );
    w.clock.advance(Duration::seconds(1));
    let xml = w.ec2(&me, status).await.unwrap();
    assert_eq!(xml.matches("<status>ok</status>").count(), 6);
}

#[tokio::test]
async fn a_deleted_volume_and_its_layers_are_gone() {
    let w = world();
    let me = caller();
    put_snapshot(&w, &me, None, None);
    w.services.layers.create("layer").unwrap();
    let id = create(&w, &me, &format!("&SnapshotId={SNAP}")).await;
    let delete = format!("Action=DeleteVolume&VolumeId={id}");
    assert_eq!(code(&w, &me, &delete).await, "IncorrectState");
    w.clock.advance(Duration::seconds(1));
    assert_eq!(code(&w, &other(), &delete).await, "InvalidVolume.NotFound");
    let snapshot = format!("Action=DeleteSnapshot&SnapshotId={SNAP}");
    w.ec2(&me, &snapshot).await.unwrap();
    let data = w.dir.path().join("layers/layer.data");
    assert!(data.exists());
    w.ec2(&me, &delete).await.unwrap();
    assert!(!data.exists());
    assert_eq!(code(&w, &me, &delete).await, "InvalidVolume.NotFound");
}

/// Puts an instance of the caller's.
fn put_instance(w: &World, who: &Caller, id: &str) {
    put(
        w,
        Change::Instance(Box::new(instance(who, id, w.services.clock.now()))),
    );
}

#[tokio::test]
async fn a_volume_is_attached_once() {
    let w = world();
    let me = caller();
    put_instance(&w, &me, INSTANCE);
    let strange = "i-02222222222222222";
    put_instance(&w, &other(), strange);
    let (a, b) = (
        create(&w, &me, "&Size=1").await,
        create(&w, &me, "&Size=1").await,
    );
    let form = "Action=CreateVolume&AvailabilityZone=us-east-1b&Size=1";
    let xml = w.ec2(&me, form).await.unwrap();
    let elsewhere = inside(&xml, "volumeId").to_owned();
    let attach = |volume: &str, instance: &str, device: &str| {
        format!("Action=AttachVolume&VolumeId={volume}&InstanceId={instance}&Device={device}")
    };
    let form = attach(&a, INSTANCE, "/dev/sdf");
    assert_eq!(code(&w, &me, &form).await, "IncorrectState");
    w.clock.advance(Duration::seconds(1));
    let xml = w.ec2(&me, &form).await.unwrap();
    assert_eq!(inside(&xml, "status"), "attaching");
    for (volume, instance, device, is) in [
        (a.as_str(), INSTANCE, "/dev/sdg", "VolumeInUse"),
        (&b, INSTANCE, "/dev/sdf", "InvalidParameterValue"),
        (&b, INSTANCE, "/dev/what", "InvalidParameterValue"),
        (&b, INSTANCE, "", "MissingParameter"),
        (&b, strange, "/dev/sdg", "InvalidInstanceID.NotFound"),
        (&b, "i-1", "/dev/sdg", "InvalidInstanceID.Malformed"),
        (
            "vol-09999999999999999",
            INSTANCE,
            "/dev/sdg",
            "InvalidVolume.NotFound",
        ),
        (
            &elsewhere,
            INSTANCE,
            "/dev/sdg",
            "InvalidVolume.ZoneMismatch",
        ),
    ] {
        let form = attach(volume, instance, device);
        assert_eq!(code(&w, &me, &form).await, is, "{form}");
    }
    w.clock.advance(Duration::seconds(1));
    let form = format!("Action=DescribeVolumes&VolumeId.1={a}");
    let xml = w.ec2(&me, &form).await.unwrap();
    assert!(xml.contains("<status>in-use</status>"));
    let set = inside(&xml, "attachmentSet");
    for (name, value) in [
        ("status", "attached"),
        ("instanceId", INSTANCE),
        ("device", "/dev/sdf"),
        ("deleteOnTermination", "false"),
    ] {
        assert_eq!(inside(set, name), value, "{name}");
    }
    let form = format!("Action=DeleteVolume&VolumeId={a}");
    assert_eq!(code(&w, &me, &form).await, "VolumeInUse");

    for (volume, more, is) in [
        (&b, "", "IncorrectState"),
        (&a, "&Device=/dev/sdg", "InvalidAttachment.NotFound"),
        (
            &a,
            "&InstanceId=i-09999999999999999",
            "InvalidInstanceID.NotFound",
        ),
        (&a, "&Force=maybe", "InvalidParameterValue"),
    ] {
        let form = format!("Action=DetachVolume&VolumeId={volume}{more}");
        assert_eq!(code(&w, &me, &form).await, is, "{form}");
    }
    let form = format!("Action=DetachVolume&VolumeId={a}&InstanceId={INSTANCE}");
    let xml = w.ec2(&me, &form).await.unwrap();
    assert_eq!(inside(&xml, "status"), "detaching");
    assert_eq!(get(&w, &a).unwrap().attachment, None);
}

#[tokio::test]
async fn an_instances_volumes_are_snapshotted_together() {
    let w = world();
    let me = caller();
    put_instance(&w, &me, INSTANCE);
    let mut ids = Vec::new();
    for device in ["/dev/sdf", "/dev/sdg"] {
        let tag = "&TagSpecification.1.ResourceType=volume&TagSpecification.1.Tag.1.Key=of\
                   &TagSpecification.1.Tag.1.Value=volume";
        let id = create(&w, &me, &format!("&Size=1{tag}")).await;
        w.clock.advance(Duration::seconds(1));
        let form =
            format!("Action=AttachVolume&VolumeId={id}&InstanceId={INSTANCE}&Device={device}");
        w.ec2(&me, &form).await.unwrap();
        ids.push(id);
    }
    let all = format!("Action=CreateSnapshots&InstanceSpecification.InstanceId={INSTANCE}");
    let xml = w
        .ec2(&me, &format!("{all}&CopyTagsFromSource=volume"))
        .await
        .unwrap();
    assert_eq!(xml.matches("<state>pending</state>").count(), 2);
    assert_eq!(xml.matches("<key>of</key><value>volume</value>").count(), 2);
    let without = |id: &str| format!("{all}&InstanceSpecification.ExcludeDataVolumeId.1={id}");
    let xml = w.ec2(&me, &without(&ids[0])).await.unwrap();
    assert_eq!(inside(&xml, "volumeId"), ids[1]);
    let error = code(&w, &me, &without("vol-09999999999999999")).await;
    assert_eq!(error, "InvalidParameterValue");
    let none = "Action=CreateSnapshots";
    assert_eq!(code(&w, &me, none).await, "MissingParameter");
    assert_eq!(code(&w, &other(), &all).await, "InvalidInstanceID.NotFound");
}

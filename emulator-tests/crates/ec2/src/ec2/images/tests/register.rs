//! What `RegisterImage` takes, keeps and refuses.

use super::*;
use crate::testing::world;
use emulator_state::world::SnapshotState;
use emulator_testing::{KEY, caller, caller_of};

const EVERYTHING: &str = "Action=RegisterImage&Name=every%20field&Description=All+of+them\
    &Architecture=x86_64&VirtualizationType=hvm&RootDeviceName=/dev/xvda\
    &EnaSupport=true&SriovNetSupport=simple&BootMode=uefi&TpmSupport=v2.0&ImdsSupport=v2.0\
    &UefiData=QU1aTlVFRkk=&KernelId=aki-12345678&RamdiskId=ari-12345678\
    &BlockDeviceMapping.1.DeviceName=/dev/xvda\
    &BlockDeviceMapping.1.Ebs.SnapshotId=snap-00000000000000001\
    &BlockDeviceMapping.1.Ebs.VolumeSize=10&BlockDeviceMapping.1.Ebs.VolumeType=gp3\
    &BlockDeviceMapping.1.Ebs.Iops=4000&BlockDeviceMapping.1.Ebs.Throughput=250\
    &BlockDeviceMapping.1.Ebs.DeleteOnTermination=false\
    &BlockDeviceMapping.2.DeviceName=/dev/sdb&BlockDeviceMapping.2.VirtualName=ephemeral0\
    &BlockDeviceMapping.3.DeviceName=/dev/sdc&BlockDeviceMapping.3.NoDevice=\
    &BlockDeviceMapping.4.DeviceName=/dev/sdd&BlockDeviceMapping.4.Ebs.VolumeSize=20\
    &BlockDeviceMapping.4.Ebs.Encrypted=true\
    &TagSpecification.1.ResourceType=image&TagSpecification.1.Tag.1.Key=Name\
    &TagSpecification.1.Tag.1.Value=a+b";

#[tokio::test]
async fn every_field_comes_back() {
    let world = world();
    world.put(Change::Snapshot(snapshot(&caller(), PLAIN)));
    let id = world.make(&caller(), EVERYTHING).await;
    let xml = world
        .ec2(&caller(), &format!("Action=DescribeImages&ImageId.1={id}"))
        .await
        .unwrap();
    for part in [
        format!("<imageId>{id}</imageId>"),
        "<imageLocation>111111111111/every field</imageLocation>".into(),
        "<imageState>available</imageState>".into(),
        "<imageOwnerId>111111111111</imageOwnerId>".into(),
        "<creationDate>2026-01-01T00:00:00.000Z</creationDate>".into(),
        "<isPublic>false</isPublic>".into(),
        "<architecture>x86_64</architecture>".into(),
        "<kernelId>aki-12345678</kernelId><ramdiskId>ari-12345678</ramdiskId>".into(),
        "<name>every field</name><description>All of them</description>".into(),
        "<rootDeviceType>ebs</rootDeviceType><rootDeviceName>/dev/xvda</rootDeviceName>".into(),
        format!(
            "<item><deviceName>/dev/xvda</deviceName><ebs><snapshotId>{PLAIN}</snapshotId>\
             <volumeSize>10</volumeSize><deleteOnTermination>false</deleteOnTermination>\
             <volumeType>gp3</volumeType><iops>4000</iops><throughput>250</throughput>\
             <encrypted>false</encrypted></ebs></item>"
        ),
        "<deviceName>/dev/sdb</deviceName><virtualName>ephemeral0</virtualName>".into(),
        "<deviceName>/dev/sdc</deviceName><noDevice></noDevice>".into(),
        "<item><deviceName>/dev/sdd</deviceName><ebs><volumeSize>20</volumeSize>\
         <deleteOnTermination>true</deleteOnTermination><volumeType>gp2</volumeType>\
         <encrypted>true</encrypted></ebs></item>"
            .into(),
        "<virtualizationType>hvm</virtualizationType><hypervisor>xen</hypervisor>".into(),
        "<enaSupport>true</enaSupport><sriovNetSupport>simple</sriovNetSupport>".into(),
        "<bootMode>uefi</bootMode><tpmSupport>v2.0</tpmSupport><imdsSupport>v2.0</imdsSupport>"
            .into(),
        "<deregistrationProtection>disabled</deregistrationProtection>".into(),
        "<tagSet><item><key>Name</key><value>a b</value></item></tagSet>".into(),
    ] {
        assert!(xml.contains(&part), "{part}\n{xml}");
    }
    for (attribute, element, value) in [
        ("description", "description", "All of them"),
        ("kernel", "kernel", "aki-12345678"),
        ("ramdisk", "ramdisk", "ari-12345678"),
        ("sriovNetSupport", "sriovNetSupport", "simple"),
        ("bootMode", "bootMode", "uefi"),
        ("tpmSupport", "tpmSupport", "v2.0"),
        ("imdsSupport", "imdsSupport", "v2.0"),
        ("uefiData", "uefiData", "QU1aTlVFRkk="),
        (
            "deregistrationProtection",
            "deregistrationProtection",
            "disabled",
        ),
    ] {
        let form = format!("Action=DescribeImageAttribute&ImageId={id}&Attribute={attribute}");
        let xml = world.ec2(&caller(), &form).await.unwrap();
        assert_eq!(
            leaf(&xml, element),
            format!("<value>{value}</value>"),
            "{attribute}"
        );
    }
}

#[tokio::test]
async fn defaults() {
    let world = world();
    world.put(Change::Snapshot(snapshot(&caller(), PLAIN)));
    let form = format!(
        "Action=RegisterImage&Name=few&RootDeviceName=/dev/sda1\
         &BlockDeviceMapping.1.DeviceName=/dev/sda1&BlockDeviceMapping.1.Ebs.SnapshotId={PLAIN}"
    );
    let id = leaf(&world.ec2(&caller(), &form).await.unwrap(), "imageId");
    let describe = format!("Action=DescribeImages&ImageId.1={id}");
    let xml = world.ec2(&caller(), &describe).await.unwrap();
    for part in [
        "<imageState>pending</imageState>",
        "<architecture>i386</architecture>",
        "<virtualizationType>paravirtual</virtualizationType>",
        "<volumeSize>8</volumeSize><deleteOnTermination>true</deleteOnTermination>\
         <volumeType>gp2</volumeType><encrypted>false</encrypted>",
    ] {
        assert!(xml.contains(part), "{part}\n{xml}");
    }
    for absent in [
        "description",
        "enaSupport",
        "bootMode",
        "tpmSupport",
        "iops",
    ] {
        assert_eq!(count(&xml, absent), 0, "{absent}\n{xml}");
    }
}

/// Each row changes one parameter of a request that is taken.
#[tokio::test]
async fn rules() {
    let long = "d".repeat(256);
    let uefi = "A".repeat(64_001);
    let ebs = |rest: &str| format!("BlockDeviceMapping.1.Ebs.{rest}");
    let device = "InvalidBlockDeviceMapping";
    let value = "InvalidParameterValue";
    let both = "InvalidParameterCombination";
    let rows: Vec<(String, &str)> = [
        ("EnaSupport=true", "ok"),
        ("Name=ab", "InvalidAMIName.Malformed"),
        ("Name=taken", "InvalidAMIName.Duplicate"),
        ("Name=", "InvalidAMIName.Malformed"),
        ("-Name", "MissingParameter"),
        ("-RootDeviceName", "MissingParameter"),
        ("RootDeviceName=/dev/sda1", device),
        ("Architecture=x86", value),
        ("VirtualizationType=kvm", value),
        ("SriovNetSupport=complex", value),
        ("BootMode=bios", value),
        ("TpmSupport=v2.0", both),
        ("TpmSupport=v2.0&BootMode=uefi-preferred", both),
        ("TpmSupport=v2.0&BootMode=uefi", "ok"),
        ("TpmSupport=v1.2&BootMode=uefi", value),
        ("ImdsSupport=v1.0", value),
        ("UefiData=QUJD", both),
        ("UefiData=QUJD&BootMode=uefi", "ok"),
        ("UefiData=!!&BootMode=uefi", value),
        ("EnaSupport=maybe", value),
        ("ImageLocation=", "ok"),
        ("ImageLocation=bucket/image.manifest.xml", "InvalidManifest"),
        ("BillingProduct.1=bp-6ba54002", "AuthFailure"),
        ("BlockDeviceMapping.1.DeviceName=/dev/nvme0", device),
        ("BlockDeviceMapping.1.DeviceName=", device),
        ("BlockDeviceMapping.1.VirtualName=ephemeral0", device),
        ("BlockDeviceMapping.1.NoDevice=", device),
        (
            "BlockDeviceMapping.2.DeviceName=/dev/xvda&BlockDeviceMapping.2.NoDevice=",
            device,
        ),
        ("BlockDeviceMapping.2.DeviceName=/dev/xvdb", device),
        (
            "BlockDeviceMapping.2.DeviceName=/dev/xvdb&BlockDeviceMapping.2.VirtualName=e0",
            device,
        ),
        (
            "BlockDeviceMapping.2.DeviceName=/dev/xvdb\
             &BlockDeviceMapping.2.Ebs.DeleteOnTermination=true",
            device,
        ),
        ("TagSpecification.1.ResourceType=snapshot", value),
        ("TagSpecification.1.ResourceType=instance", value),
        (
            "TagSpecification.1.ResourceType=image&TagSpecification.1.Tag.1.Key=aws:x",
            value,
        ),
        ("DryRun=true", "DryRunOperation"),
        ("DryRun=true&Name=taken", "InvalidAMIName.Duplicate"),
        ("DryRun=perhaps", value),
    ]
    .map(|(form, code)| (form.to_owned(), code))
    .into_iter()
    .chain([
        (format!("Description={long}"), value),
        (format!("UefiData={uefi}&BootMode=uefi"), value),
        (ebs("SnapshotId=snap-1"), "InvalidSnapshotID.Malformed"),
        (
            ebs("SnapshotId=snap-0000000000000000f"),
            "InvalidSnapshot.NotFound",
        ),
        (
            ebs("SnapshotId=snap-00000000000000002"),
            "InvalidSnapshot.NotFound",
        ),
        (ebs("SnapshotId=snap-00000000000000003"), "IncorrectState"),
        (ebs("SnapshotId=snap-00000000000000004"), "IncorrectState"),
        (ebs("SnapshotId=snap-00000000000000005"), "ok"),
        (
            ebs("SnapshotId=snap-00000000000000006"),
            "InvalidSnapshot.NotFound",
        ),
        (ebs("VolumeSize=7"), device),
        (ebs("VolumeSize=8"), "ok"),
        (ebs("VolumeSize=16385"), value),
        (ebs("VolumeSize=big"), value),
        (ebs("VolumeType=gp9"), "UnknownVolumeType"),
        (ebs("VolumeType=io1"), "MissingParameter"),
        (ebs("Iops=3000"), both),
        (ebs("Throughput=125"), both),
        (ebs("Encrypted=true"), device),
        (ebs("Encrypted=false"), device),
        (ebs(&format!("KmsKeyId={KEY}")), "InvalidParameter"),
        (ebs("OutpostArn=arn:aws:outposts:x"), "InvalidParameter"),
        (ebs("AvailabilityZone=us-east-1a"), "InvalidParameter"),
    ])
    .collect();

    for (row, wanted) in rows {
        let world = world();
        let other = caller_of("222222222222", "us-east-1");
        world.registered(&caller()).await;
        let mut taken = world
            .services
            .store
            .read(|w| w.images.values().next().cloned())
            .unwrap();
        taken.name = "taken".to_owned();
        world.put(Change::Image(Box::new(taken)));
        let numbered = |n: u8| format!("snap-0000000000000000{n}");
        world.put(Change::Snapshot(snapshot(&other, &numbered(2))));
        world.put(Change::Snapshot(Snapshot {
            state: SnapshotState::Pending,
            ..snapshot(&caller(), &numbered(3))
        }));
        world.put(Change::Snapshot(Snapshot {
            state: SnapshotState::Error {
                message: String::new(),
            },
            ..snapshot(&caller(), &numbered(4))
        }));
        let mut shared = snapshot(&other, &numbered(5));
        shared.permissions.accounts.insert(caller().account);
        world.put(Change::Snapshot(shared));
        world.put(Change::Snapshot(snapshot(
            &caller_of("111111111111", "eu-west-1"),
            &numbered(6),
        )));
        let before = world.services.store.read(|w| w.images.len());
        let got = world.code(&caller(), &with(REGISTER, &row)).await;
        assert_eq!(got, wanted, "{}", &row[..row.len().min(120)]);
        let after = world.services.store.read(|w| w.images.len());
        assert_eq!(after - before, usize::from(wanted == "ok"), "{row}");
    }
}

#[tokio::test]
async fn a_name_is_one_owners_in_one_region() {
    let world = world();
    world.registered(&caller()).await;
    for (account, region) in [("222222222222", "us-east-1"), ("111111111111", "eu-west-1")] {
        let other = caller_of(account, region);
        let id = format!("snap-000000000000{}", &account[..5]);
        world.put(Change::Snapshot(snapshot(&other, &id)));
        let form = with(
            REGISTER,
            &format!("BlockDeviceMapping.1.Ebs.SnapshotId={id}"),
        );
        assert_eq!(world.code(&other, &form).await, "ok");
        assert_eq!(world.code(&other, &form).await, "InvalidAMIName.Duplicate");
    }
}

#[tokio::test]
async fn an_encrypted_snapshot_makes_an_encrypted_device() {
    let world = world();
    world.put(Change::Snapshot(encrypted(&caller(), PLAIN, KEY)));
    let id = world.make(&caller(), REGISTER).await;
    assert!(world.image(&id).devices[0].ebs.as_ref().unwrap().encrypted);
}

//! `CreateImage`, and who refers to an image.

use super::*;
use crate::testing::world;
use emulator_testing::{KEY, caller, caller_of};

/// What `CreateImage` of an instance without a volume answers, and of one that is not there.
#[tokio::test]
async fn refusals_without_an_instance() {
    let world = world();
    for (form, code) in [
        ("Name=new", "MissingParameter"),
        ("InstanceId=i-00000000000000001", "MissingParameter"),
        (
            "InstanceId=i-00000000000000001&Name=n",
            "InvalidAMIName.Malformed",
        ),
        ("InstanceId=i-1&Name=new", "InvalidInstanceID.Malformed"),
        (
            "InstanceId=i-00000000000000001&Name=new",
            "InvalidInstanceID.NotFound",
        ),
        (
            "InstanceId=i-00000000000000001&Name=new&NoReboot=x",
            "InvalidParameterValue",
        ),
        (
            "InstanceId=i-00000000000000001&Name=new&SnapshotLocation=local",
            "InvalidParameter",
        ),
        (
            "InstanceId=i-00000000000000001&Name=new&TagSpecification.1.ResourceType=volume",
            "InvalidParameterValue",
        ),
    ] {
        let form = format!("Action=CreateImage&{form}");
        assert_eq!(world.code(&caller(), &form).await, code, "{form}");
    }
}

/// An instance of an image of an encrypted snapshot, with a second, plain volume.
async fn instance(world: &World) -> (String, String) {
    world.put(Change::Snapshot(encrypted(&caller(), PLAIN, KEY)));
    let register = with(
        REGISTER,
        "BootMode=uefi-preferred&ImdsSupport=v2.0&EnaSupport=true\
         &BlockDeviceMapping.2.DeviceName=/dev/sdb&BlockDeviceMapping.2.Ebs.VolumeSize=3\
         &BlockDeviceMapping.2.Ebs.DeleteOnTermination=false",
    );
    let image = world.make(&caller(), &register).await;
    let run =
        format!("Action=RunInstances&ImageId={image}&InstanceType=t3.micro&MinCount=1&MaxCount=1");
    let xml = world.ec2(&caller(), &run).await.unwrap();
    (image, leaf(&xml, "instanceId"))
}

#[tokio::test]
async fn an_instance_becomes_an_image() {
    let world = world();
    let (source, instance) = instance(&world).await;
    let form = format!(
        "Action=CreateImage&InstanceId={instance}&Name=new&Description=of+it\
         &TagSpecification.1.ResourceType=image&TagSpecification.1.Tag.1.Key=A\
         &TagSpecification.2.ResourceType=snapshot&TagSpecification.2.Tag.1.Key=B"
    );
    // It is pending still.
    assert_eq!(world.code(&caller(), &form).await, "IncorrectInstanceState");
    world.clock.advance(Duration::seconds(2));
    let dry = format!("{form}&DryRun=true");
    assert_eq!(world.code(&caller(), &dry).await, "DryRunOperation");
    // What the image was is known after it is gone.
    let gone = format!("Action=DeregisterImage&ImageId={source}");
    assert_eq!(world.code(&caller(), &gone).await, "ok");
    let image = world.make(&caller(), &form).await;
    let image = world.image(&image);
    assert_eq!(image.source_instance.as_deref(), Some(instance.as_str()));
    assert_eq!(image.source_image, Some((source, region("us-east-1"))));
    assert_eq!(image.architecture, "x86_64");
    assert_eq!(image.boot_mode.as_deref(), Some("uefi-preferred"));
    assert_eq!(image.ena, Some(true));
    assert!(image.tags.contains_key("A"));
    let devices: Vec<_> = image
        .devices
        .iter()
        .map(|device| {
            let ebs = device.ebs.as_ref().unwrap();
            let made = world.snapshot(ebs.snapshot.as_ref().unwrap()).unwrap();
            assert!(made.tags.contains_key("B"));
            assert_eq!(
                made.description,
                format!("Created by CreateImage({instance}) for {}", image.id)
            );
            (
                device.name.as_str(),
                ebs.size,
                ebs.encrypted,
                ebs.delete_on_termination,
                made.kms_key,
            )
        })
        .collect();
    assert_eq!(
        devices,
        [
            ("/dev/sdb", 3, false, false, None),
            ("/dev/xvda", 8, true, true, Some(arn(&caller(), KEY))),
        ]
    );
}

#[tokio::test]
async fn of_existing_volumes_only_one_thing_changes() {
    let device = "InvalidBlockDeviceMapping";
    let root = "BlockDeviceMapping.1.DeviceName=/dev/xvda&BlockDeviceMapping.1";
    let second = "BlockDeviceMapping.1.DeviceName=/dev/sdb&BlockDeviceMapping.1";
    let new = "BlockDeviceMapping.1.DeviceName=/dev/sdc&BlockDeviceMapping.1";
    for (rest, code, devices) in [
        (format!("{root}.Ebs.DeleteOnTermination=false"), "ok", 2),
        (format!("{root}.Ebs.VolumeSize=8"), "ok", 2),
        (format!("{root}.Ebs.VolumeSize=9"), device, 0),
        (format!("{root}.Ebs.VolumeType=io1"), device, 0),
        (format!("{root}.Ebs.SnapshotId={PLAIN}"), device, 0),
        (format!("{root}.Ebs.Encrypted=false"), "ok", 2),
        (format!("{root}.NoDevice="), device, 0),
        (format!("{root}.VirtualName=ephemeral0"), device, 0),
        (format!("{second}.Ebs.Encrypted=true"), device, 0),
        (format!("{second}.Ebs.Encrypted=false"), "ok", 2),
        (format!("{second}.NoDevice="), "ok", 1),
        (format!("{new}.Ebs.VolumeSize=5"), "ok", 3),
        (format!("{new}.VirtualName=ephemeral0"), "ok", 3),
        (format!("{new}.NoDevice="), "ok", 2),
        (format!("{new}.Ebs.DeleteOnTermination=true"), device, 0),
        ("Name=one".to_owned(), "InvalidAMIName.Duplicate", 0),
    ] {
        let world = world();
        let (_, instance) = instance(&world).await;
        world.clock.advance(Duration::seconds(2));
        let form = with(
            &format!("Action=CreateImage&InstanceId={instance}&Name=new"),
            &rest,
        );
        let answer = world.ec2(&caller(), &form).await;
        assert_eq!(super::code(answer.clone()), code, "{rest}");
        if let Ok(xml) = answer {
            let image = world.image(&leaf(&xml, "imageId"));
            assert_eq!(image.devices.len(), devices, "{rest}");
            if rest.contains("DeleteOnTermination=false") {
                let root = image.devices.iter().find(|it| it.name == "/dev/xvda");
                let ebs = root.unwrap().ebs.as_ref().unwrap();
                assert!(!ebs.delete_on_termination);
            }
        }
    }
}

#[tokio::test]
async fn instances_refer_to_their_image() {
    let world = world();
    let (image, instance) = instance(&world).await;
    world.clock.advance(Duration::seconds(2));
    let option = "ResourceType.1.ResourceTypeOption.1";
    for (rest, wanted) in [
        ("IncludeAllResourceTypes=true".to_owned(), 1),
        (
            "ResourceType.1.ResourceType=ec2:LaunchTemplate".to_owned(),
            0,
        ),
        (
            format!(
                "ResourceType.1.ResourceType=ec2:Instance&{option}.OptionName=state-name\
                 &{option}.OptionValue.1=running"
            ),
            1,
        ),
        (
            format!(
                "ResourceType.1.ResourceType=ec2:Instance&{option}.OptionName=state-name\
                 &{option}.OptionValue.1=stopped"
            ),
            0,
        ),
    ] {
        let form = format!("Action=DescribeImageReferences&ImageId.1={image}&{rest}");
        let xml = world.ec2(&caller(), &form).await.unwrap();
        assert_eq!(count(&xml, "arn"), wanted, "{rest}");
        if wanted == 1 {
            assert_eq!(
                leaf(&xml, "arn"),
                format!("arn:aws:ec2:us-east-1:111111111111:instance/{instance}")
            );
        }
        let other = caller_of("222222222222", "us-east-1");
        assert_eq!(count(&world.ec2(&other, &form).await.unwrap(), "arn"), 0);
    }
    // Once it is terminated, only who asks for that is told.
    let end = format!("Action=TerminateInstances&InstanceId.1={instance}");
    world.ec2(&caller(), &end).await.unwrap();
    let references = format!("Action=DescribeImageReferences&ImageId.1={image}");
    let all = format!("{references}&IncludeAllResourceTypes=true");
    let ended = format!(
        "{references}&ResourceType.1.ResourceType=ec2:Instance&{option}.OptionName=state-name\
         &{option}.OptionValue.1=terminated"
    );
    for (after, in_all, in_ended) in [(0, 1, 0), (2, 0, 1)] {
        world.clock.advance(Duration::seconds(after));
        for (form, are) in [(&all, in_all), (&ended, in_ended)] {
            let xml = world.ec2(&caller(), form).await.unwrap();
            assert_eq!(count(&xml, "arn"), are, "{form}");
        }
    }
}

#[tokio::test]
async fn a_volume_that_is_being_made_makes_no_image() {
    let world = world();
    let (_, instance) = instance(&world).await;
    world.clock.advance(Duration::seconds(2));
    let now = world.services.clock.now();
    let mut volume = world.services.store.read(|it| {
        let mut all = it.volumes.values();
        all.next().unwrap().clone()
    });
    volume.available = now + Duration::seconds(1);
    world.put(Change::Volume(volume));
    let form = format!("Action=CreateImage&InstanceId={instance}&Name=new");
    assert_eq!(world.code(&caller(), &form).await, "IncorrectState");
    world.clock.advance(Duration::seconds(1));
    assert_eq!(world.code(&caller(), &form).await, "ok");
}

/// "When the AMI is used to launch an instance, there is a 24-hour delay before that usage is
/// reported" (API reference).
#[tokio::test]
async fn a_launch_is_told_a_day_later() {
    let world = world();
    let (image, _) = instance(&world).await;
    let form = format!("Action=DescribeImages&ImageId.1={image}");
    for (after, told) in [(23, 0), (2, 1)] {
        world.clock.advance(Duration::hours(after));
        let xml = world.ec2(&caller(), &form).await.unwrap();
        assert_eq!(count(&xml, "lastLaunchedTime"), told);
    }
}

#[tokio::test]
async fn references() {
    let world = world();
    let value = "InvalidParameterValue";
    let missing = "MissingParameter";
    let both = "InvalidParameterCombination";
    let instance = "ResourceType.1.ResourceType=ec2:Instance";
    let option = "ResourceType.1.ResourceTypeOption.1";
    let many: String = (0..11)
        .map(|n| format!("&ImageId.{n}=ami-000000{n:02}"))
        .collect();
    for (rest, code) in [
        (
            "&ImageId.1=ami-00000000&IncludeAllResourceTypes=true".to_owned(),
            "ok",
        ),
        (format!("&ImageId.1=ami-00000000&{instance}"), "ok"),
        (
            format!(
                "&ImageId.1=ami-00000000&{instance}&{option}.OptionName=state-name\
                 &{option}.OptionValue.1=running"
            ),
            "ok",
        ),
        (
            format!(
                "&ImageId.1=ami-00000000&{instance}&{option}.OptionName=state-name\
                 &{option}.OptionValue.1=asleep"
            ),
            value,
        ),
        (
            format!(
                "&ImageId.1=ami-00000000&{instance}&{option}.OptionName=version-depth\
                 &{option}.OptionValue.1=10"
            ),
            both,
        ),
        (
            format!(
                "&ImageId.1=ami-00000000&ResourceType.1.ResourceType=ec2:LaunchTemplate\
                 &{option}.OptionName=version-depth&{option}.OptionValue.1=10001"
            ),
            value,
        ),
        (
            format!("&ImageId.1=ami-00000000&{instance}&{option}.OptionName=state-name"),
            missing,
        ),
        (
            "&ImageId.1=ami-00000000&ResourceType.1.ResourceType=s3:Bucket".to_owned(),
            value,
        ),
        ("&ImageId.1=ami-00000000".to_owned(), missing),
        ("&IncludeAllResourceTypes=true".to_owned(), missing),
        (
            "&ImageId.1=ami-0&IncludeAllResourceTypes=true".to_owned(),
            "InvalidAMIID.Malformed",
        ),
        (format!("{many}&IncludeAllResourceTypes=true"), value),
        (
            "&ImageId.1=ami-00000000&IncludeAllResourceTypes=true&MaxResults=4".to_owned(),
            value,
        ),
    ] {
        let form = format!("Action=DescribeImageReferences{rest}");
        assert_eq!(world.code(&caller(), &form).await, code, "{rest}");
    }
}

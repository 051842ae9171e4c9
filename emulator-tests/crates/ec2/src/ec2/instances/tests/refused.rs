//! What RunInstances refuses.

use super::*;

#[tokio::test]
async fn what_run_instances_refuses() {
    let world = with_image(|_| {});
    let long = "QUFB".repeat(16 * 1024 / 3 + 1);
    let map = "&BlockDeviceMapping.1.DeviceName=/dev/xvda&BlockDeviceMapping.1";
    let other = "&BlockDeviceMapping.1.DeviceName=/dev/sdz&BlockDeviceMapping.1";
    let eni = "&NetworkInterface.1";
    let mut wrong: Vec<(String, &str)> = [
        ("&SubnetId=subnet-none", "InvalidSubnetID.NotFound"),
        ("&SecurityGroupId.1=sg-00000009", "InvalidGroup.NotFound"),
        ("&SecurityGroupId.1=group", "InvalidGroupId.Malformed"),
        ("&SecurityGroupId.1=sg-00000003", "InvalidParameter"),
        ("&SecurityGroup.1=none", "InvalidGroup.NotFound"),
        ("&SecurityGroup.1=web&SubnetId=subnet-a", "InvalidParameterCombination"),
        ("&KeyName=none", "InvalidKeyPair.NotFound"),
        ("&IamInstanceProfile.Name=none", "InvalidParameterValue"),
        ("&IamInstanceProfile.Name=bare", "InvalidParameterValue"),
        ("&IamInstanceProfile.Name=role&IamInstanceProfile.Arn=a", "InvalidParameterCombination"),
        ("&IamInstanceProfile.Arn=arn:aws:iam::222222222222:instance-profile/role", "InvalidParameterValue"),
        ("&Placement.AvailabilityZone=us-east-1c", "MissingInput"),
        ("&Placement.AvailabilityZone=eu-west-1a", "InvalidParameterValue"),
        ("&Placement.AvailabilityZone=us-east-1b&SubnetId=subnet-a", "InvalidParameterValue"),
        ("&Placement.GroupName=cluster", "UnsupportedOperation"),
        ("&UserData=***", "InvalidUserData.Malformed"),
        ("&MetadataOptions.HttpTokens=always", "InvalidParameterValue"),
        ("&MetadataOptions.HttpPutResponseHopLimit=65", "InvalidParameterValue"),
        ("&MetadataOptions.HttpPutResponseHopLimit=0", "InvalidParameterValue"),
        ("&MetadataOptions.InstanceMetadataTags=enabled&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=a/b&TagSpecification.1.Tag.1.Value=c", "InvalidParameterValue"),
        ("&InstanceInitiatedShutdownBehavior=reboot", "InvalidParameterValue"),
        ("&DisableApiTermination=yes", "InvalidParameterValue"),
        ("&TagSpecification.1.ResourceType=snapshot&TagSpecification.1.Tag.1.Key=a", "InvalidParameterValue"),
        ("&TagSpecification.1.ResourceType=volume&TagSpecification.1.Tag.1.Key=aws:a", "InvalidParameterValue"),
        ("&PrivateIpAddress=172.31.0.3", "InvalidParameterValue"),
        ("&PrivateIpAddress=172.31.15.255", "InvalidParameterValue"),
        ("&PrivateIpAddress=10.0.0.5", "InvalidParameterValue"),
        ("&PrivateIpAddress=here", "InvalidParameterValue"),
        ("&LaunchTemplate.LaunchTemplateName=a", "UnsupportedOperation"),
        ("&HibernationOptions.Configured=true", "UnsupportedOperation"),
        ("&Nonsense=1", "UnknownParameter"),
        ("&DryRun=true", "DryRunOperation"),
    ]
    .map(|(more, code)| (more.to_owned(), code))
    .into();
    wrong.push((format!("&UserData={long}"), "InvalidParameterValue"));
    wrong.push((
        format!("&ClientToken={}", "a".repeat(65)),
        "InvalidParameterValue",
    ));
    for (more, code) in [
        (".Ebs.VolumeSize=7", "InvalidBlockDeviceMapping"),
        (".Ebs.VolumeSize=65537", "InvalidParameterValue"),
        (".Ebs.VolumeSize=big", "InvalidParameterValue"),
        (".Ebs.VolumeType=gp9", "UnknownVolumeType"),
        (".Ebs.VolumeType=st1", "InvalidParameterValue"),
        (".Ebs.Iops=2", "InvalidParameterValue"),
        (".Ebs.KmsKeyId=alias/a", "InvalidParameterDependency"),
        (".NoDevice=", "InvalidBlockDeviceMapping"),
        (".VirtualName=ephemeral0", "InvalidBlockDeviceMapping"),
        (
            ".Ebs.SnapshotId=snap-00000000000000002",
            "InvalidBlockDeviceMapping",
        ),
        (".Ebs.OutpostArn=a", "UnsupportedOperation"),
        (
            ".NoDevice=&BlockDeviceMapping.1.VirtualName=ephemeral0",
            "InvalidBlockDeviceMapping",
        ),
        (
            ".Ebs.VolumeSize=9&BlockDeviceMapping.2.DeviceName=/dev/xvda&BlockDeviceMapping.2.Ebs.VolumeSize=9",
            "InvalidBlockDeviceMapping",
        ),
    ] {
        wrong.push((format!("{map}{more}"), code));
    }
    for (more, code) in [
        (".Ebs.VolumeType=gp3", "MissingParameter"),
        (".Ebs.VolumeSize=0", "InvalidParameterValue"),
        (
            ".Ebs.SnapshotId=snap-00000000000000009",
            "InvalidSnapshot.NotFound",
        ),
        (".Ebs.SnapshotId=snap", "InvalidSnapshotID.Malformed"),
    ] {
        wrong.push((format!("{other}{more}"), code));
    }
    wrong.push((
        "&BlockDeviceMapping.1.Ebs.VolumeSize=9".to_owned(),
        "MissingParameter",
    ));
    for (more, code) in [
        (".SubnetId=subnet-a".to_owned(), "MissingParameter"),
        (".DeviceIndex=1".to_owned(), "InvalidParameterValue"),
        (
            format!(".DeviceIndex=0{eni}.NetworkInterfaceId=eni-1"),
            "UnsupportedOperation",
        ),
        (
            ".DeviceIndex=0&SubnetId=subnet-a".to_owned(),
            "InvalidParameterCombination",
        ),
        (
            ".DeviceIndex=0&SecurityGroupId.1=sg-00000001".to_owned(),
            "InvalidParameterCombination",
        ),
        (
            ".DeviceIndex=0&NetworkInterface.2.DeviceIndex=1".to_owned(),
            "UnsupportedOperation",
        ),
    ] {
        wrong.push((format!("{eni}{more}"), code));
    }
    for (more, expected) in wrong {
        assert_eq!(code(run(&world, &more).await), expected, "{more:.200}");
    }
    let start = "Action=RunInstances";
    for (form, expected) in [
        (format!("{start}&MinCount=1&MaxCount=1"), "MissingParameter"),
        (
            format!("{start}&ImageId={IMAGE}&MinCount=1"),
            "MissingParameter",
        ),
        (
            format!("{start}&ImageId={IMAGE}&MinCount=0&MaxCount=1"),
            "InvalidParameterValue",
        ),
        (
            format!("{start}&ImageId={IMAGE}&MinCount=2&MaxCount=1"),
            "InvalidParameterCombination",
        ),
        (
            format!("{start}&ImageId={IMAGE}&MinCount=101&MaxCount=101"),
            "InstanceLimitExceeded",
        ),
        (
            format!("{start}&ImageId=ami-1&MinCount=1&MaxCount=1"),
            "InvalidAMIID.Malformed",
        ),
        (
            format!("{start}&ImageId=ami-00000000000000009&MinCount=1&MaxCount=1"),
            "InvalidAMIID.NotFound",
        ),
        (
            format!("{start}&ImageId={IMAGE}&MinCount=1&MaxCount=1&InstanceType=t9.huge"),
            "InvalidParameterValue",
        ),
        (
            format!("{start}&ImageId={IMAGE}&MinCount=1&MaxCount=2&PrivateIpAddress=172.31.0.9"),
            "InvalidParameterCombination",
        ),
        (
            format!("{start}&ImageId={IMAGE}&MinCount=12&MaxCount=12&SubnetId=subnet-small"),
            "InsufficientFreeAddressesInSubnet",
        ),
    ] {
        assert_eq!(code(call(&world, &form).await), expected, "{form}");
    }
    // Nothing of all this left anything behind.
    world.services.store.read(|world| {
        assert!(world.instances.is_empty() && world.volumes.is_empty());
    });
}

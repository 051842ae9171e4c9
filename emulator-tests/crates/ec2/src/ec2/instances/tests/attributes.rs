//! What of an instance can be changed.

use super::*;
use time::Duration;

#[tokio::test]
async fn attributes() {
    let world = with_image(|_| {});
    let id = launch(&world, "&UserData=aGk%3D").await;
    world.clock.advance(Duration::seconds(1));
    let modify = format!("Action=ModifyInstanceAttribute&InstanceId={id}");
    for (more, expected) in [
        ("", "InvalidParameterCombination"),
        (
            "&DisableApiStop.Value=true&EbsOptimized.Value=true",
            "InvalidParameterCombination",
        ),
        ("&InstanceType.Value=t2.micro", "IncorrectInstanceState"),
        ("&InstanceType.Value=t9.huge", "InvalidParameterValue"),
        ("&UserData.Value=aGk%3D", "IncorrectInstanceState"),
        ("&UserData.Value=***", "InvalidUserData.Malformed"),
        (
            "&InstanceInitiatedShutdownBehavior.Value=sleep",
            "InvalidParameterValue",
        ),
        (
            "&DisableApiTermination.Value=perhaps",
            "InvalidParameterValue",
        ),
        ("&Attribute=colour&Value=red", "InvalidParameterValue"),
        ("&GroupId.1=sg-00000003", "InvalidGroup.NotFound"),
        (
            "&BlockDeviceMapping.1.DeviceName=/dev/sdq&BlockDeviceMapping.1.Ebs.DeleteOnTermination=true",
            "InvalidInstanceAttributeValue",
        ),
    ] {
        assert_eq!(
            code(call(&world, &format!("{modify}{more}")).await),
            expected,
            "{more}"
        );
    }
    for more in [
        "&DisableApiTermination.Value=true",
        "&Attribute=instanceInitiatedShutdownBehavior&Value=terminate",
        "&SourceDestCheck.Value=false",
        "&GroupId.1=sg-00000002",
        "&BlockDeviceMapping.1.DeviceName=/dev/sdf&BlockDeviceMapping.1.Ebs.DeleteOnTermination=true",
    ] {
        call(&world, &format!("{modify}{more}")).await.unwrap();
    }
    call(&world, &format!("Action=StopInstances&InstanceId.1={id}"))
        .await
        .unwrap();
    world.clock.advance(Duration::seconds(1));
    call(&world, &format!("{modify}&InstanceType.Value=t2.micro"))
        .await
        .unwrap();
    let fits = call(&world, &format!("{modify}&InstanceType.Value=t4g.micro")).await;
    assert_eq!(code(fits), "InvalidParameterValue");
    call(&world, &format!("{modify}&UserData.Value=eW8%3D"))
        .await
        .unwrap();
    for (attribute, value) in [
        ("disableApiTermination", "<value>true</value>"),
        (
            "instanceInitiatedShutdownBehavior",
            "<value>terminate</value>",
        ),
        ("sourceDestCheck", "<value>false</value>"),
        ("instanceType", "<value>t2.micro</value>"),
        ("userData", "<value>eW8=</value>"),
        ("kernel", ""),
        (
            "groupSet",
            "<item><groupId>sg-00000002</groupId><groupName>web</groupName></item>",
        ),
    ] {
        let form =
            format!("Action=DescribeInstanceAttribute&InstanceId={id}&Attribute={attribute}");
        let xml = call(&world, &form).await.unwrap();
        assert_eq!(text(&xml, attribute), value);
    }
    let unknown = format!("Action=DescribeInstanceAttribute&InstanceId={id}&Attribute=colour");
    assert_eq!(code(call(&world, &unknown).await), "InvalidParameterValue");
    let described = call(&world, "Action=DescribeInstances").await.unwrap();
    assert_eq!(text(&described, "currentInstanceBootMode"), "legacy-bios");
    assert_eq!(described.matches("<deleteOnTermination>true").count(), 3);
}

#[tokio::test]
async fn metadata_options() {
    let world = with_image(|image| image.imds = None);
    let id = launch(&world, "").await;
    let xml = call(&world, "Action=DescribeInstances").await.unwrap();
    assert_eq!(text(&xml, "httpTokens"), "optional");
    assert_eq!(text(&xml, "httpPutResponseHopLimit"), "1");
    let modify = format!("Action=ModifyInstanceMetadataOptions&InstanceId={id}");
    assert_eq!(
        code(call(&world, &modify).await),
        "InvalidParameterCombination"
    );
    let bad = format!("{modify}&HttpEndpoint=on");
    assert_eq!(code(call(&world, &bad).await), "InvalidParameterValue");
    let fine = format!("{modify}&HttpTokens=required&HttpPutResponseHopLimit=64");
    let answer = call(&world, &fine).await.unwrap();
    assert_eq!(text(&answer, "httpPutResponseHopLimit"), "64");
    let xml = call(&world, "Action=DescribeInstances").await.unwrap();
    assert_eq!(text(&xml, "httpTokens"), "required");
}

//! What is told of instances.

use super::*;
use time::Duration;

#[tokio::test]
async fn what_was_asked_for_is_described() {
    let world = with_image(|_| {});
    let tags = "&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=n\
                &TagSpecification.1.Tag.1.Value=i&TagSpecification.2.ResourceType=volume\
                &TagSpecification.2.Tag.1.Key=n&TagSpecification.2.Tag.1.Value=v";
    let id = launch(
        &world,
        &format!(
            "{tags}&KeyName=key&IamInstanceProfile.Name=role&SecurityGroup.1=web\
             &PrivateIpAddress=172.31.0.77&Monitoring.Enabled=true&UserData=aGk%3D\
             &BlockDeviceMapping.1.DeviceName=/dev/xvda&BlockDeviceMapping.1.Ebs.VolumeSize=20"
        ),
    )
    .await;
    let xml = call(&world, "Action=DescribeInstances").await.unwrap();
    for (name, value) in [
        ("instanceId", id.as_str()),
        ("ownerId", "111111111111"),
        ("imageId", IMAGE),
        ("instanceType", "t3.micro"),
        ("keyName", "key"),
        ("privateIpAddress", "172.31.0.77"),
        ("privateDnsName", "ip-172-31-0-77.ec2.internal"),
        ("subnetId", "subnet-a"),
        ("vpcId", "vpc-default"),
        ("availabilityZone", "us-east-1a"),
        ("arn", "arn:aws:iam::111111111111:instance-profile/role"),
        ("groupName", ""),
        ("groupId", "sg-00000002"),
        ("httpTokens", "required"),
        ("httpPutResponseHopLimit", "2"),
        ("bootMode", "uefi-preferred"),
        ("currentInstanceBootMode", "uefi"),
        ("enaSupport", "true"),
        ("rootDeviceName", "/dev/xvda"),
        ("sriovNetSupport", "simple"),
        ("architecture", "x86_64"),
        ("monitoring", "<state>enabled</state>"),
        ("tagSet", "<item><key>n</key><value>i</value></item>"),
    ] {
        assert_eq!(text(&xml, name), value, "{name}");
    }
    assert!(text(&xml, "ipAddress").starts_with("198."));
    assert!(!xml.contains("stateReason"));
    // The volumes share the snapshot's layers.
    world.services.store.read(|world| {
        let mut volumes: Vec<_> = world.volumes.values().collect();
        volumes.sort_by_key(|it| it.size);
        assert_eq!((volumes[0].size, volumes[1].size), (3, 20));
        assert!(volumes[0].layers.is_empty());
        assert_eq!(volumes[1].layers, ["root-layer"]);
        assert_eq!(volumes[1].snapshot.as_deref(), Some(SNAPSHOT));
        assert_eq!(volumes[1].zone, "us-east-1a");
        assert!(volumes.iter().all(|it| it.tags["n"] == "v"));
        assert!(
            volumes
                .iter()
                .all(|it| it.attachment.as_ref().unwrap().instance == id)
        );
    });
    let taken = run(&world, "&PrivateIpAddress=172.31.0.77").await;
    assert_eq!(code(taken), "InvalidIPAddress.InUse");

    for (filter, value, count) in [
        ("instance-id", id.as_str(), 1),
        ("instance-state-name", "pending", 1),
        ("instance-state-name", "running", 0),
        ("image-id", IMAGE, 1),
        ("tag:n", "i", 1),
        ("tag-key", "v", 0),
        ("vpc-id", "vpc-other", 0),
        ("block-device-mapping.device-name", "/dev/sdf", 1),
        ("instance.group-name", "web", 1),
        ("metadata-options.http-tokens", "required", 1),
    ] {
        let form =
            format!("Action=DescribeInstances&Filter.1.Name={filter}&Filter.1.Value.1={value}");
        let found = call(&world, &form).await.unwrap();
        assert_eq!(
            found.matches("<reservationId>").count(),
            count,
            "{filter} {value}"
        );
    }
    let unknown = "Action=DescribeInstances&Filter.1.Name=colour&Filter.1.Value.1=red";
    assert_eq!(code(call(&world, unknown).await), "InvalidParameterValue");
}

#[tokio::test]
async fn pages_and_reservations() {
    let world = with_image(|_| {});
    call(&world, &form("").replace("MaxCount=1", "MaxCount=7"))
        .await
        .unwrap();
    let first = call(&world, "Action=DescribeInstances&MaxResults=5")
        .await
        .unwrap();
    assert_eq!(first.matches("<instanceId>").count(), 5);
    assert_eq!(first.matches("<reservationId>").count(), 1);
    let next = text(&first, "nextToken");
    let second = call(
        &world,
        &format!("Action=DescribeInstances&NextToken={next}"),
    )
    .await
    .unwrap();
    assert_eq!(second.matches("<instanceId>").count(), 2);
    assert!(!second.contains("nextToken"));
    for (form, expected) in [
        ("MaxResults=4", "InvalidParameterValue"),
        ("NextToken=%00", "InvalidNextToken"),
        (
            "InstanceId.1=i-00000000000000001&MaxResults=5",
            "InvalidParameterCombination",
        ),
        (
            "InstanceId.1=i-00000000000000001",
            "InvalidInstanceID.NotFound",
        ),
        ("InstanceId.1=x", "InvalidInstanceID.Malformed"),
    ] {
        let result = call(&world, &format!("Action=DescribeInstances&{form}")).await;
        assert_eq!(code(result), expected, "{form}");
    }
}

#[tokio::test]
async fn a_client_token_launches_once() {
    let world = with_image(|_| {});
    let first = launch(&world, "&ClientToken=t").await;
    assert_eq!(launch(&world, "&ClientToken=t").await, first);
    let other = run(&world, "&ClientToken=t&EbsOptimized=true").await;
    assert_eq!(code(other), "IdempotentParameterMismatch");
    assert_ne!(launch(&world, "&ClientToken=u").await, first);
    world
        .services
        .store
        .read(|world| assert_eq!(world.instances.len(), 2));
}

#[tokio::test]
async fn status_is_of_running_instances() {
    let world = with_image(|_| {});
    let id = launch(&world, "").await;
    let listed = |xml: &str| xml.matches("<instanceId>").count();
    let plain = "Action=DescribeInstanceStatus";
    let all = "Action=DescribeInstanceStatus&IncludeAllInstances=true";
    assert_eq!(listed(&call(&world, plain).await.unwrap()), 0);
    let pending = call(&world, all).await.unwrap();
    assert_eq!(
        text(text(&pending, "instanceStatus"), "status"),
        "not-applicable"
    );
    world.clock.advance(Duration::seconds(1));
    let running = call(&world, plain).await.unwrap();
    assert_eq!(
        text(text(&running, "systemStatus"), "status"),
        "initializing"
    );
    world.clock.advance(Duration::seconds(1));
    let ok = call(&world, plain).await.unwrap();
    assert_eq!(text(text(&ok, "instanceStatus"), "status"), "ok");
    let filtered = format!("{plain}&Filter.1.Name=system-status.status&Filter.1.Value.1=impaired");
    assert_eq!(listed(&call(&world, &filtered).await.unwrap()), 0);
    let one = format!("{plain}&InstanceId.1={id}&MaxResults=10");
    assert_eq!(
        code(call(&world, &one).await),
        "InvalidParameterCombination"
    );
}

#[tokio::test]
async fn the_console_is_empty() {
    let world = with_image(|_| {});
    let id = launch(&world, "").await;
    let get = format!("Action=GetConsoleOutput&InstanceId={id}");
    let xml = call(&world, &get).await.unwrap();
    assert_eq!(text(&xml, "output"), "");
    assert_eq!(text(&xml, "timestamp"), "2026-01-01T00:00:00.000Z");
    let old = call(&world, &form("").replace("t3", "t2")).await.unwrap();
    let latest = format!(
        "Action=GetConsoleOutput&Latest=true&InstanceId={}",
        text(&old, "instanceId")
    );
    assert_eq!(code(call(&world, &latest).await), "UnsupportedOperation");
}

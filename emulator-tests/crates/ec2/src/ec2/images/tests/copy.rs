//! `CopyImage`: across regions, accounts and keys.

use super::*;
use crate::testing::world;
use emulator_testing::{DISABLED, KEY, caller, caller_of};

fn there() -> Caller {
    caller_of("111111111111", "eu-west-1")
}

fn form(id: &str, rest: &str) -> String {
    format!("Action=CopyImage&Name=copy&SourceImageId={id}&SourceRegion=us-east-1{rest}")
}

/// The copy's only snapshot.
fn storage(world: &World, image: &str) -> Snapshot {
    let image = world.image(image);
    let id = image.snapshots().next().unwrap().to_owned();
    world.snapshot(&id).unwrap()
}

#[tokio::test]
async fn a_copy_has_the_content_and_not_the_circumstances() {
    let world = world();
    world.put(Change::Snapshot(snapshot(&caller(), PLAIN)));
    let register = with(
        REGISTER,
        "Description=first&BootMode=uefi&TpmSupport=v2.0&ImdsSupport=v2.0&EnaSupport=true\
         &SriovNetSupport=simple&UefiData=QUJD&BlockDeviceMapping.2.DeviceName=/dev/sdb\
         &BlockDeviceMapping.2.VirtualName=ephemeral0",
    );
    let id = world.make(&caller(), &register).await;
    let mut source = world.image(&id);
    source.permissions.accounts.insert(account("222222222222"));
    source.deprecated = Some(world.services.clock.now() + Duration::days(9));
    source.deregistration_protection =
        emulator_state::world::Protection::Enabled { cooldown: false };
    source.tags.insert("Team".into(), "a".into());
    world.put(Change::Image(Box::new(source.clone())));

    let copy = leaf(
        &world.ec2(&there(), &form(&id, "")).await.unwrap(),
        "imageId",
    );
    let copy = world.image(&copy);
    let storage = storage(&world, &copy.id);
    let mut devices = source.devices.clone();
    devices[0].ebs.as_mut().unwrap().snapshot = Some(storage.id.clone());
    assert_eq!(
        copy,
        Image {
            id: copy.id.clone(),
            region: region("eu-west-1"),
            name: "copy".into(),
            description: None,
            devices,
            created: copy.created,
            state: copy.state.clone(),
            deprecated: None,
            deregistration_protection: emulator_state::world::Protection::Disabled,
            permissions: Permissions::default(),
            source_image: Some((id.clone(), region("us-east-1"))),
            tags: Default::default(),
            ..source
        }
    );
    assert_ne!(storage.id, PLAIN);
    assert_eq!(storage.region, region("eu-west-1"));
    assert_eq!(storage.layers, world.snapshot(PLAIN).unwrap().layers);
    assert!(!storage.encrypted);

    let describe = format!("Action=DescribeImages&ImageId.1={}", copy.id);
    let xml = world.ec2(&there(), &describe).await.unwrap();
    assert!(xml.contains("<imageState>pending</imageState>"), "{xml}");
    assert!(
        xml.contains(&format!(
            "<sourceImageId>{id}</sourceImageId><sourceImageRegion>us-east-1</sourceImageRegion>"
        )),
        "{xml}"
    );
    assert_eq!(
        world.code(&caller(), &describe).await,
        "InvalidAMIID.NotFound"
    );
}

/// What a copy is encrypted with; `Err` is the code of a refusal.
#[tokio::test]
async fn encryption() {
    let key = |name: &str| Ok(Some(arn(&there(), name)));
    let customer = format!("&Encrypted=true&KmsKeyId={KEY}");
    let dependency = Err("InvalidParameterDependency".to_owned());
    for (source, rest, wanted) in [
        (None, "", Ok(None)),
        (None, "&Encrypted=false", Ok(None)),
        (None, "&Encrypted=true", key("ebs")),
        (None, customer.as_str(), key(KEY)),
        (Some(KEY), "", key("ebs")),
        (Some(KEY), "&Encrypted=true", key("ebs")),
        (Some(KEY), customer.as_str(), key(KEY)),
        (Some("ebs"), customer.as_str(), key(KEY)),
        (Some(KEY), "&Encrypted=false", Err("InvalidRequest".into())),
        (None, "&KmsKeyId=alias/aws/ebs", dependency.clone()),
        (Some(KEY), "&KmsKeyId=alias/aws/ebs", dependency),
    ] {
        let world = world();
        world.put(Change::Snapshot(match source {
            None => snapshot(&caller(), PLAIN),
            Some(key) => encrypted(&caller(), PLAIN, key),
        }));
        let id = world.make(&caller(), REGISTER).await;
        let got = match world.ec2(&there(), &form(&id, rest)).await {
            Err(error) => Err(error.code.into_owned()),
            Ok(xml) => {
                let copy = leaf(&xml, "imageId");
                let storage = storage(&world, &copy);
                let device = world.image(&copy).devices[0].ebs.clone().unwrap();
                assert_eq!(storage.encrypted, storage.kms_key.is_some());
                assert_eq!(storage.encrypted, device.encrypted);
                assert_eq!(storage.blank, world.snapshot(PLAIN).unwrap().blank);
                Ok(storage.kms_key)
            }
        };
        assert_eq!(got, wanted, "{source:?} {rest}");
    }
}

/// "If you specify an identifier that is not valid, the action can appear to complete, but
/// eventually fails" (API reference of `CopyImage`).
#[tokio::test]
async fn a_key_that_cannot_be_used_fails_later() {
    for (source, rest) in [
        (None, "&Encrypted=true&KmsKeyId=alias/none".to_owned()),
        (None, format!("&Encrypted=true&KmsKeyId={DISABLED}")),
        (Some(DISABLED), format!("&Encrypted=true&KmsKeyId={KEY}")),
    ] {
        let world = world();
        world.put(Change::Snapshot(match source {
            None => snapshot(&caller(), PLAIN),
            Some(key) => encrypted(&caller(), PLAIN, key),
        }));
        let id = world.make(&caller(), REGISTER).await;
        let xml = world.ec2(&there(), &form(&id, &rest)).await.unwrap();
        let copy = leaf(&xml, "imageId");
        let describe = format!("Action=DescribeImages&ImageId.1={copy}");
        let xml = world.ec2(&there(), &describe).await.unwrap();
        assert_eq!(leaf(&xml, "imageState"), "pending");
        assert_eq!(count(&xml, "stateReason"), 0);
        world.clock.advance(Duration::seconds(1));
        let xml = world.ec2(&there(), &describe).await.unwrap();
        assert_eq!(leaf(&xml, "imageState"), "failed");
        assert!(leaf(&xml, "stateReason").contains("Given key ID is not accessible"));
        assert!(storage(&world, &copy).layers.is_empty());
        let again =
            format!("Action=CopyImage&Name=again&SourceImageId={copy}&SourceRegion=eu-west-1");
        assert_eq!(
            world.code(&there(), &again).await,
            "InvalidAMIID.Unavailable"
        );
    }
}

#[tokio::test]
async fn another_account_needs_the_image_and_its_storage() {
    let world = world();
    let id = world.registered(&caller()).await;
    let friend = caller_of("222222222222", "eu-west-1");
    assert_eq!(
        world.code(&friend, &form(&id, "")).await,
        "InvalidAMIID.NotFound"
    );
    let share = format!(
        "Action=ModifyImageAttribute&ImageId={id}&LaunchPermission.Add.1.UserId=222222222222"
    );
    assert_eq!(world.code(&caller(), &share).await, "ok");
    let error = world.ec2(&friend, &form(&id, "")).await.unwrap_err();
    assert_eq!(error.code, "InvalidRequest");
    assert_eq!(
        error.message,
        "You do not have permission to access the storage of this ami"
    );
    let mut storage = world.snapshot(PLAIN).unwrap();
    storage.permissions.accounts.insert(friend.account.clone());
    world.put(Change::Snapshot(storage));
    let mut image = world.image(&id);
    image.tags.insert("Team".into(), "a".into());
    world.put(Change::Image(Box::new(image)));
    let xml = world
        .ec2(&friend, &form(&id, "&CopyImageTags=true"))
        .await
        .unwrap();
    let copy = world.image(&leaf(&xml, "imageId"));
    assert_eq!(copy.owner, friend.account);
    assert!(
        copy.tags.is_empty(),
        "its owner's tags are not the copier's"
    );
}

/// Nobody else can be let use AWS's own key.
#[tokio::test]
async fn a_copy_of_what_another_encrypts_with_awss_key_fails_later() {
    let friend = caller_of("222222222222", "us-east-1");
    for (key, state) in [(KEY, "available"), ("ebs", "failed")] {
        let world = world();
        let mut storage = encrypted(&caller(), PLAIN, key);
        storage.permissions.accounts.insert(friend.account.clone());
        world.put(Change::Snapshot(storage));
        let id = world.make(&caller(), REGISTER).await;
        let mut image = world.image(&id);
        image.permissions.accounts.insert(friend.account.clone());
        world.put(Change::Image(Box::new(image)));
        let xml = world.ec2(&friend, &form(&id, "")).await.unwrap();
        world.clock.advance(Duration::seconds(1));
        let describe = format!("Action=DescribeImages&ImageId.1={}", leaf(&xml, "imageId"));
        let xml = world.ec2(&friend, &describe).await.unwrap();
        assert_eq!(leaf(&xml, "imageState"), state, "{key}");
    }
}

#[tokio::test]
async fn tags() {
    let world = world();
    let id = world.registered(&caller()).await;
    let mut image = world.image(&id);
    image.tags.insert("Team".into(), "a".into());
    image.tags.insert("Name".into(), "old".into());
    world.put(Change::Image(Box::new(image)));
    let rest = "&CopyImageTags=true&TagSpecification.1.ResourceType=image\
        &TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.Tag.1.Value=new\
        &TagSpecification.2.ResourceType=snapshot\
        &TagSpecification.2.Tag.1.Key=Part&TagSpecification.2.Tag.1.Value=root";
    let xml = world.ec2(&there(), &form(&id, rest)).await.unwrap();
    let copy = leaf(&xml, "imageId");
    let pairs = |tags: &emulator_state::world::Tags| format!("{tags:?}");
    assert_eq!(
        pairs(&world.image(&copy).tags),
        r#"{"Name": "new", "Team": "a"}"#
    );
    assert_eq!(pairs(&storage(&world, &copy).tags), r#"{"Part": "root"}"#);
}

#[tokio::test]
async fn a_token_makes_one_copy() {
    let world = world();
    let id = world.registered(&caller()).await;
    let first = world
        .ec2(&there(), &form(&id, "&ClientToken=t"))
        .await
        .unwrap();
    let again = world.ec2(&there(), &form(&id, "&ClientToken=t")).await;
    assert_eq!(again.unwrap(), first);
    assert_eq!(
        world
            .code(&there(), &form(&id, "&ClientToken=t&Description=x"))
            .await,
        "IdempotentParameterMismatch"
    );
    // Elsewhere it is another token.
    assert_eq!(
        world
            .code(
                &caller_of("111111111111", "eu-west-2"),
                &form(&id, "&ClientToken=t")
            )
            .await,
        "ok"
    );
    assert_eq!(
        world.code(&there(), &form(&id, "")).await,
        "InvalidAMIName.Duplicate"
    );
}

#[tokio::test]
async fn rules() {
    let value = "InvalidParameterValue";
    let token = format!("ClientToken={}", "t".repeat(129));
    for (change, code) in [
        ("SnapshotCopyCompletionDurationMinutes=30", "ok"),
        ("SnapshotCopyCompletionDurationMinutes=20", value),
        ("SnapshotCopyCompletionDurationMinutes=0", value),
        ("SnapshotCopyCompletionDurationMinutes=2895", value),
        ("-Name", "MissingParameter"),
        ("Name=x", "InvalidAMIName.Malformed"),
        ("-SourceRegion", "MissingParameter"),
        ("SourceRegion=US", "InvalidRegion"),
        ("SourceRegion=nowhere", "InvalidRegion"),
        ("SourceRegion=us-east-9", "InvalidRegion"),
        ("SourceRegion=us-east-2", "InvalidAMIID.NotFound"),
        ("-SourceImageId", "MissingParameter"),
        ("SourceImageId=ami-1", "InvalidAMIID.Malformed"),
        ("SourceImageId=ami-00000000", "InvalidAMIID.NotFound"),
        (
            "DestinationOutpostArn=arn:aws:outposts:x",
            "InvalidParameter",
        ),
        (
            "DestinationAvailabilityZone=us-east-1-bos-1a",
            "InvalidParameter",
        ),
        ("Encrypted=maybe", value),
        ("TagSpecification.1.ResourceType=volume", value),
        (token.as_str(), value),
        ("DryRun=true", "DryRunOperation"),
    ] {
        let world = world();
        let id = world.registered(&caller()).await;
        let form = with(&form(&id, ""), change);
        assert_eq!(world.code(&there(), &form).await, code, "{change}");
        let (images, snapshots) = world
            .services
            .store
            .read(|world| (world.images.len(), world.snapshots.len()));
        let made = usize::from(code == "ok");
        assert_eq!((images, snapshots), (1 + made, 1 + made), "{change}");
    }
}

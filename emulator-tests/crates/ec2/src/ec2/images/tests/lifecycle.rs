//! Deprecation, disabling, protection, deregistration.

use super::*;
use crate::ec2::images::users_of_snapshot;
use crate::testing::world;
use emulator_testing::{KEY, caller, caller_of};

async fn act(world: &World, action: &str, id: &str, rest: &str) -> String {
    let form = format!("Action={action}&ImageId={id}{rest}");
    world.code(&caller(), &form).await
}

async fn publish(world: &World, id: &str) {
    let add = "&LaunchPermission.Add.1.Group=all";
    assert_eq!(act(world, "ModifyImageAttribute", id, add).await, "ok");
}

#[tokio::test]
async fn when_an_image_may_be_deprecated() {
    let value = "InvalidParameterValue";
    for (public, at, code) in [
        (false, "2026-01-02T00:00:00Z", "ok"),
        (false, "2026-01-02T00:00:00.000Z", "ok"),
        (false, "2035-12-31T00:00:00Z", "ok"),
        (false, "2036-01-02T00:00:00Z", value),
        (false, "2026-01-01T00:00:00Z", value),
        (false, "2025-01-01T00:00:00Z", value),
        (false, "tomorrow", value),
        (false, "2026-13-01T00:00:00Z", value),
        (false, "9999-12-31T23:59:59Z", value),
        (false, "", "MissingParameter"),
        (true, "2027-12-31T00:00:00Z", "ok"),
        (true, "2028-01-02T00:00:00Z", value),
    ] {
        let world = world();
        let id = world.registered(&caller()).await;
        if public {
            publish(&world, &id).await;
        }
        let rest = format!("&DeprecateAt={at}");
        let got = act(&world, "EnableImageDeprecation", &id, &rest).await;
        assert_eq!(got, code, "{public} {at}");
    }
}

#[tokio::test]
async fn a_deprecated_image_is_hidden_from_others() {
    let world = world();
    let id = world.registered(&caller()).await;
    publish(&world, &id).await;
    let rest = "&DeprecateAt=2026-01-10T12:00:31Z";
    assert_eq!(act(&world, "EnableImageDeprecation", &id, rest).await, "ok");
    let friend = caller_of("222222222222", "us-east-1");
    let listed = async |who: &Caller, rest: &str| {
        let form = format!("Action=DescribeImages{rest}");
        count(&world.ec2(who, &form).await.unwrap(), "imageId")
    };
    let by_id = format!("&ImageId.1={id}");
    let xml = world.ec2(&friend, "Action=DescribeImages").await.unwrap();
    assert_eq!(leaf(&xml, "deprecationTime"), "2026-01-10T12:01:00.000Z");
    world.clock.advance(Duration::days(10));
    for (who, rest, wanted) in [
        (&friend, "", 0),
        (&friend, "&IncludeDeprecated=false", 0),
        (&friend, "&IncludeDeprecated=true", 1),
        (&friend, by_id.as_str(), 1),
        (&caller(), "", 1),
    ] {
        assert_eq!(listed(who, rest).await, wanted, "{} {rest}", who.account);
    }
    assert_eq!(act(&world, "DisableImageDeprecation", &id, "").await, "ok");
    assert_eq!(listed(&friend, "").await, 1);
    // Public images are deprecated two years after they were made at the latest.
    let xml = world.ec2(&friend, "Action=DescribeImages").await.unwrap();
    assert_eq!(leaf(&xml, "deprecationTime"), "2028-01-01T00:00:00.000Z");
}

#[tokio::test]
async fn a_disabled_image_is_of_no_use() {
    let world = world();
    let id = world.registered(&caller()).await;
    publish(&world, &id).await;
    let friend = caller_of("222222222222", "us-east-1");
    assert_eq!(
        act(&world, "DisableImage", &id, "&DryRun=true").await,
        "DryRunOperation"
    );
    assert_eq!(act(&world, "DisableImage", &id, "").await, "ok");
    for (rest, wanted) in [("", 0), ("&IncludeDisabled=true", 1)] {
        let form = format!("Action=DescribeImages{rest}");
        let xml = world.ec2(&caller(), &form).await.unwrap();
        assert_eq!(count(&xml, "imageId"), wanted, "{rest}");
    }
    let by_id = format!("Action=DescribeImages&IncludeDisabled=true&ImageId.1={id}");
    let xml = world.ec2(&caller(), &by_id).await.unwrap();
    assert_eq!(leaf(&xml, "imageState"), "disabled");
    assert_eq!(world.code(&friend, &by_id).await, "InvalidAMIID.NotFound");
    let copy = format!("Action=CopyImage&Name=copy&SourceImageId={id}&SourceRegion=us-east-1");
    assert_eq!(
        world.code(&caller(), &copy).await,
        "InvalidAMIID.Unavailable"
    );
    let share = "&LaunchPermission.Add.1.Group=all";
    assert_eq!(
        act(&world, "ModifyImageAttribute", &id, share).await,
        "InvalidAMIID.Unavailable"
    );
    assert_eq!(act(&world, "EnableImage", &id, "").await, "ok");
    // Who it was shared with does not get it back.
    assert_eq!(world.code(&friend, &by_id).await, "InvalidAMIID.NotFound");
    assert_eq!(world.code(&caller(), &copy).await, "ok");
}

#[tokio::test]
async fn protection_holds_and_cools_down() {
    let name = async |world: &World, id: &str| {
        let form = format!("Action=DescribeImages&ImageId.1={id}");
        leaf(
            &world.ec2(&caller(), &form).await.unwrap(),
            "deregistrationProtection",
        )
    };
    for (rest, called, cooldown) in [
        ("", "enabled-without-cooldown", false),
        ("&WithCooldown=true", "enabled-with-cooldown", true),
    ] {
        let world = world();
        let id = world.registered(&caller()).await;
        let enable = "EnableImageDeregistrationProtection";
        let disable = "DisableImageDeregistrationProtection";
        assert_eq!(act(&world, enable, &id, rest).await, "ok");
        assert_eq!(name(&world, &id).await, called);
        assert_eq!(
            act(&world, "DeregisterImage", &id, "").await,
            "OperationNotPermitted"
        );
        assert_eq!(act(&world, disable, &id, "").await, "ok");
        assert_eq!(name(&world, &id).await, "disabled");
        if cooldown {
            world
                .clock
                .advance(Duration::hours(24) - Duration::seconds(1));
            // To disable it again starts no other cooldown.
            assert_eq!(act(&world, disable, &id, "").await, "ok");
            assert_eq!(
                act(&world, "DeregisterImage", &id, "").await,
                "OperationNotPermitted"
            );
            world.clock.advance(Duration::seconds(1));
        }
        assert_eq!(act(&world, "DeregisterImage", &id, "").await, "ok");
    }
}

#[tokio::test]
async fn a_deregistered_image_is_gone() {
    let world = world();
    let id = world.registered(&caller()).await;
    let read = |world: &World| {
        world
            .services
            .store
            .read(|world| users_of_snapshot(world, PLAIN).len())
    };
    assert_eq!(read(&world), 1);
    assert_eq!(
        act(&world, "DeregisterImage", &id, "&DryRun=true").await,
        "DryRunOperation"
    );
    assert_eq!(act(&world, "DeregisterImage", &id, "").await, "ok");
    assert_eq!(
        act(&world, "DeregisterImage", &id, "").await,
        "InvalidAMIID.NotFound"
    );
    assert_eq!(read(&world), 0);
    assert!(world.snapshot(PLAIN).is_some());
    let describe = format!("Action=DescribeImages&ImageId.1={id}");
    assert_eq!(
        world.code(&caller(), &describe).await,
        "InvalidAMIID.NotFound"
    );
    // The name is free again.
    assert_eq!(world.code(&caller(), REGISTER).await, "ok");
}

#[tokio::test]
async fn snapshots_go_with_their_last_image() {
    let world = world();
    let friend = caller_of("222222222222", "us-east-1");
    let numbered = |n: u8| format!("snap-0000000000000000{n}");
    let mut shared = snapshot(&friend, &numbered(3));
    shared.permissions.accounts.insert(caller().account);
    world.put(Change::Snapshot(shared));
    world.put(Change::Snapshot(encrypted(&caller(), &numbered(2), KEY)));
    // A snapshot and its copy have one layer.
    for n in [1, 4] {
        world.put(Change::Snapshot(Snapshot {
            layers: vec!["both".to_owned(), format!("only-{n}")],
            ..snapshot(&caller(), &numbered(n))
        }));
    }
    for layer in ["both", "only-1", "only-4"] {
        world.services.layers.create(layer).unwrap();
    }
    let all = with(
        REGISTER,
        &[("b", 2), ("c", 3)]
            .map(|(letter, n)| {
                format!(
                    "BlockDeviceMapping.{n}.DeviceName=/dev/sd{letter}\
                     &BlockDeviceMapping.{n}.Ebs.SnapshotId={}",
                    numbered(n)
                )
            })
            .join("&"),
    );
    let first = world.make(&caller(), &all).await;
    let second = with(
        REGISTER,
        &format!(
            "Name=two&BlockDeviceMapping.1.Ebs.SnapshotId={}",
            numbered(2)
        ),
    );
    let second = world.make(&caller(), &second).await;

    let form = format!("Action=DeregisterImage&ImageId={first}&DeleteAssociatedSnapshots=true");
    let xml = world.ec2(&caller(), &form).await.unwrap();
    let result = |n, code| {
        format!(
            "<item><snapshotId>{}</snapshotId><returnCode>{code}</returnCode></item>",
            numbered(n)
        )
    };
    assert_eq!(leaf(&xml, "return"), "true");
    assert_eq!(
        leaf(&xml, "deleteSnapshotResultSet"),
        [
            result(1, "success"),
            result(2, "skipped"),
            result(3, "missing-permissions")
        ]
        .concat()
    );
    let there: Vec<bool> = [1, 2, 3, 4]
        .map(|n| world.snapshot(&numbered(n)).is_some())
        .into();
    assert_eq!(there, [false, true, true, true]);
    let layer = |name: &str| {
        world
            .dir
            .path()
            .join(format!("layers/{name}.data"))
            .exists()
    };
    assert_eq!(["both", "only-1", "only-4"].map(layer), [true, false, true]);
    let form = format!("Action=DeregisterImage&ImageId={second}&DeleteAssociatedSnapshots=true");
    let xml = world.ec2(&caller(), &form).await.unwrap();
    assert_eq!(leaf(&xml, "deleteSnapshotResultSet"), result(2, "success"));
}

#[tokio::test]
async fn what_is_not_there() {
    let world = world();
    for action in [
        "DeregisterImage",
        "DisableImage",
        "EnableImage",
        "DisableImageDeprecation",
        "EnableImageDeregistrationProtection",
        "DisableImageDeregistrationProtection",
    ] {
        for (id, code) in [
            ("ami-00000000000000001", "InvalidAMIID.NotFound"),
            ("ami-x", "InvalidAMIID.Malformed"),
            ("", "MissingParameter"),
        ] {
            assert_eq!(act(&world, action, id, "").await, code, "{action} {id}");
        }
    }
}

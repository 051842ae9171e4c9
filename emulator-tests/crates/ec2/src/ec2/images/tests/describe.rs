//! What `DescribeImages` lists, and for whom.

use super::*;
use crate::testing::world;
use emulator_testing::{caller, caller_of};

/// The names of the images of an answer.
async fn names(world: &World, caller: &Caller, rest: &str) -> Vec<String> {
    let xml = world
        .ec2(caller, &format!("Action=DescribeImages{rest}"))
        .await
        .unwrap_or_else(|error| panic!("{rest}: {error}"));
    xml.match_indices("<name>")
        .map(|(at, _)| xml[at + 6..].split('<').next().unwrap().to_owned())
        .collect()
}

/// Three images of the caller's, of which `two` is public and `three` shared with an account.
async fn three(world: &World) {
    world.put(Change::Snapshot(snapshot(&caller(), PLAIN)));
    for name in ["one", "two", "three"] {
        let form = with(REGISTER, &format!("Name={name}&Description=the+{name}"));
        let id = world.make(&caller(), &form).await;
        let mut image = world.image(&id);
        image.permissions.public = name == "two";
        if name == "three" {
            image.permissions.accounts.insert(account("222222222222"));
        }
        image.tags.insert("Name".into(), name.into());
        world.put(Change::Image(Box::new(image)));
    }
}

#[tokio::test]
async fn owners_and_users() {
    let world = world();
    three(&world).await;
    let owner = caller();
    let friend = caller_of("222222222222", "us-east-1");
    let stranger = caller_of("333333333333", "us-east-1");
    for (who, rest, wanted) in [
        (&owner, "", "one three two"),
        (&friend, "", "three two"),
        (&stranger, "", "two"),
        (&owner, "&Owner.1=self", "one three two"),
        (&friend, "&Owner.1=self", ""),
        (&friend, "&Owner.1=111111111111", "three two"),
        (&owner, "&Owner.1=amazon&Owner.2=aws-marketplace", ""),
        (&owner, "&Owner.1=amazon&Owner.2=self", "one three two"),
        (&owner, "&ExecutableBy.1=all", "two"),
        (&friend, "&ExecutableBy.1=self", "three"),
        (&owner, "&ExecutableBy.1=222222222222", "three"),
        (&owner, "&ExecutableBy.1=self", ""),
        (&caller_of("111111111111", "eu-west-1"), "", ""),
    ] {
        let mut got = names(&world, who, rest).await;
        got.sort();
        assert_eq!(got.join(" "), wanted, "{} {rest}", who.account);
    }
}

#[tokio::test]
async fn filters() {
    let world = world();
    three(&world).await;
    for (name, value, wanted) in [
        ("name", "t*", "three two"),
        ("name", "on?", "one"),
        ("architecture", "x86_64", "one three two"),
        ("architecture", "arm64", ""),
        (
            "block-device-mapping.delete-on-termination",
            "true",
            "one three two",
        ),
        (
            "block-device-mapping.device-name",
            "/dev/xvda",
            "one three two",
        ),
        ("block-device-mapping.encrypted", "true", ""),
        ("block-device-mapping.snapshot-id", PLAIN, "one three two"),
        ("block-device-mapping.volume-size", "8", "one three two"),
        ("block-device-mapping.volume-type", "gp3", ""),
        ("creation-date", "2026-01-01T*", "one three two"),
        ("creation-date", "2026-01-01T00:00:02.000Z", "two"),
        ("description", "the one", "one"),
        ("ena-support", "true", ""),
        ("ena-support", "false", "one three two"),
        ("hypervisor", "xen", "one three two"),
        ("image-type", "machine", "one three two"),
        ("is-public", "true", "two"),
        ("manifest-location", "111111111111/one", "one"),
        ("owner-alias", "amazon", ""),
        ("owner-id", "111111111111", "one three two"),
        ("platform", "windows", ""),
        ("root-device-name", "/dev/xvda", "one three two"),
        ("root-device-type", "instance-store", ""),
        ("source-image-id", "*", ""),
        ("source-instance-id", "*", ""),
        ("sriov-net-support", "simple", ""),
        ("state", "available", "one three two"),
        ("state", "pending", ""),
        ("state-reason-code", "*", ""),
        ("tag:Name", "two", "two"),
        ("tag-key", "Name", "one three two"),
        ("virtualization-type", "paravirtual", ""),
    ] {
        let rest = format!("&Filter.1.Name={name}&Filter.1.Value.1={value}");
        let mut got = names(&world, &caller(), &rest).await;
        got.sort();
        assert_eq!(got.join(" "), wanted, "{name} {value}");
    }
}

#[tokio::test]
async fn tags_are_their_owners() {
    let world = world();
    three(&world).await;
    let friend = caller_of("222222222222", "us-east-1");
    let xml = world.ec2(&friend, "Action=DescribeImages").await.unwrap();
    assert_eq!(count(&xml, "tagSet"), 0, "{xml}");
    let rest = "&Filter.1.Name=tag-key&Filter.1.Value.1=Name";
    assert!(names(&world, &friend, rest).await.is_empty());
}

#[tokio::test]
async fn refusals() {
    let world = world();
    three(&world).await;
    let value = "InvalidParameterValue";
    for (rest, code) in [
        ("&ImageId.1=ami-1", "InvalidAMIID.Malformed"),
        ("&ImageId.1=ami-00000000", "InvalidAMIID.NotFound"),
        ("&Owner.1=me", "InvalidUserID.Malformed"),
        ("&ExecutableBy.1=everyone", "InvalidUserID.Malformed"),
        ("&Filter.1.Name=color&Filter.1.Value.1=red", value),
        ("&Filter.1.Name=name", value),
        ("&MaxResults=4", value),
        ("&MaxResults=1001", value),
        ("&MaxResults=many", value),
        ("&NextToken=%21", "InvalidNextToken"),
        ("&IncludeDeprecated=perhaps", value),
        ("&DryRun=true", "DryRunOperation"),
    ] {
        let form = format!("Action=DescribeImages{rest}");
        assert_eq!(world.code(&caller(), &form).await, code, "{rest}");
    }
    let error = world
        .ec2(
            &caller(),
            "Action=DescribeImages&ImageId.1=ami-00000000&ImageId.2=ami-00000001",
        )
        .await
        .unwrap_err();
    assert_eq!(
        error.message,
        "The image ids '[ami-00000000, ami-00000001]' do not exist"
    );
}

#[tokio::test]
async fn pages() {
    let world = world();
    world.put(Change::Snapshot(snapshot(&caller(), PLAIN)));
    for number in 0..12 {
        let form = with(REGISTER, &format!("Name=image-{number}"));
        world.make(&caller(), &form).await;
    }
    let mut seen = Vec::new();
    let mut token = String::new();
    for length in [5, 5, 2] {
        let form = format!("Action=DescribeImages&MaxResults=5&NextToken={token}");
        let xml = world.ec2(&caller(), &form).await.unwrap();
        assert_eq!(count(&xml, "imageId"), length);
        seen.extend(
            xml.match_indices("<imageId>")
                .map(|(at, _)| xml[at + 9..at + 30].to_owned()),
        );
        token = if count(&xml, "nextToken") == 1 {
            leaf(&xml, "nextToken")
        } else {
            String::new()
        };
    }
    assert_eq!(token, "");
    seen.dedup();
    assert_eq!(seen.len(), 12);
}

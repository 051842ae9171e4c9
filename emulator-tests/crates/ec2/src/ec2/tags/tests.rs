#![allow(clippy::unwrap_used)]

use crate::testing::{World, world};
use emulator_backend::ResourceTag;
use emulator_protocol::AwsError;
use emulator_testing::{caller, caller_of};

async fn volume(world: &World) -> String {
    let xml = world
        .ec2(
            &caller(),
            "Action=CreateVolume&AvailabilityZone=us-east-1a&Size=1",
        )
        .await
        .unwrap();
    let (_, rest) = xml.split_once("<volumeId>").unwrap();
    rest.split_once('<').unwrap().0.to_owned()
}

fn tags(world: &World, id: &str) -> Vec<String> {
    world.services.store.read(|world| {
        let tags = world.volumes[id].tags.iter();
        tags.map(|(key, value)| format!("{key}={value}")).collect()
    })
}

async fn call(world: &World, form: &str) -> Result<String, AwsError> {
    world.ec2(&caller(), form).await
}

#[tokio::test]
async fn tags_are_made_merged_and_deleted() {
    let world = world();
    let id = volume(&world).await;
    let create = format!("Action=CreateTags&ResourceId.1={id}");
    let delete = format!("Action=DeleteTags&ResourceId.1={id}");
    for (form, expected) in [
        (
            format!("{create}&Tag.1.Key=a&Tag.1.Value=1&Tag.2.Key=b&Tag.2.Value="),
            vec!["a=1", "b="],
        ),
        (
            format!("{create}&Tag.1.Key=a&Tag.1.Value=2&Tag.2.Key=c&Tag.2.Value=3"),
            vec!["a=2", "b=", "c=3"],
        ),
        (
            format!("{delete}&Tag.1.Key=a&Tag.1.Value=1"),
            vec!["a=2", "b=", "c=3"],
        ),
        (
            format!("{delete}&Tag.1.Key=a&Tag.1.Value="),
            vec!["a=2", "b=", "c=3"],
        ),
        (format!("{delete}&Tag.1.Key=a"), vec!["b=", "c=3"]),
        (format!("{delete}&Tag.1.Key=b&Tag.1.Value="), vec!["c=3"]),
        (delete.clone(), vec![]),
    ] {
        call(&world, &form).await.unwrap();
        assert_eq!(tags(&world, &id), expected, "{form}");
    }
    assert!(world.network.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let world = world();
    let id = volume(&world).await;
    let long = "k".repeat(128);
    let many: String = (1..=51).map(|n| format!("&Tag.{n}.Key=k{n}")).collect();
    let thousand: String = (2..=1001)
        .map(|n| format!("&ResourceId.{n}={id}"))
        .collect();
    let one = "&Tag.1.Key=a&Tag.1.Value=1";
    for (form, code) in [
        (
            format!("Action=CreateTags&ResourceId.1={id}"),
            "MissingParameter",
        ),
        (format!("Action=CreateTags{one}"), "MissingParameter"),
        (
            format!("Action=CreateTags&ResourceId.1={id}&Tag.1.Key=AWS:a"),
            "InvalidParameterValue",
        ),
        (
            format!("Action=DeleteTags&ResourceId.1={id}&Tag.1.Key=aws:a"),
            "InvalidParameterValue",
        ),
        (
            format!("Action=CreateTags&ResourceId.1={id}&Tag.1.Key={long}"),
            "InvalidParameterValue",
        ),
        (
            format!("Action=CreateTags&ResourceId.1={id}&Tag.1.Key=a&Tag.2.Key=a"),
            "InvalidParameterValue",
        ),
        (
            format!("Action=CreateTags&ResourceId.1={id}{many}"),
            "TagLimitExceeded",
        ),
        (
            format!("Action=CreateTags&ResourceId.1={id}{thousand}{one}"),
            "InvalidParameterValue",
        ),
        (
            format!("Action=CreateTags&ResourceId.1={id}&ResourceId.2=vol-00000000{one}"),
            "InvalidVolume.NotFound",
        ),
        (
            format!("Action=CreateTags&ResourceId.1={id}&ResourceId.2=vol-x{one}"),
            "InvalidVolumeID.Malformed",
        ),
        (
            format!("Action=CreateTags&ResourceId.1={id}&ResourceId.2=ami-00000000{one}"),
            "InvalidAMIID.NotFound",
        ),
        (
            format!("Action=CreateTags&ResourceId.1={id}&ResourceId.2=snap-00000000{one}"),
            "InvalidSnapshot.NotFound",
        ),
        (
            format!("Action=CreateTags&ResourceId.1={id}&ResourceId.2=i-00000000{one}"),
            "InvalidInstanceID.NotFound",
        ),
        (
            format!("Action=CreateTags&ResourceId.1={id}&ResourceId.2=vpc-missing{one}"),
            "InvalidVpcID.NotFound",
        ),
        (
            format!("Action=CreateTags&DryRun=true&ResourceId.1={id}{one}"),
            "DryRunOperation",
        ),
    ] {
        let error = call(&world, &form).await.unwrap_err();
        assert_eq!(error.code, code, "{form:.200}");
        assert!(tags(&world, &id).is_empty(), "{form:.200}");
    }
    // Another account's volume is not there.
    let theirs = format!("Action=CreateTags&ResourceId.1={id}{one}");
    let other = caller_of("222222222222", "us-east-1");
    let error = world.ec2(&other, &theirs).await.unwrap_err();
    assert_eq!(error.code, "InvalidVolume.NotFound");
}

#[tokio::test]
async fn fifty_tags_fit_after_a_merge() {
    let world = world();
    let id = volume(&world).await;
    let tags: String = (1..=50).map(|n| format!("&Tag.{n}.Key=k{n}")).collect();
    for (tags, fits) in [
        (tags.as_str(), true),
        ("&Tag.1.Key=k1", true),
        ("&Tag.1.Key=x", false),
    ] {
        let form = format!("Action=CreateTags&ResourceId.1={id}{tags}");
        assert_eq!(call(&world, &form).await.is_ok(), fits);
    }
}

#[tokio::test]
async fn a_request_may_mix_ours_and_localstacks() {
    let world = world();
    let id = volume(&world).await;
    let form = format!(
        "Action=CreateTags&ResourceId.1=vpc-1&ResourceId.2={id}&ResourceId.3=subnet-1\
         &Tag.1.Key=a&Tag.1.Value=1"
    );
    call(&world, &form).await.unwrap();
    assert_eq!(tags(&world, &id), ["a=1"]);
    let calls = world.network.calls.lock().unwrap().clone();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        calls,
        [(
            "CreateTags".to_owned(),
            vec![
                pair("Tag.1.Key", "a"),
                pair("Tag.1.Value", "1"),
                pair("ResourceId.1", "vpc-1"),
                pair("ResourceId.2", "subnet-1"),
            ]
        )]
    );
    // Of nothing but its own, LocalStack gets the request as it came.
    let params = emulator_protocol::Params::parse(b"Action=DeleteTags&ResourceId.1=vpc-1").unwrap();
    let answer = crate::ec2::handle(&world.services, &caller(), &params).await;
    assert!(answer.is_none());
}

#[tokio::test]
async fn ours_and_localstacks_are_listed_together() {
    let world = world();
    let id = volume(&world).await;
    *world.network.foreign_tags.lock().unwrap() = ["vpc-1", "vpc-2", "vpc-3", "vpc-4", "vol-9"]
        .map(|resource| ResourceTag {
            resource: resource.to_owned(),
            key: "a".to_owned(),
            value: "2".to_owned(),
            kind: "vpc".to_owned(),
        })
        .into();
    let create =
        format!("Action=CreateTags&ResourceId.1={id}&Tag.1.Key=a&Tag.1.Value=1&Tag.2.Key=b");
    call(&world, &create).await.unwrap();
    let filter = |name: &str, value: &str| {
        format!("Action=DescribeTags&Filter.1.Name={name}&Filter.1.Value.1={value}")
    };
    for (form, count) in [
        ("Action=DescribeTags".to_owned(), 6),
        (filter("key", "a"), 5),
        (filter("tag:a", "1"), 1),
        (filter("value", "2"), 4),
        (filter("resource-type", "volume"), 2),
        (filter("resource-id", &id), 2),
        (filter("resource-id", "vpc-*"), 4),
    ] {
        let xml = call(&world, &form).await.unwrap();
        assert_eq!(xml.matches("<item>").count(), count, "{form}");
    }
    let first = call(&world, "Action=DescribeTags&MaxResults=5")
        .await
        .unwrap();
    let (_, token) = first.split_once("<nextToken>").unwrap();
    let token = token.split_once('<').unwrap().0;
    let rest = call(&world, &format!("Action=DescribeTags&NextToken={token}"))
        .await
        .unwrap();
    assert_eq!(rest.matches("<item>").count(), 1);
    let error = call(&world, &filter("colour", "red")).await.unwrap_err();
    assert_eq!(error.code, "InvalidParameterValue");
}

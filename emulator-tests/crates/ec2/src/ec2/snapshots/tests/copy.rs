//! Copies, and their keys.

use super::*;
use crate::testing::world;
use emulator_testing::{DISABLED, KEY};
use time::Duration;

/// The key that a copy into eu-west-1 has, by what the request says.
#[tokio::test]
async fn a_copy_has_the_key_that_is_asked_for() {
    let there = caller_of("111111111111", "eu-west-1");
    let arn = |key: &str| Some(format!("arn:aws:kms:eu-west-1:111111111111:key/{key}"));
    for (source, by_default, more, key) in [
        (None, false, "", None),
        (None, false, "&Encrypted=false", None),
        (None, false, "&Encrypted=true", arn("ebs")),
        (
            None,
            false,
            &format!("&Encrypted=true&KmsKeyId={KEY}"),
            arn(KEY),
        ),
        (None, true, "", arn("ebs")),
        (Some(KEY), false, "", arn("ebs")),
        (Some("ebs"), false, "", arn("ebs")),
        (
            Some("ebs"),
            false,
            &format!("&Encrypted=true&KmsKeyId={KEY}"),
            arn(KEY),
        ),
    ] {
        let w = world();
        let me = caller();
        let mut from = snapshot(&w, &me, SNAP);
        if let Some(key) = source {
            from = with_key(from, &me, key);
        }
        put_snapshot(&w, from.clone());
        if by_default {
            w.ec2(&there, "Action=EnableEbsEncryptionByDefault")
                .await
                .unwrap();
        }
        let form = format!(
            "Action=CopySnapshot&SourceRegion=us-east-1&SourceSnapshotId={SNAP}\
             &DestinationRegion=eu-west-1&Description=c&TagSpecification.1.ResourceType=snapshot\
             &TagSpecification.1.Tag.1.Key=k&TagSpecification.1.Tag.1.Value=v{more}"
        );
        let xml = w.ec2(&there, &form).await.unwrap();
        assert_eq!(
            inside(&xml, "tagSet"),
            "<item><key>k</key><value>v</value></item>"
        );
        let copy = get(&w, inside(&xml, "snapshotId")).unwrap();
        assert_eq!(copy.kms_key, key, "{source:?} {more}");
        assert_eq!(copy.encrypted, copy.kms_key.is_some());
        assert_eq!((copy.layers, copy.blank), (from.layers, from.blank));
        assert_eq!(
            (copy.region, copy.description.as_str()),
            (there.region.clone(), "c")
        );
        assert_eq!(copy.volume_id, "vol-ffffffff");
        assert_eq!(copy.state.name(w.services.clock.now()), "pending");
        w.clock.advance(Duration::seconds(1));
        assert_eq!(copy.state.name(w.services.clock.now()), "completed");
    }
}

#[tokio::test]
async fn a_copy_fails_later_if_a_key_can_not_be_used() {
    let me = caller();
    for (source, more) in [
        (None, "&Encrypted=true&KmsKeyId=no-such-key".to_owned()),
        (None, format!("&Encrypted=true&KmsKeyId={DISABLED}")),
        (Some(DISABLED), format!("&Encrypted=true&KmsKeyId={KEY}")),
    ] {
        let w = world();
        let mut from = snapshot(&w, &me, SNAP);
        if let Some(key) = source {
            from = with_key(from, &me, key);
        }
        put_snapshot(&w, from);
        let form =
            format!("Action=CopySnapshot&SourceRegion=us-east-1&SourceSnapshotId={SNAP}{more}");
        let xml = w.ec2(&me, &form).await.unwrap();
        let id = inside(&xml, "snapshotId");
        let form = format!("Action=DescribeSnapshots&SnapshotId.1={id}");
        let xml = w.ec2(&me, &form).await.unwrap();
        assert_eq!(inside(&xml, "status"), "pending");
        assert!(!xml.contains("statusMessage"));
        w.clock.advance(Duration::seconds(1));
        let xml = w.ec2(&me, &form).await.unwrap();
        assert_eq!(inside(&xml, "status"), "error");
        assert_eq!(
            inside(&xml, "statusMessage"),
            "Given key ID is not accessible"
        );
        let form = format!("Action=CopySnapshot&SourceRegion=us-east-1&SourceSnapshotId={id}");
        assert_eq!(code(&w, &me, &form).await, "IncorrectState");
    }
}

#[tokio::test]
async fn another_accounts_snapshot_is_copied_if_shared() {
    let w = world();
    let me = caller();
    put_snapshot(&w, with_key(snapshot(&w, &me, SNAP), &me, KEY));
    let form = format!("Action=CopySnapshot&SourceRegion=us-east-1&SourceSnapshotId={SNAP}");
    assert_eq!(code(&w, &other(), &form).await, "InvalidSnapshot.NotFound");
    share(&w, SNAP, WITH_OTHER).await;
    let xml = w.ec2(&other(), &form).await.unwrap();
    let copy = get(&w, inside(&xml, "snapshotId")).unwrap();
    assert_eq!(copy.owner, other().account);
    let arn = "arn:aws:kms:us-east-1:222222222222:key/ebs";
    assert_eq!(copy.kms_key.as_deref(), Some(arn));

    // With AWS's own key it could not have been shared; if it was, it can't be read.
    let mut foreign = with_key(snapshot(&w, &me, SNAP), &me, "ebs");
    foreign.permissions.accounts.insert(other().account);
    put_snapshot(&w, foreign);
    let xml = w.ec2(&other(), &form).await.unwrap();
    let copy = get(&w, inside(&xml, "snapshotId")).unwrap();
    w.clock.advance(Duration::seconds(1));
    assert_eq!(copy.state.name(w.services.clock.now()), "error");
}

#[tokio::test]
async fn what_can_not_be_copied() {
    let w = world();
    let me = caller();
    let (locked, pending) = ("snap-02222222222222222", "snap-03333333333333333");
    put_snapshot(&w, snapshot(&w, &me, SNAP));
    put_snapshot(&w, with_key(snapshot(&w, &me, locked), &me, KEY));
    let mut unfinished = snapshot(&w, &me, pending);
    unfinished.state = SnapshotState::Pending;
    put_snapshot(&w, unfinished);
    for (id, more, is) in [
        (SNAP, "", "MissingParameter"),
        ("", "&SourceRegion=us-east-1", "MissingParameter"),
        (
            "snap-1",
            "&SourceRegion=us-east-1",
            "InvalidSnapshotID.Malformed",
        ),
        (SNAP, "&SourceRegion=US%20EAST", "InvalidRegion"),
        (SNAP, "&SourceRegion=us-east-9", "InvalidRegion"),
        (SNAP, "&SourceRegion=eu-west-1", "InvalidSnapshot.NotFound"),
        (
            SNAP,
            "&SourceRegion=us-east-1&DestinationRegion=eu-west-1",
            "InvalidParameterValue",
        ),
        (
            SNAP,
            "&SourceRegion=us-east-1&DestinationOutpostArn=x",
            "InvalidParameterValue",
        ),
        (
            SNAP,
            "&SourceRegion=us-east-1&CompletionDurationMinutes=20",
            "InvalidParameterValue",
        ),
        (
            SNAP,
            "&SourceRegion=us-east-1&Encrypted=yes",
            "InvalidParameterValue",
        ),
        (
            SNAP,
            "&SourceRegion=us-east-1&KmsKeyId=k",
            "InvalidParameterDependency",
        ),
        (
            SNAP,
            "&SourceRegion=us-east-1&KmsKeyId=k&Encrypted=false",
            "InvalidParameterDependency",
        ),
        (
            locked,
            "&SourceRegion=us-east-1&Encrypted=false",
            "InvalidParameterValue",
        ),
        (pending, "&SourceRegion=us-east-1", "IncorrectState"),
    ] {
        let form = format!("Action=CopySnapshot&SourceSnapshotId={id}{more}");
        assert_eq!(code(&w, &me, &form).await, is, "{id} {more}");
    }
}

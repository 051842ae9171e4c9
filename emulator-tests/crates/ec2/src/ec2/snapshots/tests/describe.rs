//! Listings.

use super::*;
use crate::testing::world;

#[tokio::test]
async fn a_listing_is_what_the_caller_may_use() {
    let w = world();
    let (me, other) = (caller(), other());
    let ids: Vec<String> = (1..=7).map(|n| format!("snap-{n:017x}")).collect();
    for id in &ids {
        put_snapshot(&w, snapshot(&w, &me, id));
    }
    let there = caller_of("111111111111", "eu-west-1");
    put_snapshot(&w, snapshot(&w, &there, SNAP));
    let mut pending = snapshot(&w, &me, &ids[6]);
    pending.state = SnapshotState::Pending;
    put_snapshot(&w, pending);
    share(&w, &ids[0], WITH_ALL).await;
    share(&w, &ids[1], WITH_OTHER).await;

    assert_eq!(listed(&w, &me, "").await, ids);
    assert_eq!(listed(&w, &other, "").await, ids[..2]);
    for (more, are) in [
        ("&Owner.1=self", &ids[..]),
        ("&Owner.1=111111111111", &ids[..]),
        ("&Owner.1=amazon", &[]),
        ("&Owner.1=amazon&Owner.2=self", &ids[..]),
        ("&RestorableBy.1=all", &ids[..1]),
        ("&RestorableBy.1=222222222222", &ids[..2]),
        ("&RestorableBy.1=self", &ids[..]),
        ("&Filter.1.Name=status&Filter.1.Value.1=pending", &ids[6..]),
        ("&Filter.1.Name=volume-size&Filter.1.Value.1=9", &[]),
        ("&Filter.1.Name=owner-alias&Filter.1.Value.1=amazon", &[]),
        ("&Filter.1.Name=volume-id&Filter.1.Value.1=vol-f*", &ids[..]),
    ] {
        assert_eq!(listed(&w, &me, more).await, are, "{more}");
    }
    assert_eq!(listed(&w, &other, "&Owner.1=self").await, [""; 0]);

    let xml = w
        .ec2(&me, "Action=DescribeSnapshots&MaxResults=5")
        .await
        .unwrap();
    let token = inside(&xml, "nextToken").to_owned();
    let rest = listed(&w, &me, &format!("&MaxResults=5&NextToken={token}")).await;
    assert_eq!(rest, ids[5..]);

    for (more, is) in [
        ("&SnapshotId.1=snap-1", "InvalidSnapshotID.Malformed"),
        (
            "&SnapshotId.1=snap-0123456789abcdef0",
            "InvalidSnapshot.NotFound",
        ),
        (&format!("&SnapshotId.1={SNAP}"), "InvalidSnapshot.NotFound"),
        (
            &format!("&SnapshotId.1={}&MaxResults=5", ids[0]),
            "InvalidParameterCombination",
        ),
        ("&MaxResults=4", "InvalidParameterValue"),
        ("&NextToken=!", "InvalidNextToken"),
        ("&Owner.1=me", "InvalidUserID.Malformed"),
        ("&RestorableBy.1=1234", "InvalidUserID.Malformed"),
        (
            "&Filter.1.Name=colour&Filter.1.Value.1=red",
            "InvalidParameterValue",
        ),
    ] {
        let form = format!("Action=DescribeSnapshots{more}");
        assert_eq!(code(&w, &me, &form).await, is, "{more}");
    }
}

#[tokio::test]
async fn tags_are_not_shared() {
    let w = world();
    let me = caller();
    let mut tagged = snapshot(&w, &me, SNAP);
    tagged.tags.insert("k".to_owned(), "v".to_owned());
    put_snapshot(&w, tagged);
    share(&w, SNAP, WITH_OTHER).await;
    let by_tag = "&Filter.1.Name=tag:k&Filter.1.Value.1=v";
    for (who, sees) in [(&me, true), (&other(), false)] {
        let xml = w.ec2(who, "Action=DescribeSnapshots").await.unwrap();
        assert!(xml.contains(SNAP));
        assert_eq!(xml.contains("<tagSet>"), sees);
        assert_eq!(listed(&w, who, by_tag).await.len(), usize::from(sees));
    }
}

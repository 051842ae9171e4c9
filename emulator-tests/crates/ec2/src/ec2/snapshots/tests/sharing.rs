//! Permissions to make volumes.

use super::*;
use crate::testing::world;
use emulator_testing::KEY;

#[tokio::test]
async fn permissions_are_added_removed_and_reset() {
    let w = world();
    let me = caller();
    put_snapshot(&w, snapshot(&w, &me, SNAP));
    let all = "<item><group>all</group></item>";
    let one = "<item><userId>222222222222</userId></item>";
    for (how, then) in [
        (WITH_OTHER, one.to_owned()),
        (WITH_ALL, format!("{all}{one}")),
        (
            "CreateVolumePermission.Remove.1.UserId=222222222222",
            all.to_owned(),
        ),
        ("CreateVolumePermission.Remove.1.Group=all", String::new()),
        (
            "Attribute=createVolumePermission&OperationType=add&UserId.1=222222222222&UserGroup.1=all",
            format!("{all}{one}"),
        ),
        ("OperationType=remove&UserGroup.1=all", one.to_owned()),
        ("OperationType=remove&UserId.1=333333333333", one.to_owned()),
    ] {
        share(&w, SNAP, how).await;
        let form = format!(
            "Action=DescribeSnapshotAttribute&SnapshotId={SNAP}&Attribute=createVolumePermission"
        );
        let xml = w.ec2(&me, &form).await.unwrap();
        assert_eq!(inside(&xml, "createVolumePermission"), then, "{how}");
    }
    let form =
        format!("Action=ResetSnapshotAttribute&SnapshotId={SNAP}&Attribute=createVolumePermission");
    w.ec2(&me, &form).await.unwrap();
    assert_eq!(get(&w, SNAP).unwrap().permissions, Permissions::default());
}

#[tokio::test]
async fn what_can_not_be_shared() {
    let w = world();
    let me = caller();
    put_snapshot(&w, snapshot(&w, &me, SNAP));
    let aws = "snap-02222222222222222";
    put_snapshot(&w, with_key(snapshot(&w, &me, aws), &me, "ebs"));
    let own = "snap-03333333333333333";
    put_snapshot(&w, with_key(snapshot(&w, &me, own), &me, KEY));
    let many: String = (0..501)
        .map(|n| format!("&CreateVolumePermission.Add.{n}.UserId={n:012}"))
        .collect();
    for (id, how, is) in [
        ("snap-1", WITH_ALL, "InvalidSnapshotID.Malformed"),
        (
            "snap-09999999999999999",
            WITH_ALL,
            "InvalidSnapshot.NotFound",
        ),
        (SNAP, "", "MissingParameter"),
        (SNAP, "OperationType=add", "MissingParameter"),
        (SNAP, "UserId.1=222222222222", "MissingParameter"),
        (
            SNAP,
            "OperationType=set&UserId.1=222222222222",
            "InvalidParameterValue",
        ),
        (
            SNAP,
            "CreateVolumePermission.Add.1.UserId=bob",
            "InvalidUserID.Malformed",
        ),
        (
            SNAP,
            "CreateVolumePermission.Add.1.Group=some",
            "InvalidParameterValue",
        ),
        (
            SNAP,
            "Attribute=productCodes&OperationType=add&UserGroup.1=all",
            "InvalidParameterValue",
        ),
        (
            SNAP,
            "CreateVolumePermission.Add.1.Group=all&CreateVolumePermission.Remove.1.UserId=222222222222",
            "InvalidParameterCombination",
        ),
        (
            SNAP,
            "CreateVolumePermission.Add.1.Group=all&OperationType=add",
            "InvalidParameterCombination",
        ),
        (SNAP, &many, "InvalidParameterValue"),
        (own, WITH_ALL, "OperationNotPermitted"),
        (aws, WITH_ALL, "OperationNotPermitted"),
        (aws, WITH_OTHER, "OperationNotPermitted"),
    ] {
        let form = format!("Action=ModifySnapshotAttribute&SnapshotId={id}&{how}");
        assert_eq!(code(&w, &me, &form).await, is, "{id} {how}");
    }
    share(&w, own, WITH_OTHER).await;
    // Sharing lets make volumes of it, and nothing else.
    for form in [
        format!("Action=ModifySnapshotAttribute&SnapshotId={own}&{WITH_OTHER}"),
        format!("Action=DeleteSnapshot&SnapshotId={own}"),
        format!(
            "Action=DescribeSnapshotAttribute&SnapshotId={own}&Attribute=createVolumePermission"
        ),
    ] {
        let error = w.ec2(&other(), &form).await.unwrap_err();
        assert_eq!(
            (error.code.as_ref(), error.status),
            ("UnauthorizedOperation", 403)
        );
    }
}

#[tokio::test]
async fn public_sharing_is_blocked_by_the_account() {
    let w = world();
    let me = caller();
    let (old, new) = (SNAP, "snap-02222222222222222");
    put_snapshot(&w, snapshot(&w, &me, old));
    put_snapshot(&w, snapshot(&w, &me, new));
    share(&w, old, WITH_ALL).await;
    let state = "Action=EnableSnapshotBlockPublicAccess&State=";
    for (mode, seen) in [
        ("block-new-sharing", &[old][..]),
        ("block-all-sharing", &[]),
    ] {
        w.ec2(&me, &format!("{state}{mode}")).await.unwrap();
        let form = format!("Action=ModifySnapshotAttribute&SnapshotId={new}&{WITH_ALL}");
        assert_eq!(code(&w, &me, &form).await, "OperationNotPermitted");
        // With one account it is shared still.
        share(&w, new, WITH_OTHER).await;
        share(&w, new, "OperationType=remove&UserId.1=222222222222").await;
        assert_eq!(listed(&w, &other(), "").await, seen, "{mode}");
    }
    w.ec2(&me, "Action=DisableSnapshotBlockPublicAccess")
        .await
        .unwrap();
    assert_eq!(listed(&w, &other(), "").await, [old]);
}

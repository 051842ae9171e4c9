#![allow(clippy::unwrap_used)]

use crate::testing::world;
use emulator_testing::{DISABLED, KEY, caller, caller_of};

#[tokio::test]
async fn encryption_by_default_is_one_accounts_in_one_region() {
    let w = world();
    let (me, there) = (caller(), caller_of("111111111111", "eu-west-1"));
    let other = caller_of("222222222222", "us-east-1");
    let get = "Action=GetEbsEncryptionByDefault";
    let off = "<ebsEncryptionByDefault>false</ebsEncryptionByDefault><sseType>none</sseType>";
    assert_eq!(w.ec2(&me, get).await.unwrap(), off);
    let enabled = w.ec2(&me, "Action=EnableEbsEncryptionByDefault").await;
    let on = "<ebsEncryptionByDefault>true</ebsEncryptionByDefault>";
    assert_eq!(enabled.unwrap(), on);
    assert!(w.ec2(&me, get).await.unwrap().starts_with(on));
    assert_eq!(w.ec2(&there, get).await.unwrap(), off);
    assert_eq!(w.ec2(&other, get).await.unwrap(), off);
    w.ec2(&me, "Action=DisableEbsEncryptionByDefault")
        .await
        .unwrap();
    assert_eq!(w.ec2(&me, get).await.unwrap(), off);
}

#[tokio::test]
async fn the_default_key_is_a_key_that_works() {
    let w = world();
    let me = caller();
    let get = "Action=GetEbsDefaultKmsKeyId";
    let aws = "<kmsKeyId>alias/aws/ebs</kmsKeyId>";
    assert_eq!(w.ec2(&me, get).await.unwrap(), aws);
    let elsewhere = format!("arn:aws:kms:eu-west-1:111111111111:key/{KEY}");
    for (key, code) in [
        ("", "MissingParameter"),
        ("no-such-key", "InvalidParameterValue"),
        (elsewhere.as_str(), "InvalidParameterValue"),
        (DISABLED, "InvalidKMSKey.InvalidState"),
    ] {
        let form = format!("Action=ModifyEbsDefaultKmsKeyId&KmsKeyId={key}");
        assert_eq!(w.ec2(&me, &form).await.unwrap_err().code, code, "{key}");
        assert_eq!(w.ec2(&me, get).await.unwrap(), aws);
    }
    let form = format!("Action=ModifyEbsDefaultKmsKeyId&KmsKeyId={KEY}");
    let mine = format!("<kmsKeyId>arn:aws:kms:us-east-1:111111111111:key/{KEY}</kmsKeyId>");
    assert_eq!(w.ec2(&me, &form).await.unwrap(), mine);
    assert_eq!(w.ec2(&me, get).await.unwrap(), mine);
    let reset = w.ec2(&me, "Action=ResetEbsDefaultKmsKeyId").await;
    assert_eq!(reset.unwrap(), aws);
    assert_eq!(w.ec2(&me, get).await.unwrap(), aws);
}

#[tokio::test]
async fn public_sharing_is_blocked_and_let_go() {
    let w = world();
    let me = caller();
    for (get, enable, disable, leaf, states) in [
        (
            "GetSnapshotBlockPublicAccessState",
            "EnableSnapshotBlockPublicAccess&State",
            "DisableSnapshotBlockPublicAccess",
            "state",
            &["block-all-sharing", "block-new-sharing"][..],
        ),
        (
            "GetImageBlockPublicAccessState",
            "EnableImageBlockPublicAccess&ImageBlockPublicAccessState",
            "DisableImageBlockPublicAccess",
            "imageBlockPublicAccessState",
            &["block-new-sharing"][..],
        ),
    ] {
        let is = async |state: &str| {
            let xml = w.ec2(&me, &format!("Action={get}")).await.unwrap();
            assert!(
                xml.starts_with(&format!("<{leaf}>{state}</{leaf}>")),
                "{xml}"
            );
        };
        is("unblocked").await;
        for bad in ["unblocked", "block-some"] {
            let form = format!("Action={enable}={bad}");
            let error = w.ec2(&me, &form).await.unwrap_err();
            assert_eq!(error.code, "InvalidParameterValue", "{form}");
        }
        for state in states {
            w.ec2(&me, &format!("Action={enable}={state}"))
                .await
                .unwrap();
            is(state).await;
        }
        w.ec2(&me, &format!("Action={disable}")).await.unwrap();
        is("unblocked").await;
    }
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let w = world();
    let me = caller();
    let form = "Action=EnableEbsEncryptionByDefault&DryRun=true";
    let error = w.ec2(&me, form).await.unwrap_err();
    assert_eq!(
        (error.code.as_ref(), error.status),
        ("DryRunOperation", 412)
    );
    let xml = w.ec2(&me, "Action=GetEbsEncryptionByDefault").await;
    assert!(xml.unwrap().contains(">false<"));
}

//! Launch permissions, between accounts.

use super::*;
use crate::testing::world;
use emulator_testing::{KEY, caller, caller_of};

const ORGANIZATION: &str = "arn:aws:organizations::123456789012:organization/o-abc123def4";
const UNIT: &str = "arn:aws:organizations::123456789012:ou/o-abc123def4/ou-ab12-cdef3456";

#[tokio::test]
async fn both_forms_add_and_remove() {
    let friend = caller_of("222222222222", "us-east-1");
    let rows = [
        (
            "LaunchPermission.Add.1.UserId=222222222222",
            "LaunchPermission.Remove.1.UserId=222222222222",
        ),
        (
            "Attribute=launchPermission&OperationType=add&UserId.1=222222222222",
            "Attribute=launchPermission&OperationType=remove&UserId.1=222222222222",
        ),
        (
            "OperationType=add&UserGroup.1=all",
            "OperationType=remove&UserGroup.1=all",
        ),
        (
            "LaunchPermission.Add.1.Group=all",
            "Action=ResetImageAttribute&Attribute=launchPermission",
        ),
    ];
    for (add, remove) in rows {
        let world = world();
        let id = world.registered(&caller()).await;
        let describe = format!("Action=DescribeImages&ImageId.1={id}");
        let modify = format!("Action=ModifyImageAttribute&ImageId={id}");
        assert_eq!(
            world.code(&friend, &describe).await,
            "InvalidAMIID.NotFound"
        );
        assert_eq!(
            world.code(&caller(), &with(&modify, add)).await,
            "ok",
            "{add}"
        );
        assert_eq!(world.code(&friend, &describe).await, "ok", "{add}");
        // To see is not to own.
        for theirs in [
            with(&modify, add),
            format!("Action=DescribeImageAttribute&ImageId={id}&Attribute=launchPermission"),
            format!("Action=DeregisterImage&ImageId={id}"),
            format!("Action=DisableImage&ImageId={id}"),
        ] {
            assert_eq!(
                world.code(&friend, &theirs).await,
                "AuthFailure",
                "{theirs}"
            );
        }
        assert_eq!(
            world.code(&caller(), &with(&modify, remove)).await,
            "ok",
            "{remove}"
        );
        assert_eq!(
            world.code(&friend, &describe).await,
            "InvalidAMIID.NotFound"
        );
    }
}

#[tokio::test]
async fn permissions_are_listed() {
    let world = world();
    let id = world.registered(&caller()).await;
    let form = format!(
        "Action=ModifyImageAttribute&ImageId={id}&LaunchPermission.Add.1.UserId=222222222222\
         &LaunchPermission.Add.2.Group=all&LaunchPermission.Add.3.OrganizationArn={ORGANIZATION}\
         &LaunchPermission.Add.4.OrganizationalUnitArn={UNIT}"
    );
    assert_eq!(world.code(&caller(), &form).await, "ok");
    let describe = format!("Action=DescribeImageAttribute&ImageId={id}&Attribute=launchPermission");
    let xml = world.ec2(&caller(), &describe).await.unwrap();
    assert_eq!(
        leaf(&xml, "launchPermission"),
        format!(
            "<item><group>all</group></item><item><userId>222222222222</userId></item>\
             <item><organizationArn>{ORGANIZATION}</organizationArn></item>\
             <item><organizationalUnitArn>{UNIT}</organizationalUnitArn></item>"
        )
    );
}

#[tokio::test]
async fn rules() {
    let value = "InvalidParameterValue";
    let both = "InvalidParameterCombination";
    let missing = "MissingParameter";
    let item = "InvalidAMIAttributeItemValue";
    for (form, code) in [
        ("Description.Value=new", "ok"),
        ("Attribute=description&Value=new", "ok"),
        ("Attribute=description", missing),
        ("ImdsSupport.Value=v2.0", "ok"),
        ("ImdsSupport.Value=v1.0", value),
        ("Attribute=imdsSupport&Value=v2.0", "ok"),
        ("Attribute=bootMode&Value=uefi", value),
        ("Value=new", missing),
        ("Description.Value=new&ImdsSupport.Value=v2.0", both),
        ("Attribute=description&ImdsSupport.Value=v2.0", both),
        ("LaunchPermission.Add.1.UserId=22222222222", item),
        ("LaunchPermission.Add.1.UserId=2222-2222-2222", item),
        ("LaunchPermission.Add.1.Group=some", item),
        ("LaunchPermission.Add.1.OrganizationArn=o-abc", item),
        ("LaunchPermission.Add.1.OrganizationalUnitArn=ou-abc", item),
        (
            "LaunchPermission.Add.1.UserId=222222222222&LaunchPermission.Add.1.Group=all",
            both,
        ),
        (
            "LaunchPermission.Add.1.Account=222222222222",
            "UnknownParameter",
        ),
        ("LaunchPermission.Plus.1.UserId=222222222222", missing),
        ("OperationType=add", missing),
        ("OperationType=set&UserId.1=222222222222", value),
        ("Attribute=launchPermission&UserId.1=222222222222", missing),
        ("OperationType=add&UserId.1=me", item),
        ("ProductCode.1=abc", "InvalidParameter"),
        (
            "ImageId=ami-00000000000000009&Description.Value=new",
            "InvalidAMIID.NotFound",
        ),
        (
            "ImageId=ami-9&Description.Value=new",
            "InvalidAMIID.Malformed",
        ),
        ("-ImageId&Description.Value=new", missing),
        (
            "LaunchPermission.Add.1.Group=all&DryRun=true",
            "DryRunOperation",
        ),
    ] {
        let world = world();
        let id = world.registered(&caller()).await;
        let before = world.image(&id);
        let form = with(&format!("Action=ModifyImageAttribute&ImageId={id}"), form);
        assert_eq!(world.code(&caller(), &form).await, code, "{form}");
        assert_eq!(world.image(&id) == before, code != "ok", "{form}");
    }
}

#[tokio::test]
async fn what_is_encrypted_is_shared_with_few() {
    let account = "LaunchPermission.Add.1.UserId=222222222222";
    let organization = format!("LaunchPermission.Add.1.OrganizationArn={ORGANIZATION}");
    let everybody = "LaunchPermission.Add.1.Group=all";
    for (key, form, code) in [
        (KEY, account, "ok"),
        (KEY, everybody, "UnsupportedOperation"),
        ("ebs", account, "InvalidParameter"),
        ("ebs", organization.as_str(), "InvalidParameter"),
        ("ebs", everybody, "UnsupportedOperation"),
        ("ebs", "LaunchPermission.Remove.1.Group=all", "ok"),
        ("ebs", "Description.Value=new", "ok"),
    ] {
        let world = world();
        world.put(Change::Snapshot(encrypted(&caller(), PLAIN, key)));
        let id = world.make(&caller(), REGISTER).await;
        let form = format!("Action=ModifyImageAttribute&ImageId={id}&{form}");
        assert_eq!(world.code(&caller(), &form).await, code, "{key} {form}");
    }
}

#[tokio::test]
async fn an_account_may_block_public_images() {
    let world = world();
    let id = world.registered(&caller()).await;
    let block = "Action=EnableImageBlockPublicAccess&ImageBlockPublicAccessState=block-new-sharing";
    assert_eq!(world.code(&caller(), block).await, "ok");
    for (grantee, code) in [
        ("Group=all", "OperationNotPermitted"),
        ("UserId=222222222222", "ok"),
    ] {
        let form =
            format!("Action=ModifyImageAttribute&ImageId={id}&LaunchPermission.Add.1.{grantee}");
        assert_eq!(world.code(&caller(), &form).await, code, "{grantee}");
    }
}

#[tokio::test]
async fn a_pending_image_cannot_be_modified() {
    let world = world();
    world.put(Change::Snapshot(snapshot(&caller(), PLAIN)));
    let id = leaf(&world.ec2(&caller(), REGISTER).await.unwrap(), "imageId");
    let form = format!("Action=ModifyImageAttribute&ImageId={id}&Description.Value=x");
    assert_eq!(
        world.code(&caller(), &form).await,
        "InvalidAMIID.Unavailable"
    );
    world.clock.advance(Duration::seconds(1));
    assert_eq!(world.code(&caller(), &form).await, "ok");
}

#[tokio::test]
async fn attributes() {
    let world = world();
    let id = world.registered(&caller()).await;
    for (attribute, code) in [
        ("productCodes", "ok"),
        ("lastLaunchedTime", "ok"),
        ("blockDeviceMapping", "AuthFailure"),
        ("architecture", "InvalidParameterValue"),
        ("", "MissingParameter"),
    ] {
        let form = format!("Action=DescribeImageAttribute&ImageId={id}&Attribute={attribute}");
        assert_eq!(world.code(&caller(), &form).await, code, "{attribute}");
    }
    let reset = format!("Action=ResetImageAttribute&ImageId={id}&Attribute=description");
    assert_eq!(world.code(&caller(), &reset).await, "InvalidParameterValue");
}

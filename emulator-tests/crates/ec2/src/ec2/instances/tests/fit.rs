//! The image that an instance is launched from, and its type.

use super::*;
use emulator_testing::caller_of;
use time::Duration;

#[tokio::test]
async fn images_and_types_have_to_fit() {
    let fine = "";
    for (boot, ena, architecture, kind, expected) in [
        (Some("uefi"), true, "x86_64", "t3.micro", fine),
        (
            Some("uefi"),
            true,
            "x86_64",
            "t2.micro",
            "InvalidParameterValue",
        ),
        (Some("uefi-preferred"), false, "x86_64", "t2.micro", fine),
        (Some("legacy-bios"), true, "x86_64", "t3.micro", fine),
        (
            Some("legacy-bios"),
            true,
            "arm64",
            "t4g.micro",
            "InvalidParameterValue",
        ),
        (None, true, "arm64", "t4g.micro", fine),
        (None, true, "x86_64", "t4g.micro", "InvalidParameterValue"),
        (
            None,
            false,
            "x86_64",
            "t3.micro",
            "InvalidParameterCombination",
        ),
        (None, false, "x86_64", "t2.micro", fine),
    ] {
        let world = with_image(|image| {
            image.boot_mode = boot.map(String::from);
            image.ena = Some(ena);
            image.architecture = architecture.to_owned();
        });
        let form = form("").replace("t3.micro", kind);
        let result = call(&world, &form).await;
        match result {
            Ok(xml) => {
                assert_eq!("", expected, "{boot:?} {kind}");
                let uefi = architecture == "arm64"
                    || (kind == "t3.micro" && boot.is_some_and(|it| it.starts_with("uefi")));
                let mode = if uefi { "uefi" } else { "legacy-bios" };
                assert_eq!(
                    text(&xml, "currentInstanceBootMode"),
                    mode,
                    "{boot:?} {kind}"
                );
            }
            Err(error) => assert_eq!(error.code, expected, "{boot:?} {kind}"),
        }
    }
    let world = with_image(|image| image.virtualization = "paravirtual".to_owned());
    assert_eq!(code(run(&world, "").await), "InvalidParameterCombination");
    let old = form("").replace("t3.micro", "m1.small");
    assert!(call(&world, &old).await.is_ok());
}

#[tokio::test]
async fn images_have_to_be_there() {
    let later = |world: &World| world.services.clock.now() + Duration::seconds(5);
    let pending = with_image(|_| {});
    put(
        &pending,
        Change::Image(Box::new(Image {
            state: ImageState::Available {
                at: later(&pending),
            },
            ..image(&pending)
        })),
    );
    assert_eq!(code(run(&pending, "").await), "InvalidAMIID.Unavailable");
    pending.clock.advance(Duration::seconds(5));
    assert!(run(&pending, "").await.is_ok());

    let disabled = with_image(|image| image.state = ImageState::Disabled);
    assert_eq!(code(run(&disabled, "").await), "InvalidAMIID.Unavailable");

    // Another account's, until it is shared; whose snapshot is not.
    let world = with_image(|_| {});
    let other = caller_of("222222222222", "us-east-1");
    let unshared = world.ec2(&other, &form("")).await;
    assert_eq!(code(unshared), "AuthFailure");
    let mut shared = image(&world);
    shared.permissions.accounts.insert(other.account.clone());
    put(&world, Change::Image(Box::new(shared)));
    assert!(world.ec2(&other, &form("")).await.is_ok());
    let elsewhere = caller_of("111111111111", "eu-west-1");
    let elsewhere = world.ec2(&elsewhere, &form("")).await;
    assert_eq!(code(elsewhere), "InvalidAMIID.NotFound");
    // An account without a default VPC has to name a subnet.
    let world = with_image(|image| image.permissions.public = true);
    let bare = caller_of("999999999999", "us-east-1");
    let unnamed = world.ec2(&bare, &form("")).await;
    assert_eq!(code(unnamed), "VPCIdNotSpecified");
    let named = world.ec2(&bare, &form("&SubnetId=subnet-small")).await;
    assert!(named.is_ok());
}

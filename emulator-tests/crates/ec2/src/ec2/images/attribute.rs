//! `DescribeImageAttribute`, `ResetImageAttribute`.

use super::describe::launches;
use super::{change_own, unavailable};
use crate::ec2::call::{Answer, Call};
use crate::ec2::lookup;
use emulator_protocol::{AwsError, Xml, ec2_time};
use emulator_state::world::Permissions;

/// Gives one attribute of an image of the caller's.
pub fn describe(call: &Call<'_>) -> Answer {
    let id = call.params.required("ImageId")?;
    let attribute = call.params.required("Attribute")?;
    call.services.store.read(|world| {
        let image = lookup::own_image(world, call.caller, id)?;
        let mut xml = Xml::new();
        xml.leaf("imageId", id);
        let mut value = |name, value: Option<&str>| {
            xml.node(name, |node| {
                node.option("value", value);
            });
        };
        match attribute {
            "description" => value("description", image.description.as_deref()),
            "kernel" => value("kernel", image.kernel.as_deref()),
            "ramdisk" => value("ramdisk", image.ramdisk.as_deref()),
            "sriovNetSupport" => value("sriovNetSupport", image.sriov.as_deref()),
            "bootMode" => value("bootMode", image.boot_mode.as_deref()),
            "tpmSupport" => value("tpmSupport", image.tpm.as_deref()),
            "uefiData" => value("uefiData", image.uefi_data.as_deref()),
            "imdsSupport" => value("imdsSupport", image.imds.as_deref()),
            "deregistrationProtection" => value(
                "deregistrationProtection",
                Some(image.deregistration_protection.name()),
            ),
            "lastLaunchedTime" => {
                let launched = launches(world, call.now).get(id).copied().map(ec2_time);
                value("lastLaunchedTime", launched.as_deref());
            }
            "launchPermission" => permissions(&mut xml, &image.permissions),
            "productCodes" => {
                xml.list("productCodes", [(); 0], |_, ()| {});
            }
            // "Using this attribute returns the Client.AuthFailure error" (API reference).
            "blockDeviceMapping" => {
                return Err(AwsError::new(
                    "AuthFailure",
                    "Unauthorized attempt to access restricted resource",
                ));
            }
            other => {
                return Err(call.params.invalid(
                    "Attribute",
                    other,
                    "it is no attribute of an image",
                ));
            }
        }
        call.dry_run()?;
        Ok(xml)
    })
}

fn permissions(xml: &mut Xml, permissions: &Permissions) {
    let group = permissions.public.then_some(("group", "all"));
    let accounts = permissions
        .accounts
        .iter()
        .map(|account| ("userId", account.as_str()));
    let organizations = permissions
        .organizations
        .iter()
        .map(|arn| ("organizationArn", arn.as_str()));
    let units = permissions
        .organizational_units
        .iter()
        .map(|arn| ("organizationalUnitArn", arn.as_str()));
    let all = group
        .into_iter()
        .chain(accounts)
        .chain(organizations)
        .chain(units);
    xml.list("launchPermission", all, |item, (name, value)| {
        item.leaf(name, value);
    });
}

/// Takes back all launch permissions.
pub fn reset(call: &Call<'_>) -> Answer {
    let attribute = call.params.required("Attribute")?;
    if attribute != "launchPermission" {
        return Err(call
            .params
            .invalid("Attribute", attribute, "expecting launchPermission"));
    }
    change_own(call, |image| {
        if image.state.name(call.now) != "available" {
            return Err(unavailable(image, call, "modified"));
        }
        image.permissions = Permissions::default();
        Ok(())
    })
}

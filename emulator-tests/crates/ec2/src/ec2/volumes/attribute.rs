//! `DescribeVolumeAttribute`, `ModifyVolumeAttribute`.

use crate::ec2::call::{Answer, Call};
use crate::ec2::lookup;
use emulator_protocol::{AwsError, Xml};
use emulator_state::world::{Change, Volume};

/// `DescribeVolumeAttribute`.
pub(super) fn describe(call: &Call<'_>) -> Answer {
    let id = call.params.required("VolumeId")?;
    let attribute = call.params.required("Attribute")?;
    call.services.store.read(|world| {
        let volume = lookup::volume(world, call.caller, id)?;
        let mut xml = Xml::new();
        xml.leaf("volumeId", &volume.id);
        match attribute {
            "autoEnableIO" => xml.node("autoEnableIO", |xml| {
                xml.leaf("value", volume.auto_enable_io);
            }),
            // Products are of the Marketplace.
            "productCodes" => xml.node("productCodes", |_| {}),
            other => {
                return Err(call.params.invalid(
                    "Attribute",
                    other,
                    "expecting autoEnableIO or productCodes",
                ));
            }
        };
        Ok(xml)
    })
}

/// `ModifyVolumeAttribute`.
pub(super) fn modify(call: &Call<'_>) -> Answer {
    let id = call.params.required("VolumeId")?;
    let auto_enable_io = call.params.bool("AutoEnableIO.Value")?.ok_or_else(|| {
        AwsError::new(
            "MissingParameter",
            "The request must contain the parameter AutoEnableIO.Value",
        )
    })?;
    call.services.store.write(|world, changes| {
        let volume = lookup::volume(world, call.caller, id)?;
        changes.push(Change::Volume(Volume {
            auto_enable_io,
            ..volume.clone()
        }));
        Ok(Xml::done())
    })
}

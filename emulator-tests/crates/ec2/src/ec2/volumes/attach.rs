//! `AttachVolume`, `DetachVolume`. Where a volume is attached is said in the volume's record only.

use super::describe::write_attachment;
use crate::ec2::call::{Answer, Call};
use crate::ec2::lookup;
use emulator_protocol::{AwsError, Xml};
use emulator_state::world::{Attachment, Change, Instance, StateName, Volume, World};

/// `AttachVolume`.
pub(super) fn attach(call: &Call<'_>) -> Answer {
    let params = call.params;
    let id = params.required("VolumeId")?;
    let instance = params.required("InstanceId")?;
    let device = params.required("Device")?;
    if !is_device(device) {
        return Err(AwsError::new(
            "InvalidParameterValue",
            format!(
                "Value ({device}) for parameter device is invalid. {device} is not a valid EBS \
                 device name."
            ),
        ));
    }
    let attachment = call.services.store.write(|world, changes| {
        let volume = lookup::volume(world, call.caller, id)?;
        let instance = lookup::instance(world, call.caller, instance)?;
        check_state(instance, call)?;
        check_unplugged(instance)?;
        if volume.attachment.is_some() {
            return Err(AwsError::new(
                "VolumeInUse",
                format!("{id} is already attached to an instance"),
            ));
        }
        if volume.state(call.now) != "available" {
            return Err(AwsError::new(
                "IncorrectState",
                format!("Volume '{id}' is not 'available'."),
            ));
        }
        check_place(world, volume, instance, device)?;
        let attachment = Attachment {
            instance: instance.id.clone(),
            device: device.to_owned(),
            since: call.now,
            delete_on_termination: false,
        };
        changes.push(Change::Volume(Volume {
            attachment: Some(attachment.clone()),
            ..volume.clone()
        }));
        Ok(attachment)
    })?;
    let mut xml = Xml::new();
    write_attachment(&mut xml, id, &attachment, "attaching");
    Ok(xml)
}

/// Volumes are attached to instances that run or are stopped.
fn check_state(instance: &Instance, call: &Call<'_>) -> Result<(), AwsError> {
    let state = instance.state.name(call.now);
    if matches!(state, StateName::RUNNING | StateName::STOPPED) {
        return Ok(());
    }
    Err(AwsError::new(
        "IncorrectState",
        format!(
            "Instance '{}' is not 'running': it is {}.",
            instance.id, state.name
        ),
    ))
}

/// Disks of a guest that runs stay as they are: what it would not see is not answered with success.
fn check_unplugged(instance: &Instance) -> Result<(), AwsError> {
    if instance.has_machine() {
        return Err(AwsError::new(
            "UnsupportedOperation",
            format!(
                "This emulator does not plug disks into a guest that runs, or out of it: stop the \
                 instance '{}' first",
                instance.id
            ),
        ));
    }
    Ok(())
}

/// Refuses an instance in another zone, and a device that it has already.
fn check_place(
    world: &World,
    volume: &Volume,
    instance: &Instance,
    device: &str,
) -> Result<(), AwsError> {
    if volume.zone != instance.interface.zone {
        return Err(AwsError::new(
            "InvalidVolume.ZoneMismatch",
            format!(
                "The volume '{}' is not in the same availability zone as instance '{}'",
                volume.id, instance.id
            ),
        ));
    }
    let is_taken = world
        .volumes
        .values()
        .filter_map(|it| it.attachment.as_ref())
        .any(|it| it.instance == instance.id && it.device == device);
    if is_taken {
        return Err(AwsError::new(
            "InvalidParameterValue",
            format!(
                "Invalid value '{device}' for unixDevice. Attachment point {device} is already \
                 in use"
            ),
        ));
    }
    Ok(())
}

/// The root volume stays with an instance that is not stopped.
fn check_root(
    world: &World,
    volume: &str,
    attachment: &Attachment,
    call: &Call<'_>,
) -> Result<(), AwsError> {
    let holds = world.instances.get(&attachment.instance).is_some_and(|it| {
        it.root_device == attachment.device && it.state.name(call.now) != StateName::STOPPED
    });
    if holds {
        return Err(AwsError::new(
            "OperationNotPermitted",
            format!(
                "Unable to detach root volume '{volume}' from instance '{}'",
                attachment.instance
            ),
        ));
    }
    Ok(())
}

/// `DetachVolume`.
pub(super) fn detach(call: &Call<'_>) -> Answer {
    let params = call.params;
    let id = params.required("VolumeId")?;
    params.bool("Force")?;
    let attachment = call.services.store.write(|world, changes| {
        let volume = lookup::volume(world, call.caller, id)?;
        let instance = params.get("InstanceId").filter(|it| !it.is_empty());
        if let Some(instance) = instance {
            lookup::instance(world, call.caller, instance)?;
        }
        let Some(attachment) = &volume.attachment else {
            return Err(AwsError::new(
                "IncorrectState",
                format!("Volume '{id}' is in the 'available' state."),
            ));
        };
        let device = params.get("Device").filter(|it| !it.is_empty());
        if instance.is_some_and(|it| it != attachment.instance)
            || device.is_some_and(|it| it != attachment.device)
        {
            return Err(AwsError::new(
                "InvalidAttachment.NotFound",
                format!(
                    "The volume '{id}' is not attached to instance '{}' as device '{}'.",
                    instance.unwrap_or(&attachment.instance),
                    device.unwrap_or(&attachment.device)
                ),
            ));
        }
        check_root(world, id, attachment, call)?;
        if let Some(instance) = world.instances.get(&attachment.instance) {
            check_unplugged(instance)?;
        }
        changes.push(Change::Volume(Volume {
            attachment: None,
            ..volume.clone()
        }));
        Ok(attachment.clone())
    })?;
    let mut xml = Xml::new();
    write_attachment(&mut xml, id, &attachment, "detaching");
    Ok(xml)
}

/// Whether EC2 takes a device name: `/dev/sdf`, `/dev/sda1`, `/dev/xvdf`, `/dev/xvdaa`, and the
/// same without `/dev/`.
fn is_device(name: &str) -> bool {
    let name = name.strip_prefix("/dev/").unwrap_or(name);
    let letter = |text: &str| text.len() == 1 && text.bytes().all(|c| c.is_ascii_lowercase());
    if let Some(rest) = name.strip_prefix("sd") {
        let (disk, part) = rest.split_at_checked(1).unwrap_or((rest, ""));
        let number = part.parse().is_ok_and(|part: u8| (1..=15).contains(&part));
        return letter(disk) && (part.is_empty() || number && !part.starts_with(['0', '+']));
    }
    if let Some(rest) = name.strip_prefix("xvd") {
        return match rest.split_at_checked(1) {
            Some((first, "")) => letter(first),
            Some((first, second)) => matches!(first, "a" | "b" | "c" | "d") && letter(second),
            None => false,
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_device;

    #[test]
    fn device_names() {
        for (name, is) in [
            ("/dev/sdf", true),
            ("/dev/sda1", true),
            ("/dev/sdf15", true),
            ("/dev/xvda", true),
            ("/dev/xvddz", true),
            ("xvdh", true),
            ("sdh", true),
            ("/dev/sd", false),
            ("/dev/sdf16", false),
            ("/dev/sdf0", false),
            ("/dev/sdf+1", false),
            ("/dev/sdff", false),
            ("/dev/xvdez", false),
            ("/dev/xvd1", false),
            ("/dev/xvd", false),
            ("/dev/nvme1n1", false),
            ("/dev/sdé", false),
            ("", false),
        ] {
            assert_eq!(is_device(name), is, "{name}");
        }
    }
}

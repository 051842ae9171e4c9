//! `DescribeInstanceAttribute`, `ModifyInstanceAttribute`.

use super::run::check_user_data;
use super::{find, fit, render};
use crate::ec2::call::{Answer, Call};
use crate::ec2::lookup;
use emulator_backend::InstanceType;
use emulator_protocol::{AwsError, Params, Xml};
use emulator_state::world::{Attachment, Change, Instance, StateName, Volume, World};

/// `DescribeInstanceAttribute`.
pub(super) fn describe(call: &Call<'_>) -> Answer {
    let id = call.params.required("InstanceId")?;
    let attribute = call.params.required("Attribute")?;
    call.services.store.read(|world| {
        let it = lookup::instance(world, call.caller, id)?;
        let mut xml = Xml::new();
        xml.leaf("instanceId", id);
        let mut value = |value: Option<String>| {
            xml.node(attribute, |xml| {
                xml.option("value", value);
            });
        };
        match attribute {
            "instanceType" => value(Some(it.instance_type.clone())),
            "kernel" => value(it.kernel.clone()),
            "ramdisk" => value(it.ramdisk.clone()),
            "userData" => value(it.user_data.clone()),
            "disableApiTermination" => value(Some(it.termination_protection.to_string())),
            "disableApiStop" => value(Some(it.stop_protection.to_string())),
            "instanceInitiatedShutdownBehavior" => value(Some(it.shutdown_behavior.clone())),
            "rootDeviceName" => value(Some(it.root_device.clone())),
            "sourceDestCheck" => value(Some(it.interface.source_dest_check.to_string())),
            "ebsOptimized" => value(Some(it.ebs_optimized.to_string())),
            "enaSupport" => value(Some(it.ena.to_string())),
            "sriovNetSupport" => value(it.sriov.clone()),
            "groupSet" => render::groups(&mut xml, &it.interface.groups),
            "blockDeviceMapping" => {
                render::devices(&mut xml, &render::volumes(world, it), call.now);
            }
            "productCodes" => {
                xml.list("productCodes", [(); 0], |_, ()| {});
            }
            "enclaveOptions" => {
                xml.node("enclaveOptions", |xml| {
                    xml.leaf("enabled", false);
                });
            }
            _ => {
                return Err(call
                    .params
                    .invalid("Attribute", attribute, "Unknown attribute"));
            }
        }
        Ok(xml)
    })
}

/// What `ModifyInstanceAttribute` changes.
enum Modification {
    InstanceType(InstanceType),
    UserData(Option<String>),
    ShutdownBehavior(String),
    TerminationProtection(bool),
    StopProtection(bool),
    SourceDestCheck(bool),
    EbsOptimized(bool),
    Ena,
    Groups(Vec<(String, String)>),
    /// Device names, and whether their volumes go when the instance does.
    Devices(Vec<(String, bool)>),
}

/// Attributes that a request may name, as a member of their own and as an `Attribute`.
const ATTRIBUTES: [(&str, &str); 9] = [
    ("InstanceType", "instanceType"),
    ("UserData", "userData"),
    (
        "InstanceInitiatedShutdownBehavior",
        "instanceInitiatedShutdownBehavior",
    ),
    ("DisableApiTermination", "disableApiTermination"),
    ("DisableApiStop", "disableApiStop"),
    ("SourceDestCheck", "sourceDestCheck"),
    ("EbsOptimized", "ebsOptimized"),
    ("EnaSupport", "enaSupport"),
    ("SriovNetSupport", "sriovNetSupport"),
];

fn combination(message: &str) -> AwsError {
    AwsError::new("InvalidParameterCombination", message)
}

async fn modification(call: &Call<'_>, id: &str) -> Result<Modification, AwsError> {
    let params = call.params;
    let mut said: Vec<(&str, String)> = Vec::new();
    for (member, attribute) in ATTRIBUTES {
        let value = params
            .get(&format!("{member}.Value"))
            .or_else(|| params.get(member));
        said.extend(value.map(|value| (attribute, value.to_owned())));
    }
    if let Some(attribute) = params.get("Attribute") {
        if !ATTRIBUTES.iter().any(|(_, known)| *known == attribute) {
            return Err(params.invalid("Attribute", attribute, "Unknown attribute"));
        }
        said.push((
            attribute,
            params.get("Value").unwrap_or_default().to_owned(),
        ));
    }
    let groups = params.list("GroupId");
    let devices = params.structs("BlockDeviceMapping");
    if said.len() + usize::from(!groups.is_empty()) + usize::from(!devices.is_empty()) > 1 {
        return Err(combination("Fields for multiple attribute types specified"));
    }
    if !groups.is_empty() {
        return choose_groups(call, id, &groups).await;
    }
    if !devices.is_empty() {
        return device_flags(&devices);
    }
    let Some((attribute, value)) = said.pop() else {
        return Err(combination("No attributes specified."));
    };
    let flag = || match value.as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(params.invalid(attribute, &value, "it is not true or false")),
    };
    Ok(match attribute {
        "instanceType" => Modification::InstanceType(
            call.services
                .network
                .instance_type(call.caller, &value)
                .await?
                .ok_or_else(|| fit::no_such_type(&value))?,
        ),
        "userData" => {
            check_user_data(&value)?;
            Modification::UserData((!value.is_empty()).then_some(value))
        }
        "instanceInitiatedShutdownBehavior" => match value.as_str() {
            "stop" | "terminate" => Modification::ShutdownBehavior(value),
            _ => return Err(params.invalid(attribute, &value, "expecting stop or terminate")),
        },
        "disableApiTermination" => Modification::TerminationProtection(flag()?),
        "disableApiStop" => Modification::StopProtection(flag()?),
        "sourceDestCheck" => Modification::SourceDestCheck(flag()?),
        "ebsOptimized" => Modification::EbsOptimized(flag()?),
        // It can be switched on, and never off.
        "enaSupport" if flag()? => Modification::Ena,
        _ => {
            return Err(AwsError::new(
                "UnsupportedOperation",
                format!("The attribute {attribute} can't be set to '{value}'."),
            ));
        }
    })
}

async fn choose_groups(
    call: &Call<'_>,
    id: &str,
    wanted: &[&str],
) -> Result<Modification, AwsError> {
    let vpc = call.services.store.read(|world| {
        lookup::instance(world, call.caller, id).map(|it| it.interface.vpc.clone())
    })?;
    let all = call.services.network.security_groups(call.caller).await?;
    let mut groups = Vec::new();
    for id in wanted {
        let group = all
            .iter()
            .find(|it| it.id == *id && it.vpc == vpc)
            .ok_or_else(|| {
                AwsError::new(
                    "InvalidGroup.NotFound",
                    format!("The security group '{id}' does not exist in VPC '{vpc}'"),
                )
            })?;
        groups.push((group.id.clone(), group.name.clone()));
    }
    Ok(Modification::Groups(groups))
}

fn device_flags(devices: &[Params]) -> Result<Modification, AwsError> {
    let mut flags = Vec::new();
    for device in devices {
        let flag = device.bool("Ebs.DeleteOnTermination")?.ok_or_else(|| {
            AwsError::new(
                "UnsupportedOperation",
                "Only deleteOnTermination of a block device mapping can be modified here.",
            )
        })?;
        flags.push((device.required("DeviceName")?.to_owned(), flag));
    }
    Ok(Modification::Devices(flags))
}

/// `ModifyInstanceAttribute`.
pub(super) async fn modify(call: &Call<'_>) -> Answer {
    let id = call.params.required("InstanceId")?;
    call.services
        .store
        .read(|world| lookup::instance(world, call.caller, id).map(drop))?;
    let modification = modification(call, id).await?;
    call.services.store.write(|world, changes| {
        let instance = lookup::instance(world, call.caller, id)?;
        let state = instance.state.name(call.now);
        if instance.state.ends() {
            return Err(AwsError::new(
                "IncorrectInstanceState",
                format!(
                    "The instance '{id}' is '{}' and can't be changed.",
                    state.name
                ),
            ));
        }
        let needs_stop = matches!(
            modification,
            Modification::InstanceType(_)
                | Modification::UserData(_)
                | Modification::EbsOptimized(_)
                | Modification::Ena
        );
        if needs_stop && state != StateName::STOPPED {
            return Err(AwsError::new(
                "IncorrectInstanceState",
                format!("The instance '{id}' is not in the 'stopped' state."),
            ));
        }
        if let Modification::Devices(flags) = &modification {
            let volumes = with_flags(world, instance, flags)?;
            call.dry_run()?;
            changes.extend(volumes.into_iter().map(Change::Volume));
            return Ok(());
        }
        let modified = modified(instance, &modification)?;
        call.dry_run()?;
        changes.push(Change::Instance(Box::new(modified)));
        Ok(())
    })?;
    Ok(Xml::done())
}

fn modified(before: &Instance, modification: &Modification) -> Result<Instance, AwsError> {
    let mut it = before.clone();
    match modification {
        Modification::InstanceType(kind) => {
            let wants = fit::Demands {
                architecture: &before.architecture,
                virtualization: &before.virtualization,
                boot_mode: before.boot_mode.as_deref(),
                ena: before.ena,
            };
            it.current_boot_mode = fit::boot_mode(wants, kind)?;
            it.instance_type.clone_from(&kind.name);
            it.nitro = kind.nitro;
            it.cpus = kind.cpus;
            it.memory_mib = kind.memory_mib;
        }
        Modification::UserData(data) => it.user_data.clone_from(data),
        Modification::ShutdownBehavior(word) => it.shutdown_behavior.clone_from(word),
        Modification::TerminationProtection(on) => it.termination_protection = *on,
        Modification::StopProtection(on) => it.stop_protection = *on,
        Modification::SourceDestCheck(on) => it.interface.source_dest_check = *on,
        Modification::EbsOptimized(on) => it.ebs_optimized = *on,
        Modification::Ena => it.ena = true,
        Modification::Groups(groups) => it.interface.groups.clone_from(groups),
        Modification::Devices(_) => {}
    }
    Ok(it)
}

fn with_flags(
    world: &World,
    instance: &Instance,
    flags: &[(String, bool)],
) -> Result<Vec<Volume>, AwsError> {
    let volumes = render::volumes(world, instance);
    flags
        .iter()
        .map(|(device, flag)| {
            let found = volumes.iter().find_map(|volume| {
                let attachment = volume.attachment.as_ref()?;
                (attachment.device == *device).then_some((volume, attachment))
            });
            let (volume, attachment) = found.ok_or_else(|| {
                AwsError::new(
                    "InvalidInstanceAttributeValue",
                    format!("No device is currently mapped at {device}"),
                )
            })?;
            Ok(Volume {
                attachment: Some(Attachment {
                    delete_on_termination: *flag,
                    ..attachment.clone()
                }),
                ..(*volume).clone()
            })
        })
        .collect()
}

/// `DescribeInstanceCreditSpecifications`: of burstable instances.
pub(super) fn credits(call: &Call<'_>) -> Answer {
    let ids = call.params.list("InstanceId");
    call.services.store.read(|world| {
        let listed = if ids.is_empty() {
            super::describe::named(world, call)?
        } else {
            find(world, call.caller, &ids)?
        };
        let listed = listed
            .into_iter()
            .filter_map(|it| Some((it, it.cpu_credits.as_ref()?)));
        let mut xml = Xml::new();
        xml.list(
            "instanceCreditSpecificationSet",
            listed,
            |xml, (it, credits)| {
                xml.leaf("instanceId", &it.id).leaf("cpuCredits", credits);
            },
        );
        Ok(xml)
    })
}

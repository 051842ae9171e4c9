//! Instances in answers.

use super::metadata;
use emulator_protocol::Xml;
use emulator_state::world::{Instance, StateName, Tags, Volume, World};
use std::net::Ipv4Addr;
use time::OffsetDateTime;

/// The volumes that are attached to an instance, by device name.
pub(super) fn volumes<'a>(world: &'a World, instance: &Instance) -> Vec<&'a Volume> {
    let mut volumes: Vec<&Volume> = world
        .volumes
        .values()
        .filter(|it| {
            it.attachment
                .as_ref()
                .is_some_and(|at| at.instance == instance.id)
        })
        .collect();
    volumes.sort_by_key(|it| it.attachment.as_ref().map(|at| &at.device));
    volumes
}

/// Whether it has left its network and lost its volumes.
pub(super) fn gone(instance: &Instance, now: OffsetDateTime) -> bool {
    instance.state.name(now) == StateName::TERMINATED
}

/// The public address, which a stopped instance has not.
pub(super) fn public_ip(instance: &Instance, now: OffsetDateTime) -> Option<Ipv4Addr> {
    let has = matches!(
        instance.state.name(now),
        StateName::PENDING | StateName::RUNNING
    );
    instance.interface.public_ip.filter(|_| has)
}

/// `ip-172-31-0-4.ec2.internal`.
pub(super) fn private_name(instance: &Instance) -> String {
    let address = instance.interface.private_ip.to_string().replace('.', "-");
    match instance.region.as_str() {
        "us-east-1" => format!("ip-{address}.ec2.internal"),
        region => format!("ip-{address}.{region}.compute.internal"),
    }
}

/// `ec2-198-18-0-1.compute-1.amazonaws.com`.
pub(super) fn public_name(instance: &Instance, address: Ipv4Addr) -> String {
    let address = address.to_string().replace('.', "-");
    match instance.region.as_str() {
        "us-east-1" => format!("ec2-{address}.compute-1.amazonaws.com"),
        region => format!("ec2-{address}.{region}.compute.amazonaws.com"),
    }
}

/// Instances of one request, and the request.
pub(super) fn reservation(
    xml: &mut Xml,
    world: &World,
    instances: &[&Instance],
    now: OffsetDateTime,
) {
    if let Some(first) = instances.first() {
        xml.leaf("reservationId", &first.reservation)
            .leaf("ownerId", &first.owner);
    }
    xml.list("groupSet", [(); 0], |_, ()| {})
        .list("instancesSet", instances, |xml, it| {
            instance(xml, world, it, now);
        });
}

/// `<NAME><code>16</code><name>running</name></NAME>`.
pub(super) fn state(xml: &mut Xml, name: &str, state: StateName) {
    xml.node(name, |xml| {
        xml.leaf("code", state.code).leaf("name", state.name);
    });
}

/// `<tagSet>`.
pub(super) fn tags(xml: &mut Xml, tags: &Tags) {
    xml.list("tagSet", tags, |xml, (key, value)| {
        xml.leaf("key", key).leaf("value", value);
    });
}

/// `<groupSet>` of security groups.
pub(super) fn groups(xml: &mut Xml, groups: &[(String, String)]) {
    xml.list("groupSet", groups, |xml, (id, name)| {
        xml.leaf("groupId", id).leaf("groupName", name);
    });
}

/// `<blockDeviceMapping>`.
pub(super) fn devices(xml: &mut Xml, volumes: &[&Volume], now: OffsetDateTime) {
    let attached = volumes
        .iter()
        .filter_map(|it| Some((it, it.attachment.as_ref()?)));
    xml.list("blockDeviceMapping", attached, |xml, (volume, at)| {
        xml.leaf("deviceName", &at.device).node("ebs", |xml| {
            xml.leaf("volumeId", &volume.id)
                .leaf("status", attachment(now >= volume.available))
                .time("attachTime", at.since)
                .leaf("deleteOnTermination", at.delete_on_termination);
        });
    });
}

fn attachment(done: bool) -> &'static str {
    if done { "attached" } else { "attaching" }
}

fn instance(xml: &mut Xml, world: &World, it: &Instance, now: OffsetDateTime) {
    let gone = gone(it, now);
    let public = public_ip(it, now).map(|address| (address, public_name(it, address)));
    let none = Vec::new();
    xml.leaf("instanceId", &it.id).leaf("imageId", &it.image);
    state(xml, "instanceState", it.state.name(now));
    let reason = it.state.reason(now);
    let private_name = if gone {
        String::new()
    } else {
        private_name(it)
    };
    xml.leaf("privateDnsName", private_name)
        .leaf(
            "dnsName",
            public.as_ref().map_or("", |(_, name)| name.as_str()),
        )
        .leaf("reason", reason.map_or("", |it| it.transition.as_str()))
        .option("keyName", it.key_name.as_ref())
        .leaf("amiLaunchIndex", it.launch_index)
        .list("productCodes", [(); 0], |_, ()| {})
        .leaf("instanceType", &it.instance_type)
        .time("launchTime", it.launched)
        .node("placement", |xml| {
            xml.leaf("availabilityZone", &it.interface.zone)
                .option("availabilityZoneId", it.interface.zone_id.as_ref())
                .leaf("groupName", "")
                .leaf("tenancy", "default");
        })
        .option("kernelId", it.kernel.as_ref())
        .option("ramdiskId", it.ramdisk.as_ref())
        .node("monitoring", |xml| {
            let word = if it.monitoring { "enabled" } else { "disabled" };
            xml.leaf("state", word);
        });
    if !gone {
        xml.leaf("subnetId", &it.interface.subnet)
            .leaf("vpcId", &it.interface.vpc)
            .leaf("privateIpAddress", it.interface.private_ip)
            .option("ipAddress", public.as_ref().map(|(address, _)| address))
            .leaf("sourceDestCheck", it.interface.source_dest_check);
    }
    groups(xml, if gone { &none } else { &it.interface.groups });
    if let Some(reason) = reason {
        xml.node("stateReason", |xml| {
            xml.leaf("code", &reason.code)
                .leaf("message", &reason.message);
        });
    }
    xml.leaf("architecture", &it.architecture)
        .leaf("rootDeviceType", "ebs")
        .leaf("rootDeviceName", &it.root_device);
    devices(xml, &volumes(world, it), now);
    xml.leaf("virtualizationType", &it.virtualization).leaf(
        "clientToken",
        it.client_token
            .as_ref()
            .map_or("", |(token, _)| token.as_str()),
    );
    tags(xml, &it.tags);
    // Every instance says `xen`, for the sake of clients older than Nitro.
    xml.leaf("hypervisor", "xen");
    xml.list("networkInterfaceSet", (!gone).then_some(()), |xml, ()| {
        interface(xml, it, public.as_ref(), now);
    });
    if let Some(profile) = &it.profile {
        xml.node("iamInstanceProfile", |xml| {
            xml.leaf("arn", &profile.arn).leaf("id", &profile.id);
        });
    }
    xml.leaf("ebsOptimized", it.ebs_optimized)
        .leaf("enaSupport", it.ena)
        .option("sriovNetSupport", it.sriov.as_ref())
        .node("capacityReservationSpecification", |xml| {
            xml.leaf("capacityReservationPreference", "open");
        })
        .node("hibernationOptions", |xml| {
            xml.leaf("configured", false);
        })
        .node("enclaveOptions", |xml| {
            xml.leaf("enabled", false);
        })
        .node("metadataOptions", |xml| metadata::write(xml, &it.metadata))
        .option("bootMode", it.boot_mode.as_ref())
        .leaf("currentInstanceBootMode", &it.current_boot_mode)
        .option("tpmSupport", it.tpm.as_ref())
        .node("maintenanceOptions", |xml| {
            xml.leaf("autoRecovery", "default");
        })
        .node("privateDnsNameOptions", |xml| {
            xml.leaf("hostnameType", "ip-name")
                .leaf("enableResourceNameDnsARecord", false)
                .leaf("enableResourceNameDnsAAAARecord", false);
        })
        .leaf("platformDetails", "Linux/UNIX")
        .leaf("usageOperation", "RunInstances")
        .time("usageOperationUpdateTime", it.launched);
}

fn interface(
    xml: &mut Xml,
    it: &Instance,
    public: Option<&(Ipv4Addr, String)>,
    now: OffsetDateTime,
) {
    let interface = &it.interface;
    let association = |xml: &mut Xml| {
        if let Some((address, name)) = public {
            xml.node("association", |xml| {
                xml.leaf("publicIp", address)
                    .leaf("publicDnsName", name)
                    .leaf("ipOwnerId", "amazon");
            });
        }
    };
    xml.leaf("networkInterfaceId", &interface.id)
        .leaf("subnetId", &interface.subnet)
        .leaf("vpcId", &interface.vpc)
        .leaf("description", &interface.description)
        .leaf("ownerId", &it.owner)
        .leaf("status", "in-use")
        .leaf("macAddress", &interface.mac)
        .leaf("privateIpAddress", interface.private_ip)
        .leaf("privateDnsName", private_name(it))
        .leaf("sourceDestCheck", interface.source_dest_check)
        .leaf("interfaceType", "interface");
    groups(xml, &interface.groups);
    xml.node("attachment", |xml| {
        let done = it.state.name(now) != StateName::PENDING;
        xml.leaf("attachmentId", &interface.attachment)
            .leaf("deviceIndex", 0)
            .leaf("networkCardIndex", 0)
            .leaf("status", attachment(done))
            .time("attachTime", it.launched)
            .leaf("deleteOnTermination", interface.delete_on_termination);
    });
    association(xml);
    xml.list("privateIpAddressesSet", [()], |xml, ()| {
        xml.leaf("privateIpAddress", interface.private_ip)
            .leaf("privateDnsName", private_name(it))
            .leaf("primary", true);
        association(xml);
    })
    .list("ipv6AddressesSet", [(); 0], |_, ()| {});
}

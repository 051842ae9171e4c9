//! `DescribeInstances`.

use super::{find, render};
use crate::ec2::call::{Answer, Call};
use crate::ec2::filter::Filters;
use crate::ec2::page::Page;
use emulator_protocol::{AwsError, Params, Xml};
use emulator_state::world::{Instance, World};
use time::OffsetDateTime;

const FILTERS: [&str; 52] = [
    "architecture",
    "availability-zone",
    "block-device-mapping.attach-time",
    "block-device-mapping.delete-on-termination",
    "block-device-mapping.device-name",
    "block-device-mapping.status",
    "block-device-mapping.volume-id",
    "boot-mode",
    "client-token",
    "current-instance-boot-mode",
    "dns-name",
    "ena-support",
    "group-id",
    "group-name",
    "hypervisor",
    "iam-instance-profile.arn",
    "iam-instance-profile.id",
    "image-id",
    "instance-id",
    "instance-state-code",
    "instance-state-name",
    "instance-type",
    "instance.group-id",
    "instance.group-name",
    "ip-address",
    "kernel-id",
    "key-name",
    "launch-index",
    "launch-time",
    "metadata-options.http-endpoint",
    "metadata-options.http-put-response-hop-limit",
    "metadata-options.http-tokens",
    "metadata-options.instance-metadata-tags",
    "monitoring-state",
    "network-interface.mac-address",
    "network-interface.network-interface-id",
    "network-interface.subnet-id",
    "network-interface.vpc-id",
    "owner-id",
    "private-dns-name",
    "private-ip-address",
    "ramdisk-id",
    "reservation-id",
    "root-device-name",
    "root-device-type",
    "source-dest-check",
    "state-reason-code",
    "subnet-id",
    "tag-key",
    "tenancy",
    "virtualization-type",
    "vpc-id",
];

/// A page's range; ids and pages exclude each other.
pub(super) fn page(params: &Params) -> Result<Page, AwsError> {
    if params.get("MaxResults").is_some() && !params.list("InstanceId").is_empty() {
        return Err(AwsError::new(
            "InvalidParameterCombination",
            "The parameter instancesSet cannot be used with the parameter maxResults",
        ));
    }
    Page::parse(params, 5..=1000)
}

/// The caller's instances that are named, or all of them, sorted by id.
pub(super) fn named<'a>(world: &'a World, call: &Call<'_>) -> Result<Vec<&'a Instance>, AwsError> {
    let ids = call.params.list("InstanceId");
    if ids.is_empty() {
        return Ok(world
            .instances
            .values()
            .filter(|it| it.owner == call.caller.account && it.region == call.caller.region)
            .collect());
    }
    let mut found = find(world, call.caller, &ids)?;
    found.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(found)
}

/// `DescribeInstances`.
pub(super) fn describe(call: &Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, &FILTERS)?;
    let page = page(call.params)?;
    call.services.store.read(|world| {
        let listed = named(world, call)?
            .into_iter()
            .filter(|it| filters.pass(&it.tags, |name| values(world, it, name, call.now)))
            .collect();
        let (listed, next) = page.cut(listed, |it| &it.id);
        // A reservation stands where the first of its instances does.
        let mut reservations: Vec<Vec<&Instance>> = Vec::new();
        for instance in listed {
            let place = reservations
                .iter_mut()
                .find(|it| it[0].reservation == instance.reservation);
            match place {
                Some(place) => place.push(instance),
                None => reservations.push(vec![instance]),
            }
        }
        let mut xml = Xml::new();
        xml.list("reservationSet", &mut reservations, |xml, instances| {
            instances.sort_by_key(|it| it.launch_index);
            render::reservation(xml, world, instances, call.now);
        })
        .option("nextToken", next);
        Ok(xml)
    })
}

fn values(world: &World, it: &Instance, filter: &str, now: OffsetDateTime) -> Vec<String> {
    let one = |text: &str| vec![text.to_owned()];
    let maybe = |text: Option<&String>| text.cloned().into_iter().collect();
    let volumes = || render::volumes(world, it).into_iter();
    let attachments = || volumes().filter_map(|volume| volume.attachment.as_ref());
    // What has ended is in no network.
    let in_network = !render::gone(it, now);
    let network = |text: String| {
        if in_network { vec![text] } else { Vec::new() }
    };
    let interface = &it.interface;
    match filter {
        "architecture" => one(&it.architecture),
        "availability-zone" => one(&interface.zone),
        "block-device-mapping.attach-time" => attachments()
            .map(|at| emulator_protocol::ec2_time(at.since))
            .collect(),
        "block-device-mapping.delete-on-termination" => attachments()
            .map(|at| at.delete_on_termination.to_string())
            .collect(),
        "block-device-mapping.device-name" => attachments().map(|at| at.device.clone()).collect(),
        "block-device-mapping.status" => volumes()
            .map(|volume| {
                let done = now >= volume.available;
                if done { "attached" } else { "attaching" }.to_owned()
            })
            .collect(),
        "block-device-mapping.volume-id" => volumes().map(|volume| volume.id.clone()).collect(),
        "boot-mode" => maybe(it.boot_mode.as_ref()),
        "client-token" => maybe(it.client_token.as_ref().map(|(token, _)| token)),
        "current-instance-boot-mode" => one(&it.current_boot_mode),
        "dns-name" => render::public_ip(it, now)
            .map(|address| render::public_name(it, address))
            .into_iter()
            .collect(),
        "ena-support" => one(&it.ena.to_string()),
        // Both names are of security groups; the longer ones of those in a VPC.
        "group-id" | "instance.group-id" if in_network => {
            interface.groups.iter().map(|(id, _)| id.clone()).collect()
        }
        "group-name" | "instance.group-name" if in_network => interface
            .groups
            .iter()
            .map(|(_, name)| name.clone())
            .collect(),
        "hypervisor" => one("xen"),
        "iam-instance-profile.arn" => maybe(it.profile.as_ref().map(|it| &it.arn)),
        "iam-instance-profile.id" => maybe(it.profile.as_ref().map(|it| &it.id)),
        "image-id" => one(&it.image),
        "instance-id" => one(&it.id),
        "instance-state-code" => one(&it.state.name(now).code.to_string()),
        "instance-state-name" => one(it.state.name(now).name),
        "instance-type" => one(&it.instance_type),
        "ip-address" => render::public_ip(it, now)
            .map(|address| address.to_string())
            .into_iter()
            .collect(),
        "kernel-id" => maybe(it.kernel.as_ref()),
        "key-name" => maybe(it.key_name.as_ref()),
        "launch-index" => one(&it.launch_index.to_string()),
        "launch-time" => one(&emulator_protocol::ec2_time(it.launched)),
        "metadata-options.http-endpoint" => one(&it.metadata.http_endpoint),
        "metadata-options.http-put-response-hop-limit" => one(&it.metadata.hop_limit.to_string()),
        "metadata-options.http-tokens" => one(&it.metadata.http_tokens),
        "metadata-options.instance-metadata-tags" => one(&it.metadata.tags),
        "monitoring-state" => one(if it.monitoring { "enabled" } else { "disabled" }),
        "network-interface.mac-address" => network(interface.mac.clone()),
        "network-interface.network-interface-id" => network(interface.id.clone()),
        "network-interface.subnet-id" | "subnet-id" => network(interface.subnet.clone()),
        "network-interface.vpc-id" | "vpc-id" => network(interface.vpc.clone()),
        "owner-id" => one(it.owner.as_str()),
        "private-dns-name" => network(render::private_name(it)),
        "private-ip-address" => network(interface.private_ip.to_string()),
        "ramdisk-id" => maybe(it.ramdisk.as_ref()),
        "reservation-id" => one(&it.reservation),
        "root-device-name" => one(&it.root_device),
        "root-device-type" => one("ebs"),
        "source-dest-check" => network(interface.source_dest_check.to_string()),
        "state-reason-code" => maybe(it.state.reason(now).map(|reason| &reason.code)),
        "tenancy" => one("default"),
        "virtualization-type" => one(&it.virtualization),
        _ => Vec::new(),
    }
}

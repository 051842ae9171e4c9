//! `DescribeInstanceStatus`.

use super::describe::{named, page};
use super::render;
use crate::ec2::call::{Answer, Call};
use crate::ec2::filter::Filters;
use emulator_protocol::Xml;
use emulator_state::world::{Instance, StateName, Tags};
use time::OffsetDateTime;

const FILTERS: [&str; 8] = [
    "availability-zone",
    "instance-state-code",
    "instance-state-name",
    "instance-status.reachability",
    "instance-status.status",
    "system-status.reachability",
    "system-status.status",
    "attached-ebs-status.status",
];

/// What the checks of an instance say: a summary, and whether it can be reached.
fn checks(call: &Call<'_>, it: &Instance) -> (&'static str, &'static str) {
    match it.state.name(call.now) {
        // Checks take as long again as starting did.
        StateName::RUNNING if call.now < it.state.since() + call.services.settle => {
            ("initializing", "initializing")
        }
        StateName::RUNNING => ("ok", "passed"),
        _ => ("not-applicable", ""),
    }
}

/// `DescribeInstanceStatus`: of running instances, if no others are asked for.
pub(super) fn describe(call: &Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, &FILTERS)?;
    let page = page(call.params)?;
    let all = call.params.bool("IncludeAllInstances")?.unwrap_or_default();
    call.services.store.read(|world| {
        let listed = named(world, call)?
            .into_iter()
            .filter(|it| all || it.state.name(call.now) == StateName::RUNNING)
            .filter(|it| filters.pass(&Tags::new(), |name| values(call, it, name, call.now)))
            .collect();
        let (listed, next) = page.cut(listed, |it| &it.id);
        let mut xml = Xml::new();
        xml.list("instanceStatusSet", listed, |xml, it| {
            xml.leaf("instanceId", &it.id)
                .leaf("availabilityZone", &it.interface.zone)
                .option("availabilityZoneId", it.interface.zone_id.as_ref());
            render::state(xml, "instanceState", it.state.name(call.now));
            let (status, reachability) = checks(call, it);
            for name in ["systemStatus", "instanceStatus", "attachedEbsStatus"] {
                xml.node(name, |xml| {
                    xml.leaf("status", status);
                    if !reachability.is_empty() {
                        xml.list("details", [()], |xml, ()| {
                            xml.leaf("name", "reachability")
                                .leaf("status", reachability);
                        });
                    }
                });
            }
        })
        .option("nextToken", next);
        Ok(xml)
    })
}

fn values(call: &Call<'_>, it: &Instance, filter: &str, now: OffsetDateTime) -> Vec<String> {
    let (status, reachability) = checks(call, it);
    vec![match filter {
        "availability-zone" => it.interface.zone.clone(),
        "instance-state-code" => it.state.name(now).code.to_string(),
        "instance-state-name" => it.state.name(now).name.to_owned(),
        "instance-status.reachability" | "system-status.reachability" => reachability.to_owned(),
        _ => status.to_owned(),
    }]
}

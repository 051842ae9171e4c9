//! `DescribeRegions`.

use super::call::{Answer, Call};
use super::filter::Filters;
use emulator_protocol::{AwsError, KnownRegion, REGIONS, Xml, known_region};
use emulator_state::world::Tags;

const FILTERS: [&str; 3] = ["endpoint", "opt-in-status", "region-name"];

/// Answers an action that is this module's; `None` for any other.
pub(super) fn handle(call: &Call<'_>, action: &str) -> Option<Answer> {
    (action == "DescribeRegions").then(|| describe(call))
}

/// Accounts here have opted in to nothing, as new ones have on AWS. Regions that are asked for by
/// name are listed either way.
fn describe(call: &Call<'_>) -> Answer {
    let names = call.params.list("RegionName");
    let all = call.params.bool("AllRegions")?.unwrap_or_default();
    let filters = Filters::parse(call.params, &FILTERS)?;
    if let Some(unknown) = names.iter().find(|name| !known_region(name)) {
        return Err(AwsError::new(
            "InvalidParameterValue",
            format!("Invalid region provided: [{unknown}]"),
        ));
    }
    let listed = REGIONS.iter().filter(|region| {
        let named = if names.is_empty() {
            all || !region.opt_in
        } else {
            names.contains(&region.name)
        };
        named
            && filters.pass(&Tags::new(), |filter| {
                vec![match filter {
                    "endpoint" => endpoint(region),
                    "opt-in-status" => status(region).to_owned(),
                    _ => region.name.to_owned(),
                }]
            })
    });
    let mut xml = Xml::new();
    xml.list("regionInfo", listed, |xml, region| {
        xml.leaf("regionName", region.name)
            .leaf("regionEndpoint", endpoint(region))
            .leaf("optInStatus", status(region));
    });
    Ok(xml)
}

fn endpoint(region: &KnownRegion) -> String {
    format!("ec2.{}.amazonaws.com", region.name)
}

fn status(region: &KnownRegion) -> &'static str {
    if region.opt_in {
        "not-opted-in"
    } else {
        "opt-in-not-required"
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::testing::world;
    use emulator_testing::caller;

    #[tokio::test]
    async fn regions_are_listed_as_asked_for() {
        let world = world();
        for (form, count) in [
            ("", 17),
            ("&AllRegions=true", 34),
            ("&RegionName.1=us-east-1&RegionName.2=af-south-1", 2),
            (
                "&Filter.1.Name=opt-in-status&Filter.1.Value.1=not-opted-in",
                0,
            ),
            (
                "&AllRegions=true&Filter.1.Name=opt-in-status&Filter.1.Value.1=not-opted-in",
                17,
            ),
            ("&Filter.1.Name=endpoint&Filter.1.Value.1=*.eu-west-*", 3),
        ] {
            let answer = world
                .ec2(&caller(), &format!("Action=DescribeRegions{form}"))
                .await
                .unwrap();
            assert_eq!(answer.matches("<item>").count(), count, "{form}");
        }
        let error = world
            .ec2(&caller(), "Action=DescribeRegions&RegionName.1=us-middle-1")
            .await
            .unwrap_err();
        assert_eq!(error.code, "InvalidParameterValue");
    }
}

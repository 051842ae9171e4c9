//! `DescribeImageReferences`: who uses an image. Of what is asked about, only instances live here.

use crate::ec2::call::{Answer, Call};
use crate::ec2::lookup;
use crate::ec2::page::Page;
use emulator_protocol::{AwsError, Params, Xml};
use emulator_state::world::{Instance, StateName};
use std::collections::BTreeSet;
use time::OffsetDateTime;

/// Most images of one question.
const MOST_IMAGES: usize = 10;

const KINDS: [&str; 5] = [
    "ec2:Instance",
    "ec2:LaunchTemplate",
    "ssm:Parameter",
    "imagebuilder:ImageRecipe",
    "imagebuilder:ContainerRecipe",
];

const STATES: [&str; 6] = [
    "pending",
    "running",
    "shutting-down",
    "terminated",
    "stopping",
    "stopped",
];

/// Lists the caller's resources that name an image.
pub fn describe(call: &Call<'_>) -> Answer {
    let params = call.params;
    let images: BTreeSet<&str> = params.list("ImageId").into_iter().collect();
    if images.is_empty() {
        params.required("ImageId")?;
    }
    if images.len() > MOST_IMAGES {
        return Err(AwsError::new(
            "InvalidParameterValue",
            format!("ImageIds has more than {MOST_IMAGES} entries"),
        ));
    }
    if let Some(id) = images.iter().find(|id| !lookup::well_formed("ami", id)) {
        return Err(AwsError::new(
            "InvalidAMIID.Malformed",
            format!("Invalid id: \"{id}\" (expecting \"ami-...\")"),
        ));
    }
    let scope = Scope::parse(params)?;
    let page = Page::parse(params, 5..=1000)?;
    call.dry_run()?;
    call.services.store.read(|world| {
        let instances: Vec<&Instance> = world
            .instances
            .values()
            .filter(|it| it.owner == call.caller.account && it.region == call.caller.region)
            .filter(|it| images.contains(it.image.as_str()))
            .filter(|it| scope.covers(it, call.now))
            .collect();
        let (instances, next) = page.cut(instances, |instance| &instance.id);
        let mut xml = Xml::new();
        xml.list("imageReferenceSet", instances, |item, instance| {
            item.leaf("imageId", &instance.image)
                .leaf("resourceType", "ec2:Instance")
                .leaf(
                    "arn",
                    format!(
                        "arn:aws:ec2:{}:{}:instance/{}",
                        instance.region, instance.owner, instance.id
                    ),
                );
        })
        .option("nextToken", next);
        Ok(xml)
    })
}

/// Which resources are asked about.
struct Scope {
    instances: bool,
    /// Names of states; all but the end if there are none.
    states: Vec<String>,
}

impl Scope {
    fn parse(params: &Params) -> Result<Self, AwsError> {
        let all = params.bool("IncludeAllResourceTypes")? == Some(true);
        let kinds = params.structs("ResourceType");
        if !all && kinds.is_empty() {
            return Err(AwsError::new(
                "MissingParameter",
                "Either IncludeAllResourceTypes or ResourceTypes must be specified",
            ));
        }
        let mut scope = Self {
            instances: all,
            states: Vec::new(),
        };
        for kind in &kinds {
            let name = kind.required("ResourceType")?;
            if !KINDS.contains(&name) {
                return Err(kind.invalid("ResourceType", name, &KINDS.join(", ")));
            }
            scope.instances |= name == "ec2:Instance";
            for option in kind.structs("ResourceTypeOption") {
                scope.option(name, &option)?;
            }
        }
        Ok(scope)
    }

    fn option(&mut self, kind: &str, option: &Params) -> Result<(), AwsError> {
        let name = option.required("OptionName")?;
        let values = option.list("OptionValue");
        if values.is_empty() {
            option.required("OptionValue")?;
        }
        let fits = |value: &str| match (kind, name) {
            ("ec2:Instance", "state-name") => Some(STATES.contains(&value)),
            ("ec2:LaunchTemplate", "version-depth") => Some(
                value
                    .parse()
                    .is_ok_and(|depth: u32| (1..=10_000).contains(&depth)),
            ),
            _ => None,
        };
        for value in values {
            match fits(value) {
                Some(true) => {}
                Some(false) => {
                    return Err(option.invalid("OptionValue", value, &format!("not for {name}")));
                }
                None => {
                    return Err(AwsError::new(
                        "InvalidParameterCombination",
                        format!("The option {name} is not valid for {kind}"),
                    ));
                }
            }
            if kind == "ec2:Instance" {
                self.states.push(value.to_owned());
            }
        }
        Ok(())
    }

    fn covers(&self, instance: &Instance, now: OffsetDateTime) -> bool {
        let state = instance.state.name(now);
        self.instances
            && if self.states.is_empty() {
                state != StateName::TERMINATED
            } else {
                self.states.iter().any(|name| name == state.name)
            }
    }
}

//! `DescribeImages`.

use super::{filters, xml};
use crate::ec2::call::{Answer, Call};
use crate::ec2::filter::Filters;
use crate::ec2::lookup;
use crate::ec2::page::Page;
use emulator_protocol::{Account, AwsError, Xml};
use emulator_state::world::{Image, World};
use std::collections::BTreeMap;
use time::{Duration, OffsetDateTime};

/// A launch is reported this long after it.
const LAUNCH_REPORT: Duration = Duration::hours(24);

/// Aliases of owners that have no account here.
const ALIASES: [&str; 3] = ["amazon", "aws-backup-vault", "aws-marketplace"];

/// Lists images that the caller may launch.
pub fn describe(call: &Call<'_>) -> Answer {
    let query = Query::parse(call)?;
    call.services.store.read(|world| {
        let images = query.run(world)?;
        call.dry_run()?;
        let launches = launches(world, call.now);
        let (images, next) = query.page.cut(images, |image| &image.id);
        let mut answer = Xml::new();
        answer
            .list("imagesSet", images, |item, image| {
                let launched = launches.get(image.id.as_str()).copied();
                xml::write(item, image, call.caller, call.now, launched);
            })
            .option("nextToken", next);
        Ok(answer)
    })
}

/// When each image was last launched, of launches that are reported by now.
pub fn launches(world: &World, now: OffsetDateTime) -> BTreeMap<&str, OffsetDateTime> {
    let mut last: BTreeMap<&str, OffsetDateTime> = BTreeMap::new();
    for instance in world.instances.values() {
        if instance.launched + LAUNCH_REPORT > now {
            continue;
        }
        last.entry(instance.image.as_str())
            .and_modify(|time| *time = (*time).max(instance.launched))
            .or_insert(instance.launched);
    }
    last
}

/// Whose images.
enum Who {
    Account(Account),
    /// `all`: public ones.
    All,
    /// An alias that nobody has.
    Nobody,
}

struct Query<'a> {
    call: &'a Call<'a>,
    ids: Vec<&'a str>,
    owners: Vec<Who>,
    executable_by: Vec<Who>,
    filters: Filters,
    deprecated: bool,
    disabled: bool,
    page: Page,
}

impl<'a> Query<'a> {
    fn parse(call: &'a Call<'a>) -> Result<Self, AwsError> {
        let params = call.params;
        let account = |text: &str| match text {
            "self" => Ok(Who::Account(call.caller.account.clone())),
            text => Account::parse(text).map(Who::Account).ok_or_else(|| {
                AwsError::new(
                    "InvalidUserID.Malformed",
                    format!("Invalid user id: \"{text}\""),
                )
            }),
        };
        Ok(Self {
            call,
            ids: params.list("ImageId"),
            owners: params
                .list("Owner")
                .into_iter()
                .map(|text| match text {
                    alias if ALIASES.contains(&alias) => Ok(Who::Nobody),
                    text => account(text),
                })
                .collect::<Result<_, _>>()?,
            executable_by: params
                .list("ExecutableBy")
                .into_iter()
                .map(|text| match text {
                    "all" => Ok(Who::All),
                    text => account(text),
                })
                .collect::<Result<_, _>>()?,
            filters: Filters::parse(params, &filters::KNOWN)?,
            deprecated: params.bool("IncludeDeprecated")? == Some(true),
            disabled: params.bool("IncludeDisabled")? == Some(true),
            page: Page::parse(params, 5..=1000)?,
        })
    }

    fn run(&self, world: &'a World) -> Result<Vec<&'a Image>, AwsError> {
        self.check_ids(world)?;
        let caller = self.call.caller;
        Ok(world
            .images
            .values()
            .filter(|image| image.region == caller.region && image.usable_by(&caller.account))
            .filter(|image| self.ids.is_empty() || self.ids.contains(&image.id.as_str()))
            .filter(|image| self.listed(image))
            .filter(|image| {
                self.filters.pass(self.tags(image), |name| {
                    filters::values(image, name, self.call.now)
                })
            })
            .collect())
    }

    fn check_ids(&self, world: &World) -> Result<(), AwsError> {
        let mut missing = Vec::new();
        for id in &self.ids {
            match lookup::image(world, self.call.caller, id) {
                Ok(_) => {}
                Err(error) if error.code == "InvalidAMIID.NotFound" => missing.push(*id),
                Err(error) => return Err(error),
            }
        }
        let (subject, verb) = match missing.len() {
            0 => return Ok(()),
            1 => ("id", "does"),
            _ => ("ids", "do"),
        };
        Err(AwsError::new(
            "InvalidAMIID.NotFound",
            format!(
                "The image {subject} '[{}]' {verb} not exist",
                missing.join(", ")
            ),
        ))
    }

    fn listed(&self, image: &Image) -> bool {
        let caller = self.call.caller;
        let owned = self.owners.is_empty()
            || self.owners.iter().any(|who| match who {
                Who::Account(account) => image.owner == *account,
                Who::All | Who::Nobody => false,
            });
        let executable = self.executable_by.is_empty()
            || self.executable_by.iter().any(|who| match who {
                Who::Account(account) => image.permissions.accounts.contains(account),
                Who::All => image.permissions.public,
                Who::Nobody => false,
            });
        // A deprecated image is there for its owner, and for who knows its id.
        let deprecated = image
            .deprecation()
            .is_some_and(|at| at <= self.call.now && image.owner != caller.account)
            && self.ids.is_empty()
            && !self.deprecated;
        let disabled = image.state == emulator_state::world::ImageState::Disabled && !self.disabled;
        owned && executable && !deprecated && !disabled
    }

    /// Others' tags are not seen.
    fn tags<'i>(&self, image: &'i Image) -> &'i emulator_state::world::Tags {
        static NONE: emulator_state::world::Tags = emulator_state::world::Tags::new();
        if image.owner == self.call.caller.account {
            &image.tags
        } else {
            &NONE
        }
    }
}

//! `uploader publish`

mod region;
mod sources;

use super::Failure;
use super::aws_args::AwsArgs;
use super::convert::AmiArgs;
use super::image_args::{ImageArgs, after_image, describe_image};
use super::interrupt::interruptible;
use super::push::LimitArgs;
use super::regions::{Regions, at_once};
use super::table::{Row, Table};
use clap::{Args, ValueEnum};
use futures_util::future::join_all;
use region::{Part, Region, Work};
use sources::{Announcer, sources};
use std::io::Write;
use std::sync::Arc;
use uploader::Class;
use uploader::regions::{Capabilities, Choice, RegionVault, Via, choose};

/// Send an image to the vault and make an AMI of it, in one go
///
///   uploader publish web.pack
///   uploader publish --build ./server --image-version 1.4
///   uploader publish disk.img --name web --boot-mode uefi --region us-east-1 --region eu-west-1
///
/// It is uploader push, and then uploader convert: what the vault has already is not sent, and a
/// converter is launched if none is there to make the AMI. Ctrl-C during the push keeps what was
/// sent, and the same command goes on from there; later it ends the waiting, not the request.
///
/// An AMI that this vault made of the same content, and that has the name, version, description, tags
/// and key that are asked for, is the result: no other is made, unless --again says so. So the same
/// command goes on where it failed, and leaves the rest as it is.
///
/// With several regions, all are worked on at once. A region that has a vault and a converter (one
/// that runs, or its AMI) gets the image and makes its AMI. To every other one, EC2 copies the AMI of
/// the first that makes one, encrypted with --kms-key, the vault's key there, or the account's own for
/// volumes. Which and why is said, and --via decides it for all but the first. A region that fails does
/// not hold up the others.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    mut_arg("input", describe_image),
    mut_arg("command", after_image)
)]
pub(crate) struct Publish {
    #[command(flatten)]
    image: ImageArgs,
    #[command(flatten, next_help_heading = "AMI")]
    ami: AmiArgs,
    #[command(flatten, next_help_heading = "Push")]
    limits: LimitArgs,
    /// How the regions after the first get their AMI [default: convert where there is a vault with a
    /// converter, else copy]
    #[arg(long, value_name = "WAY", value_enum)]
    via: Option<Way>,
    /// Make an AMI also where one is there already that is as asked for
    #[arg(long)]
    again: bool,
    /// Say what would be sent and requested, and do neither
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// How an AMI gets into a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    /// Send the image there, and have it made there
    Convert,
    /// Have EC2 copy the first region's
    Copy,
}

impl Publish {
    pub(crate) async fn run(&self, aws: &AwsArgs, out: &mut impl Write) -> Result<(), Failure> {
        let image = Arc::new(self.image.open()?);
        interruptible(async |cancel| {
            let (mut regions, mut vaults) = (Vec::new(), Vec::new());
            // First all that can be wrong, then the first change.
            for place in aws.places().await? {
                let spec = self.ami.spec(self.ami.key(&place).await?);
                let fleet = self.ami.fleet(aws, &place)?;
                let vault = RegionVault {
                    vault: place.vault.clone(),
                    ami: spec,
                };
                vaults.push(vault.clone());
                regions.push(Region {
                    place,
                    vault,
                    fleet,
                });
            }
            let via = self.via.map(|way| match way {
                Way::Convert => Via::Convert,
                Way::Copy => Via::Copy,
            });
            if let (Some(Via::Copy), true, [_, other, ..]) = (via, self.ami.is_no_wait(), &*regions)
            {
                return Err(no_copy(&other.place.vault.session.region));
            }
            let work = Work {
                ami: self.ami.clone(),
                image: image.clone(),
                limits: self.limits.limits().among(regions.len()),
                vaults,
                is_dry: self.dry_run,
                is_again: self.again,
                cancel,
            };
            let table = Table {
                regions: published(work, regions, via).await,
                is_dry: self.dry_run,
                again: "the same command goes on with these, and leaves the others as they are",
            };
            table.print(self.json, out)
        })
        .await
    }
}

/// Works on all regions at once.
async fn published(work: Work, regions: Vec<Region>, via: Option<Via>) -> Regions<Row> {
    let parts = parts(&regions, via).await;
    let work = Arc::new(work);
    at_once(regions.into_iter().zip(parts).map(|(region, part)| {
        let name = region.place.vault.session.region.clone();
        let work = work.clone();
        (name, async move { region.publish(&work, part).await })
    }))
    .await
}

/// Each region's part; or why that is not known, which holds up no other region.
async fn parts(regions: &[Region], via: Option<Via>) -> Vec<Result<Part, Failure>> {
    let is_by_rule = via.is_none() && regions.len() > 1;
    let asked = regions.iter().map(async |region| {
        if is_by_rule {
            region.capabilities().await
        } else {
            // What it lacks is said by the work itself.
            Ok(Capabilities::default())
        }
    });
    let asked = join_all(asked).await;
    let known = asked
        .iter()
        .map(|answer| answer.as_ref().copied().unwrap_or_default());
    let known: Vec<Capabilities> = known.collect();
    let (sources, announcers) = sources(regions.len());
    let chosen = choose(&known, via).into_iter().zip(announcers);
    let part = |(choice, announcer): (Option<Choice>, Announcer)| match choice {
        Some(choice) if choice.via == Via::Copy => Part::Copy {
            choice,
            sources: sources.clone(),
        },
        choice => Part::Convert { choice, announcer },
    };
    asked
        .into_iter()
        .zip(chosen.map(part))
        .map(|(answer, part)| answer.map(|_| part))
        .collect()
}

/// A copy of what is not waited for.
fn no_copy(region: &str) -> Failure {
    let what = format!("{region}: a copy needs the AMI, which --no-wait does not wait for");
    let hint = "leave out --no-wait, or give --via convert";
    Failure::new(Class::Input, what).hint(hint)
}

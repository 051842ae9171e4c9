//! `uploader converter bootstrap`

use super::super::Failure;
use super::super::aws_args::{AwsArgs, Place};
use super::super::convert::random;
use super::super::interrupt::interruptible;
use super::super::regions::{InRegion, at_once};
use super::make_image::MakeImage;
use super::prune::{self, Pruned};
use super::{now, print_regions};
use clap::Args;
use cli_support::{Line, say};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;
use uploader::Class;
use uploader::blocks::Limits;
use uploader::converter_ami::bootstrap::{self, Done, Image, Plan};
use uploader::converter_ami::current::{Current, Found};
use uploader::image::ImageDigest;

/// Put the converter's AMI into the account, or a newer one
///
///   uploader converter bootstrap
///   uploader converter bootstrap --dry-run                    says what it would do
///   uploader converter bootstrap --region us-east-1 --region eu-west-1
///
/// It builds the converter's image of this program, puts its blocks into a snapshot that is encrypted
/// with the vault's key, by the EBS direct API from here, and registers it as an AMI. If the AMI of
/// this very image is there, there is nothing to do; if another is, only the blocks that differ are
/// sent, and the other is deregistered unless an instance runs of it (uploader converter prune does
/// that later). The AMI of a newer program stays, unless --force says otherwise. Which AMI it is, is
/// written down in the vault: what has its tags only is not believed.
///
/// With several regions, all are worked on at once, and a region that fails does not hold up the others:
/// each has its result or its error, and the exit code is the highest of them.
///
/// Ctrl-C and errors leave nothing. What is left by one that was killed, prune takes away.
#[derive(Clone, Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Bootstrap {
    #[command(flatten)]
    image: MakeImage,
    /// Blocks that are put at the same time, at most, in all regions together
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: u16,
    /// Replace the AMI of a newer program, too
    #[arg(long)]
    force: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What came of it in one region, as far as it got.
#[derive(Default)]
struct Outcome {
    /// In a dry run.
    planned: Option<Plan>,
    done: Option<Done>,
    pruned: Option<Pruned>,
}

impl Bootstrap {
    pub(super) async fn run(&self, aws: &AwsArgs, out: &mut impl Write) -> Result<(), Failure> {
        interruptible(async |cancel| {
            let places = aws.places().await?;
            let image = Arc::new(self.built(&cancel).await?);
            let limits = Limits {
                workers: (usize::from(self.workers) / places.len().max(1)).max(1),
                ..Limits::default()
            };
            let regions = at_once(places.into_iter().map(|place| {
                let (this, image, cancel) = (self.clone(), image.clone(), cancel.clone());
                let region = place.vault.session.region.clone();
                let made = async move {
                    let mut it = InRegion::new(&place, Outcome::default());
                    let done = this.at(&place, &image, &limits, &cancel, &mut it.what);
                    let done = done.await;
                    it.ended(&place, done)
                };
                (region, made)
            }))
            .await;
            match regions.interrupted().as_slice() {
                [] => {}
                _ if regions.is_one() => say!("uploader: interrupted; nothing is left of it"),
                them => {
                    let them = them.join(", ");
                    say!("uploader: interrupted; nothing is left of it in {them}");
                }
            }
            if self.json {
                print_regions(out, &regions.json(|it| self.json(&image, it)))?;
            } else {
                let is_one = regions.is_one();
                regions.print(out, |it| it.what.text(&it.region, is_one))?;
            }
            regions.end("the same command makes what is missing, and leaves the others as they are")
        })
        .await
    }

    /// Builds the image into a directory that goes when this is over.
    async fn built(&self, cancel: &CancellationToken) -> Result<Image, Failure> {
        let failed = |error| Failure::new(Class::Surroundings, format!("temporary files: {error}"));
        let dir = tempfile::tempdir().map_err(failed)?;
        let (path, spool) = (dir.path().join("pack"), dir.path().to_owned());
        let made = self.image.make(None, Some(path), spool, cancel).await?;
        let Some((path, manifest)) = made.written.pack else {
            return Err(Failure::new(Class::Failed, "the image has no pack"));
        };
        // Open, it can be read as long as it takes.
        let pack = Arc::new(File::open(path).map_err(failed)?);
        Ok(Image {
            digest: ImageDigest::of(&manifest),
            manifest,
            pack,
            program_version: made.program.version,
            program_sha256: made.program.sha256,
        })
    }

    async fn at(
        &self,
        place: &Place,
        image: &Image,
        limits: &Limits,
        cancel: &CancellationToken,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        let vault = &place.vault;
        let plan = bootstrap::plan(vault, image, self.force).await?;
        if self.dry_run {
            outcome.planned = Some(plan);
            return Ok(());
        }
        let blocks = plan.make.as_ref().map(|it| it.blocks);
        if blocks.is_some() {
            place.say_who();
        }
        let line = Line::count(place.label("blocks put"), blocks.unwrap_or(0) as u64);
        let seen = AtomicU64::new(0);
        let progress = |done: u64| {
            line.advance(done.saturating_sub(seen.swap(done, Ordering::Relaxed)));
        };
        let done = bootstrap::carry_out(
            vault,
            image,
            plan,
            limits,
            random()?,
            now(),
            &progress,
            cancel,
        )
        .await;
        line.finish();
        let done = outcome.done.insert(done?);
        if !done.is_new {
            place.say(&format!("{} is of this image already", done.current.ami));
        }
        let replaced = done.before.as_ref().map(|it| it.ami.as_str());
        let pruned = prune::pruned(place, false, replaced, false).await?;
        pruned.say(place);
        outcome.pruned = Some(pruned);
        Ok(())
    }

    fn json(&self, image: &Image, outcome: &Outcome) -> Value {
        let mut all = json!({
            "digest": image.digest,
            "program_version": image.program_version,
            "program_sha256": image.program_sha256,
        });
        if self.dry_run {
            let planned = outcome.planned.as_ref();
            let make = planned.map(|it| it.make.as_ref());
            all["ami"] = json!(planned.and_then(ami).map(|it| &it.ami));
            all["would_make"] = json!(make.map(|it| it.is_some()));
            all["parent"] = json!(make.flatten().map(|it| &it.parent));
            all["blocks"] = json!(make.map(|it| it.map_or(0, |it| it.blocks)));
        } else {
            let done = outcome.done.as_ref();
            let before = done.and_then(|it| it.before.as_ref());
            all["ami"] = json!(done.map(|it| &it.current.ami));
            all["snapshot"] = json!(done.map(|it| &it.current.snapshot));
            all["made"] = json!(done.map(|it| it.is_new));
            all["replaces"] = json!(before.map(|it| &it.ami));
            all["pruned"] = json!(outcome.pruned.as_ref().map(Pruned::json));
        }
        all
    }
}

impl Outcome {
    /// Its line, where it did not fail.
    fn text(&self, region: &str, is_one: bool) -> Option<String> {
        if let Some(done) = &self.done {
            let ami = &done.current.ami;
            return Some(match is_one {
                true => ami.clone(),
                false => format!("{ami} {region}"),
            });
        }
        let place = match is_one {
            true => String::new(),
            false => format!(" in {region}"),
        };
        let plan = self.planned.as_ref()?;
        Some(match (&plan.make, ami(plan)) {
            (None, Some(it)) => format!("{} is there{place}: nothing to do", it.ami),
            (None, None) => format!("nothing to do{place}"),
            (Some(make), before) => {
                let base = match &make.parent {
                    Some(parent) => format!(" on {parent}"),
                    None => String::new(),
                };
                let before = match before {
                    Some(it) => format!(", in the place of {}", it.ami),
                    None => String::new(),
                };
                let blocks = make.blocks;
                format!("would make an AMI{place}: {blocks} blocks{base}{before}")
            }
        })
    }
}

/// The AMI that there is.
fn ami(plan: &Plan) -> Option<&Current> {
    match &plan.found {
        Found::Available(it) | Found::Pending(it) => Some(it),
        Found::None | Found::Gone(_) => None,
    }
}

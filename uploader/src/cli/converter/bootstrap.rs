//! `uploader converter bootstrap`

use super::super::Failure;
use super::super::aws_args::{AwsArgs, Place};
use super::super::convert::random;
use super::super::interrupt::interruptible;
use super::super::progress::Line;
use super::make_image::MakeImage;
use super::prune::{self, Pruned};
use super::{now, print_regions};
use clap::Args;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;
use uploader::Class;
use uploader::blocks::Limits;
use uploader::converter::bootstrap::{self, Done, Image, Plan};
use uploader::converter::current::{Current, Found};
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
/// Ctrl-C and errors leave nothing. What is left by one that was killed, prune takes away.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Bootstrap {
    #[command(flatten)]
    image: MakeImage,
    /// Blocks that are put at the same time, at most
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

/// What came of it in one region.
struct Row {
    region: String,
    what: What,
}

enum What {
    Planned(Plan),
    Done(Done, Pruned),
}

impl Bootstrap {
    pub(super) async fn run(&self, aws: &AwsArgs, out: &mut impl Write) -> Result<(), Failure> {
        interruptible(async |cancel| {
            let places = aws.places().await?;
            let image = self.built(&cancel).await?;
            let mut rows = Vec::new();
            for place in &places {
                let what = self.at(place, &image, &cancel).await?;
                let region = place.session.region.clone();
                rows.push(Row { region, what });
            }
            self.print(&image, &rows, out)
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
        cancel: &CancellationToken,
    ) -> Result<What, Failure> {
        let Place { session, names, .. } = place;
        let plan = bootstrap::plan(session, names, image, self.force).await?;
        if self.dry_run {
            return Ok(What::Planned(plan));
        }
        let blocks = plan.make.as_ref().map(|it| it.blocks);
        if blocks.is_some() {
            place.say_who();
        }
        let limits = Limits {
            workers: self.workers.into(),
            ..Limits::default()
        };
        let line = Line::count("blocks put", blocks.unwrap_or(0) as u64);
        let seen = AtomicU64::new(0);
        let progress = |done: u64| {
            line.advance(done.saturating_sub(seen.swap(done, Ordering::Relaxed)));
        };
        let done = bootstrap::carry_out(
            session,
            names,
            image,
            plan,
            &limits,
            random()?,
            now(),
            &progress,
            cancel,
        )
        .await;
        line.finish();
        let done = done?;
        let replaced = done.before.as_ref().map(|it| it.ami.as_str());
        let pruned = prune::pruned(place, false, replaced, false).await?;
        Ok(What::Done(done, pruned))
    }

    fn print(&self, image: &Image, rows: &[Row], out: &mut impl Write) -> Result<(), Failure> {
        if self.json {
            let regions: Vec<Value> = rows.iter().map(|row| row.json(image)).collect();
            return print_regions(out, &regions);
        }
        for row in rows {
            row.print(out, rows.len() > 1).map_err(Failure::stdout)?;
        }
        Ok(())
    }
}

impl Row {
    fn json(&self, image: &Image) -> Value {
        let mut all = json!({
            "region": self.region,
            "digest": image.digest,
            "program_version": image.program_version,
            "program_sha256": image.program_sha256,
        });
        match &self.what {
            What::Planned(plan) => {
                all["ami"] = json!(ami(plan).map(|it| &it.ami));
                all["would_make"] = json!(plan.make.is_some());
                all["parent"] = json!(plan.make.as_ref().map(|it| &it.parent));
                all["blocks"] = json!(plan.make.as_ref().map_or(0, |it| it.blocks));
            }
            What::Done(done, pruned) => {
                all["ami"] = json!(done.current.ami);
                all["snapshot"] = json!(done.current.snapshot);
                all["made"] = json!(done.is_new);
                all["replaces"] = json!(done.before.as_ref().map(|it| &it.ami));
                all["pruned"] = pruned.json();
            }
        }
        all
    }

    fn print(&self, out: &mut impl Write, several: bool) -> std::io::Result<()> {
        let place = match several {
            true => format!(" in {}", self.region),
            false => String::new(),
        };
        match &self.what {
            What::Planned(plan) => match (&plan.make, ami(plan)) {
                (None, Some(it)) => writeln!(out, "{} is there{place}: nothing to do", it.ami),
                (None, None) => writeln!(out, "nothing to do{place}"),
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
                    writeln!(
                        out,
                        "would make an AMI{place}: {blocks} blocks{base}{before}"
                    )
                }
            },
            What::Done(done, pruned) => {
                let ami = &done.current.ami;
                if !done.is_new {
                    say!("uploader: {ami} is of this image already");
                }
                pruned.say();
                match several {
                    true => writeln!(out, "{ami} {}", self.region),
                    false => writeln!(out, "{ami}"),
                }
            }
        }
    }
}

/// The AMI that there is.
fn ami(plan: &Plan) -> Option<&Current> {
    match &plan.found {
        Found::Available(it) | Found::Pending(it) => Some(it),
        Found::None | Found::Gone(_) => None,
    }
}

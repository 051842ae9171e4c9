//! `uploader push`

use super::Failure;
use super::aws_args::{AwsArgs, Place};
use super::image_args::{ImageArgs, after_image, describe_image};
use super::interrupt::interruptible;
use super::regions::{InRegion, Regions, at_once};
use clap::Args;
use cli_support::{Line, say};
use imgtool::pack::PackRecord;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use uploader::image::ImageDigest;
use uploader::push::{self, Image, Limits, Plan, PushError, Pushed, Step};

/// What is said after Ctrl-C.
pub(crate) const KEPT: &str =
    "interrupted; parts that were sent are kept, and the same command goes on from there";

/// Send an image to the vault: what the vault lacks of it
///
///   uploader push web.pack                       imgtool's pack; its manifest is web.pack.json
///   uploader push disk.img --name web --boot-mode bios --boot-mode uefi
///   uploader push --build ./server               what imgtool build makes, without a file
///   uploader push web.pack --dry-run             what would be sent, and nothing is
///   uploader push web.pack --region us-east-1 --region eu-west-1
///
/// Blocks that an earlier version of the same name has are not sent again. Every block is checked
/// against its digest before it leaves, and S3 checks each part: a pack that is not what its
/// manifest says leaves nothing in the vault. The image is in the vault once its manifest is, which
/// comes last.
///
/// A push that was interrupted, even killed, goes on where it was when it is started again. Two
/// pushes of one image do no harm. Ctrl-C ends in good order, a second one at once.
///
/// With several regions, a pack is sent to all of them at once, a raw image or a build to one after
/// the other. A region that fails does not hold up the others, and the same command goes on there: each
/// has its result or its error, and the exit code is the highest of them.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    mut_arg("input", describe_image),
    mut_arg("command", after_image)
)]
pub(crate) struct Push {
    #[command(flatten)]
    image: ImageArgs,
    #[command(flatten)]
    limits: LimitArgs,
    /// Say what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What a push may use.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct LimitArgs {
    /// Threads that read, check and compress [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Requests at the same time, at most; fewer while S3 throttles
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    requests: u16,
    /// MiB of parts in memory at the same time
    #[arg(long, value_name = "MIB", default_value_t = 192, value_parser = clap::value_parser!(u32).range(16..=65536))]
    memory: u32,
}

impl LimitArgs {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            jobs: self.jobs.map_or_else(
                || std::thread::available_parallelism().map_or(1, |it| it.get()),
                usize::from,
            ),
            requests: self.requests.into(),
            memory: u64::from(self.memory) << 20,
            seed: fastrand::u64(..),
        }
    }
}

impl Push {
    pub(crate) async fn run(&self, aws: &AwsArgs, out: &mut impl Write) -> Result<(), Failure> {
        // Until here Ctrl-C just ends the program: it has changed nothing.
        let image = Arc::new(self.image.open()?);
        interruptible(async |cancel| {
            let places = aws.places().await?;
            let work = Work {
                image: image.clone(),
                limits: self.limits.limits(),
                is_dry: self.dry_run,
                cancel,
            };
            let regions = match &*image {
                Image::Pack(_) => pushed_at_once(work, places).await,
                // All of it is read for each vault, which takes all processors.
                Image::Disk(_) => pushed_in_turn(&work, &places).await,
            };
            if !regions.interrupted().is_empty() {
                say!("uploader: {KEPT}");
            }
            print(&image, &regions, self.json, out)?;
            regions.end("the same command goes on there, and sends nothing to the others")
        })
        .await
    }
}

/// What is to be done in all regions.
#[derive(Clone)]
struct Work {
    image: Arc<Image>,
    limits: Limits,
    is_dry: bool,
    cancel: CancellationToken,
}

/// What happened, or would, in one region, as far as it got.
#[derive(Debug, Default)]
struct Outcome {
    bucket: String,
    planned: Option<Planned>,
    /// `None` in a dry run.
    pushed: Option<Pushed>,
}

#[derive(Debug)]
struct Planned {
    name: String,
    digest: ImageDigest,
    /// Bytes that are to be sent: 0 if the vault has the image.
    to_send: u64,
    is_there: bool,
    packs: Vec<PackRecord>,
}

/// A pack is read by whoever sends it: nobody waits for another region.
async fn pushed_at_once(work: Work, places: Vec<Place>) -> Regions<Outcome> {
    let work = Work {
        limits: work.limits.among(places.len()),
        ..work
    };
    at_once(places.into_iter().map(|place| {
        let (region, work) = (place.vault.session.region.clone(), work.clone());
        let pushed = async move {
            let mut it = InRegion::new(&place, Outcome::of(&place));
            let done = work.push_to(&place, &mut it.what).await;
            it.ended(&place, done.map_err(Failure::from))
        };
        (region, pushed)
    }))
    .await
}

/// Each region is tried, unless the image itself is at fault.
async fn pushed_in_turn(work: &Work, places: &[Place]) -> Regions<Outcome> {
    let mut regions = Vec::new();
    let mut fault: Option<Failure> = None;
    for place in places {
        let mut it = InRegion::new(place, Outcome::of(place));
        if let Some(fault) = &fault {
            it.failure = Some(fault.clone());
            regions.push(it);
            continue;
        }
        let done = work.push_to(place, &mut it.what).await;
        let is_of_image = done.as_ref().is_err_and(PushError::is_of_image);
        let it = it.ended(place, done.map_err(Failure::from));
        fault = it.failure.clone().filter(|_| is_of_image);
        regions.push(it);
    }
    Regions(regions)
}

impl Work {
    /// Pushes to one region's vault.
    async fn push_to(&self, place: &Place, outcome: &mut Outcome) -> Result<(), PushError> {
        let Work {
            image,
            limits,
            cancel,
            ..
        } = self;
        let plan = plan(place, image, limits, cancel).await?;
        outcome.planned = Some(Planned {
            name: plan.name.clone(),
            digest: plan.digest,
            to_send: to_send(&plan),
            is_there: plan.delta.is_none(),
            packs: plan.packs.clone(),
        });
        if !self.is_dry {
            let pushed = send(place, image, plan, limits, cancel).await?;
            outcome.pushed = Some(pushed);
        }
        Ok(())
    }
}

/// Looks what one region's vault has of an image.
pub(crate) async fn plan(
    place: &Place,
    image: &Arc<Image>,
    limits: &Limits,
    cancel: &CancellationToken,
) -> Result<Plan, PushError> {
    let vault = &place.vault;
    let len = match &**image {
        Image::Disk(disk) => disk.content_len(),
        Image::Pack(_) => 0,
    };
    let line = Line::bytes(place.label("read"), len);
    let told = {
        let line = line.clone();
        Arc::new(move |step| {
            if let Step::Read(bytes) = step {
                line.advance(bytes);
            }
        })
    };
    let plan = push::plan(vault, image, limits.jobs, told, cancel).await;
    line.finish();
    plan
}

/// Sends what is planned.
pub(crate) async fn send(
    place: &Place,
    image: &Arc<Image>,
    plan: Plan,
    limits: &Limits,
    cancel: &CancellationToken,
) -> Result<Pushed, PushError> {
    let vault = &place.vault;
    if plan.delta.is_some() {
        place.say_who();
    }
    let line = Line::bytes(place.label("sent"), to_send(&plan));
    let told = {
        let line = line.clone();
        Arc::new(move |step| match step {
            Step::Sent(bytes) | Step::Found(bytes) => line.advance(bytes),
            Step::Read(_) => {}
        })
    };
    let pushed = push::send(vault, image, plan, limits, told, cancel).await;
    line.finish();
    pushed
}

/// Bytes that a vault lacks: 0 if it has the image.
fn to_send(plan: &Plan) -> u64 {
    let delta = plan.delta.as_ref();
    let pack = delta.and_then(|delta| delta.pack.as_ref());
    pack.map_or(0, |pack| pack.record.size)
}

fn print(
    image: &Image,
    regions: &Regions<Outcome>,
    as_json: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    if !as_json {
        return regions.print(out, |it| it.what.text());
    }
    let (name, digest) = match image {
        Image::Pack(pack) => (pack.manifest.name.as_str(), Some(pack.digest)),
        Image::Disk(disk) => {
            let mut planned = regions.0.iter().filter_map(|it| it.what.planned.as_ref());
            (disk.name(), planned.next().map(|it| it.digest))
        }
    };
    let all = json!({
        "name": name,
        "digest": digest,
        "regions": regions.json(Outcome::json),
    });
    writeln!(out, "{all}").map_err(Failure::stdout)
}

impl Outcome {
    fn of(place: &Place) -> Outcome {
        Outcome {
            bucket: place.vault.names.bucket(),
            ..Outcome::default()
        }
    }

    fn json(&self) -> Value {
        let (planned, pushed) = (self.planned.as_ref(), self.pushed.as_ref());
        let pack = |it: &PackRecord| json!({"digest": it.digest, "size": it.size});
        let packs = planned.map(|it| it.packs.iter().map(pack).collect::<Vec<_>>());
        json!({
            "bucket": self.bucket,
            "name": planned.map(|it| &it.name),
            "digest": planned.map(|it| it.digest),
            "already_stored": planned.map(|it| it.is_there),
            "bytes_to_send": planned.map(|it| it.to_send),
            "bytes_sent": pushed.map(|it| it.sent),
            "parts_resumed": pushed.map(|it| it.resumed),
            "packs": packs,
        })
    }

    /// Its line, where it did not fail.
    fn text(&self) -> Option<String> {
        let Planned {
            name,
            digest,
            to_send,
            is_there,
            ..
        } = self.planned.as_ref()?;
        let (image, bucket) = (format!("{name}@{digest}"), &self.bucket);
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        Some(match &self.pushed {
            _ if *is_there => format!("{image}: is in {bucket} already; nothing was sent"),
            None => format!("{image}: {} would be sent to {bucket}", mib(*to_send)),
            Some(pushed) if pushed.resumed > 0 => format!(
                "{image}: in {bucket}; {} were sent, {} parts were there from before",
                mib(pushed.sent),
                pushed.resumed
            ),
            Some(pushed) => format!("{image}: in {bucket}; {} were sent", mib(pushed.sent)),
        })
    }
}

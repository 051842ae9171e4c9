//! `uploader push`

use super::Failure;
use super::aws_args::{AwsArgs, Place};
use super::image_args::{ImageArgs, after_image, describe_image};
use super::interrupt::interruptible;
use super::progress::Line;
use clap::Args;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use uploader::push::{self, Image, Limits, Plan, PushError, Pushed};

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
        let limits = self.limits.limits();
        // Until here Ctrl-C just ends the program: it has changed nothing.
        let image = Arc::new(self.image.open()?);
        interruptible(async |cancel| {
            let mut results = Vec::new();
            for place in aws.places().await? {
                results.push(push_to(&place, &image, &limits, self.dry_run, &cancel).await?);
            }
            print(&results, self.json, out)
        })
        .await
    }
}

/// What happened, or would, in one region.
#[derive(Debug)]
pub(crate) struct Outcome {
    region: String,
    bucket: String,
    pub(crate) name: String,
    pub(crate) digest: String,
    /// Bytes that were to be sent: 0 if the vault has the image.
    pub(crate) to_send: u64,
    there: bool,
    /// `None` in a dry run.
    pushed: Option<Pushed>,
    packs: Vec<(String, u64)>,
}

/// Pushes to one region's vault.
pub(crate) async fn push_to(
    place: &Place,
    image: &Arc<Image>,
    limits: &Limits,
    dry_run: bool,
    cancel: &CancellationToken,
) -> Result<Outcome, Failure> {
    let Place { session, names } = place;
    let reading = match &**image {
        Image::Disk(disk) => Line::bytes("read", disk.content_len()),
        Image::Pack(_) => Line::bytes("read", 0),
    };
    let told = {
        let reading = reading.clone();
        Arc::new(move |bytes| reading.advance(bytes))
    };
    let plan = push::plan(session, names, image, limits.jobs, told, cancel).await;
    reading.finish();
    let plan = plan.map_err(interrupted)?;
    let mut outcome = Outcome {
        region: session.region.clone(),
        bucket: names.bucket(),
        name: plan.name.clone(),
        digest: plan.digest.to_string(),
        to_send: to_send(&plan),
        there: plan.delta.is_none(),
        pushed: None,
        packs: plan
            .packs
            .iter()
            .map(|it| (it.digest.clone(), it.size))
            .collect(),
    };
    if dry_run {
        return Ok(outcome);
    }
    if !outcome.there {
        place.say_who();
    }
    let sending = Line::bytes("sent", outcome.to_send);
    let told = {
        let sending = sending.clone();
        Arc::new(move |bytes| sending.advance(bytes))
    };
    let pushed = push::send(session, names, image, plan, limits, told, cancel).await;
    sending.finish();
    outcome.pushed = Some(pushed.map_err(interrupted)?);
    Ok(outcome)
}

fn to_send(plan: &Plan) -> u64 {
    let delta = plan.delta.as_ref();
    let pack = delta.and_then(|delta| delta.pack.as_ref());
    pack.map_or(0, |pack| pack.record.size)
}

/// Ctrl-C is told in its own words.
fn interrupted(error: PushError) -> Failure {
    match error {
        PushError::Interrupted | PushError::Image(push::ImageError::Interrupted) => {
            say!(
                "uploader: interrupted; parts that were sent are kept, and the same command goes on \
                 from there"
            );
            Failure::interrupted()
        }
        error => error.into(),
    }
}

fn print(results: &[Outcome], as_json: bool, out: &mut impl Write) -> Result<(), Failure> {
    if as_json {
        let first = results.first();
        let regions: Vec<Value> = results.iter().map(Outcome::json).collect();
        let all = json!({
            "name": first.map(|it| &it.name),
            "digest": first.map(|it| &it.digest),
            "regions": regions,
        });
        return writeln!(out, "{all}").map_err(Failure::stdout);
    }
    for result in results {
        writeln!(out, "{}", result.text()).map_err(Failure::stdout)?;
    }
    Ok(())
}

impl Outcome {
    /// Bytes of all packs of the image, which is about what its content is.
    pub(crate) fn size(&self) -> u64 {
        self.packs.iter().map(|(_, size)| size).sum()
    }

    pub(crate) fn json(&self) -> Value {
        let packs = self.packs.iter();
        let packs = packs.map(|(digest, size)| json!({"digest": digest, "size": size}));
        json!({
            "region": self.region,
            "bucket": self.bucket,
            "name": self.name,
            "digest": self.digest,
            "already_stored": self.there,
            "bytes_to_send": self.to_send,
            "bytes_sent": self.pushed.as_ref().map(|it| it.sent),
            "parts_resumed": self.pushed.as_ref().map(|it| it.resumed),
            "packs": packs.collect::<Vec<_>>(),
        })
    }

    fn text(&self) -> String {
        let Outcome {
            name,
            digest,
            bucket,
            ..
        } = self;
        let image = format!("{name}@{digest}");
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        if self.there {
            return format!("{image}: is in {bucket} already; nothing was sent");
        }
        match &self.pushed {
            None => format!("{image}: {} would be sent to {bucket}", mib(self.to_send)),
            Some(pushed) if pushed.resumed > 0 => format!(
                "{image}: in {bucket}; {} were sent, {} parts were there from before",
                mib(pushed.sent),
                pushed.resumed
            ),
            Some(pushed) => format!("{image}: in {bucket}; {} were sent", mib(pushed.sent)),
        }
    }
}

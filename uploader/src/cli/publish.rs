//! `uploader publish`

use super::Failure;
use super::aws_args::{AwsArgs, Place};
use super::convert::{AmiArgs, Asked, Row};
use super::follow::Followed;
use super::image_args::{ImageArgs, after_image, describe_image};
use super::interrupt::interruptible;
use super::push::{LimitArgs, Outcome, push_to};
use clap::{Args, ValueEnum};
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uploader::Class;
use uploader::agent::{AgentError, Clock, vault_key};
use uploader::push::{Image, Limits};
use uploader::regions::{Choice, Facts, Source, Via, choose, copy, has_vault};
use uploader::request::{ImageRef, Request};

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
/// With several regions, the first gets the image and makes its AMI. Each other region does the
/// same, or EC2 copies the first one's AMI there, encrypted with the vault's key there, or the
/// account's own for volumes: which and why is said, and --via decides it. A region that fails does
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
    /// How the regions after the first get their AMI [default: convert where that is cheaper and not
    /// slower, else copy]
    #[arg(long, value_name = "WAY", value_enum)]
    via: Option<Way>,
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

/// A region, and the key that was asked for there.
struct Goal {
    place: Place,
    key: Option<String>,
}

/// A region, and what came of it so far.
struct Stop {
    goal: Goal,
    row: Row,
    request: Option<Request>,
}

impl Publish {
    pub(crate) async fn run(&self, aws: &AwsArgs, out: &mut impl Write) -> Result<(), Failure> {
        let limits = self.limits.limits();
        let image = Arc::new(self.image.open()?);
        interruptible(async |cancel| {
            let mut goals = Vec::new();
            for place in aws.places().await? {
                // Before the first change.
                let key = self.ami.key(&place).await?;
                goals.push(Goal { place, key });
            }
            let mut goals = goals.into_iter();
            let Some(first) = goals.next() else {
                return Err(Failure::new(Class::Input, "no region"));
            };
            let began = Instant::now();
            let (pushed, request) = self.push(&first, &image, &limits, &cancel).await?;
            let seconds = began.elapsed().as_secs_f64();
            // Less than a mebibyte says nothing about the way to the vault.
            let rate = (pushed.to_send > 1 << 20 && !self.dry_run)
                .then(|| (pushed.to_send as f64 / seconds.max(0.001)) as u64);
            let mut stops = vec![Stop {
                row: Row::new(&first.place.session.region, None),
                goal: first,
                request: Some(request),
            }];
            for goal in goals {
                stops.push(self.stop(aws, goal, &image, &limits, rate, &cancel).await?);
            }
            let asked = self.make(aws, stops, &cancel).await?;
            asked.print(self.json, out)
        })
        .await
    }

    async fn push(
        &self,
        goal: &Goal,
        image: &Arc<Image>,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<(Outcome, Request), Failure> {
        let pushed = push_to(&goal.place, image, limits, self.dry_run, cancel).await?;
        let digest = pushed
            .digest
            .parse()
            .map_err(|error| Failure::of(Class::Failed, &error))?;
        let image = ImageRef {
            name: pushed.name.clone(),
            digest,
        };
        let request = self.ami.request(&goal.place, image, goal.key.clone())?;
        Ok((pushed, request))
    }

    /// Decides on a region after the first, and sends the image there if it is to be made there.
    async fn stop(
        &self,
        aws: &AwsArgs,
        goal: Goal,
        image: &Arc<Image>,
        limits: &Limits,
        rate: Option<u64>,
        cancel: &CancellationToken,
    ) -> Result<Stop, Failure> {
        let region = goal.place.session.region.clone();
        let mut stop = Stop {
            row: Row::new(&region, None),
            goal,
            request: None,
        };
        let choice = match self
            .choice(aws, &stop.goal.place, image, limits, rate, cancel)
            .await
        {
            Ok(choice) => choice,
            Err(failure) if cancel.is_cancelled() => return Err(failure),
            Err(failure) => {
                stop.row.failure = Some(failure);
                return Ok(stop);
            }
        };
        say!("uploader: {region}: {}: {}", choice.via, choice.why);
        if choice.via == Via::Copy && self.ami.is_no_wait() {
            return Err(Failure::new(
                Class::Input,
                format!("{region}: a copy needs the AMI, which --no-wait does not wait for"),
            )
            .hint(Some(
                "leave out --no-wait, or give --via convert".to_owned(),
            )));
        }
        if choice.via == Via::Convert {
            match self.push(&stop.goal, image, limits, cancel).await {
                Ok((_, request)) => stop.request = Some(request),
                Err(failure) if cancel.is_cancelled() => return Err(failure),
                Err(failure) => stop.row.failure = Some(failure),
            }
        }
        stop.row.choice = Some(choice);
        Ok(stop)
    }

    async fn choice(
        &self,
        aws: &AwsArgs,
        place: &Place,
        image: &Arc<Image>,
        limits: &Limits,
        rate: Option<u64>,
        cancel: &CancellationToken,
    ) -> Result<Choice, Failure> {
        let forced = self.via.map(|it| match it {
            Way::Convert => Via::Convert,
            Way::Copy => Via::Copy,
        });
        let mut facts = Facts {
            rate,
            ..Facts::default()
        };
        if forced.is_none() {
            facts.vault = has_vault(&place.session, &place.names).await?;
        }
        if facts.vault {
            facts.converter = self.ami.is_served(aws, place).await?;
            let would = push_to(place, image, limits, true, cancel).await?;
            facts.missing = would.to_send;
            facts.size = would.size();
        }
        Ok(choose(&facts, forced))
    }

    /// Has AMIs made where the image is, and then copied to where it is not.
    async fn make(
        &self,
        aws: &AwsArgs,
        stops: Vec<Stop>,
        cancel: &CancellationToken,
    ) -> Result<Asked, Failure> {
        let requests: Vec<(Place, Request)> = stops
            .iter()
            .filter_map(|it| Some((it.goal.place.clone(), it.request.clone()?)))
            .collect();
        let mut asked = self.ami.ask(aws, requests, self.dry_run, cancel).await?;
        let source = asked.rows.first().and_then(|row| {
            let request = row.request.as_ref()?;
            Some(Source {
                region: row.region.clone(),
                ami: row.followed.as_ref()?.ami.clone(),
                name: request.ami_name(),
                request: request.id,
            })
        });
        let mut made = std::mem::take(&mut asked.rows).into_iter();
        let mut copies = JoinSet::new();
        for (index, stop) in stops.into_iter().enumerate() {
            let mut row = stop.row;
            if stop.request.is_some()
                && let Some(there) = made.next()
            {
                row = Row {
                    choice: row.choice,
                    ..there
                };
            } else if row.failure.is_none() && !self.dry_run {
                let (source, cancel) = (source.clone(), cancel.clone());
                let patience = self.ami.patience();
                copies.spawn(async move {
                    (
                        index,
                        copied(stop.goal.place, source, patience, cancel).await,
                    )
                });
            }
            asked.rows.push(row);
        }
        while let Some(copied) = copies.join_next().await {
            let lost = |error| Failure::new(Class::Failed, format!("a thread is gone: {error}"));
            match copied.map_err(lost)? {
                (index, Ok(followed)) => asked.rows[index].followed = Some(followed),
                (index, Err(failure)) => asked.rows[index].failure = Some(failure),
            }
        }
        Ok(asked)
    }
}

/// Copies the first region's AMI.
async fn copied(
    place: Place,
    source: Option<Source>,
    patience: Duration,
    cancel: CancellationToken,
) -> Result<Followed, Failure> {
    let Some(source) = source else {
        return Err(Failure::new(
            Class::Failed,
            "there is no AMI in the first region to copy",
        ));
    };
    let Place { session, names } = &place;
    let key = match vault_key(session, names).await {
        Ok(key) => Some(key),
        Err(AgentError::NoKey { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let clock: Clock = Arc::new(OffsetDateTime::now_utc);
    let copied = copy(session, &source, key.as_deref(), patience, &clock, &cancel).await?;
    Ok(Followed {
        ami: copied.ami,
        snapshot: copied.snapshot,
    })
}

//! `uploader convert`

use super::Failure;
use super::aws_args::{AwsArgs, Place};
use super::follow::{Followed, Follower};
use super::interrupt::interruptible;
use super::keeper::{ConverterArgs, Keeper};
use super::snapshot_key::snapshot_key;
use clap::Args;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Write};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uploader::Class;
use uploader::converter::heartbeat::FRESH;
use uploader::regions::{Choice, Via};
use uploader::request::{self, AmiSpec, ImageRef, Request};
use uploader::store::find_image;

/// Make an AMI of an image in the vault
///
///   uploader convert web                          the newest image of that name
///   uploader convert web@2c26b46b                 one version, by its digest
///   uploader convert web --image-version 1.4 --ami-name web-1.4 --tag team=shop
///   uploader convert web --region us-east-1 --region eu-west-1
///   uploader convert web --no-wait                prints the request, and does not wait
///
/// It signs a request with the vault's signing key and sends it to the vault's queue, where a
/// converter takes it. If none is there, one is launched, which ends itself after --idle without a
/// request; with --no-launch, somebody else runs agents (uploader agent). One request gives one
/// AMI, whatever happens to converters. Ctrl-C ends the waiting, not the request: uploader requests
/// shows what becomes of it.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Convert {
    /// Name, digest (its first 8 digits or more), or NAME@DIGEST
    #[arg(value_name = "IMAGE")]
    image: String,
    #[command(flatten)]
    ami: AmiArgs,
    /// Say what would be requested, and request nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What the AMI is to be like, and how long to wait for it.
#[derive(Debug, Args)]
pub(crate) struct AmiArgs {
    /// Name of the AMI [default: the image's name with digits of digest and request]
    #[arg(long, value_name = "NAME")]
    ami_name: Option<String>,
    /// Description of the AMI
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A tag for AMI and snapshot; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag)]
    tag: Vec<(String, String)>,
    /// What this version of the image is called: a tag of AMI and snapshot
    #[arg(long, value_name = "TEXT")]
    image_version: Option<String>,
    /// Key that encrypts the snapshot: id, ARN or alias [default: the vault's]. Another than the
    /// vault's has to have the tag image-vault-snapshots=VAULT, which lets the converter use it
    #[arg(long, value_name = "KEY")]
    kms_key: Option<String>,
    /// Hours after which the request is refused, if no agent took it by then
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=168))]
    expires: u16,
    /// Don't wait for the AMI
    #[arg(long)]
    no_wait: bool,
    /// Seconds to wait for the AMI
    #[arg(long, value_name = "SECONDS", default_value_t = 7200)]
    timeout: u32,
    #[command(flatten)]
    converter: ConverterArgs,
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a tag is KEY=VALUE")?;
    request::check_tag(key, value).map_err(|error| error.to_string())?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Convert {
    pub(crate) async fn run(&self, aws: &AwsArgs, out: &mut impl Write) -> Result<(), Failure> {
        interruptible(async |cancel| {
            let mut requests = Vec::new();
            // First all that can be wrong, then the first change.
            for place in aws.places().await? {
                let found = find_image(&place.session, &place.names, &self.image).await?;
                let image = ImageRef {
                    name: found.name,
                    digest: found.digest,
                };
                let key = self.ami.key(&place).await?;
                let request = self.ami.request(&place, image, key)?;
                requests.push((place, request));
            }
            let asked = self.ami.ask(aws, requests, self.dry_run, &cancel).await?;
            asked.print(self.json, out)
        })
        .await
    }
}

/// What became of the requests.
pub(crate) struct Asked {
    pub(crate) rows: Vec<Row>,
    dry_run: bool,
}

/// What became of an image in one region.
pub(crate) struct Row {
    pub(crate) region: String,
    /// The request; none where nothing got that far, or the AMI is a copy.
    pub(crate) request: Option<Request>,
    pub(crate) followed: Option<Followed>,
    /// How the AMI got there, and why so, where there was a choice.
    pub(crate) choice: Option<Choice>,
    pub(crate) failure: Option<Failure>,
}

impl Row {
    pub(crate) fn new(region: &str, choice: Option<Choice>) -> Row {
        Row {
            region: region.to_owned(),
            request: None,
            followed: None,
            choice,
            failure: None,
        }
    }
}

impl AmiArgs {
    /// The key that was asked for, in one region: an ARN.
    pub(crate) async fn key(&self, place: &Place) -> Result<Option<String>, Failure> {
        match &self.kms_key {
            Some(key) => snapshot_key(place, key).await.map(Some),
            None => Ok(None),
        }
    }

    /// The request for one region.
    pub(crate) fn request(
        &self,
        place: &Place,
        image: ImageRef,
        kms_key: Option<String>,
    ) -> Result<Request, Failure> {
        let ami = AmiSpec {
            name: self.ami_name.clone(),
            description: self.description.clone(),
            version: self.image_version.clone(),
            tags: self.tag.iter().cloned().collect(),
            kms_key,
        };
        let life = time::Duration::hours(self.expires.into());
        let now = OffsetDateTime::now_utc();
        let request = Request::new(&place.names, image, ami, now, life, random()?);
        request
            .check()
            .map_err(|error| Failure::of(Class::Input, &error))?;
        Ok(request)
    }

    /// Signs and sends requests, sees to it that somebody takes them, and waits for what becomes of
    /// them, in all regions at once. One that fails does not hold up the others.
    pub(crate) async fn ask(
        &self,
        aws: &AwsArgs,
        requests: Vec<(Place, Request)>,
        dry_run: bool,
        cancel: &CancellationToken,
    ) -> Result<Asked, Failure> {
        // What can be wrong with a converter is said before anything is sent.
        let fleets = requests
            .iter()
            .map(|(place, _)| self.converter.fleet(aws, place))
            .collect::<Result<Vec<_>, _>>()?;
        let mut rows: Vec<Row> = requests
            .iter()
            .map(|(place, _)| Row::new(&place.session.region, None))
            .collect();
        // One line can be drawn at a time.
        let is_alone = requests.len() == 1;
        let mut followers = JoinSet::new();
        for (index, ((place, request), fleet)) in requests.into_iter().zip(fleets).enumerate() {
            rows[index].request = Some(request.clone());
            if dry_run {
                continue;
            }
            let follower = Follower {
                place,
                request,
                keeper: fleet.map(Keeper::new),
                patience: Duration::from_secs(self.timeout.into()),
                is_alone,
                cancel: cancel.clone(),
            };
            let no_wait = self.no_wait;
            followers.spawn(async move {
                let followed = match (follower.send().await, no_wait) {
                    (Err(failure), _) => Err(failure),
                    (Ok(()), true) => follower.settle().await.map(|()| None),
                    (Ok(()), false) => follower.follow().await.map(Some),
                };
                (index, followed)
            });
        }
        while let Some(followed) = followers.join_next().await {
            let lost = |error| Failure::new(Class::Failed, format!("a thread is gone: {error}"));
            match followed.map_err(lost)? {
                (index, Ok(followed)) => rows[index].followed = followed,
                (index, Err(failure)) => rows[index].failure = Some(failure),
            }
        }
        Ok(Asked { rows, dry_run })
    }

    /// Whether a converter is in a region, or can be launched there.
    pub(crate) async fn is_served(&self, aws: &AwsArgs, place: &Place) -> Result<bool, Failure> {
        let Some(fleet) = self.converter.fleet(aws, place)? else {
            // Somebody else sees to that.
            return Ok(true);
        };
        let is_there = fleet.look().await?.pulses.iter().any(|it| it.age <= FRESH);
        Ok(is_there || fleet.has_ami().await?)
    }

    /// Whether AMIs are not waited for.
    pub(crate) fn is_no_wait(&self) -> bool {
        self.no_wait
    }

    /// How long they are waited for.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout.into())
    }
}

impl Asked {
    /// Prints all of them, as one table; the first that failed is the failure.
    pub(crate) fn print(self, as_json: bool, out: &mut impl Write) -> Result<(), Failure> {
        let is_one = self.rows.len() == 1;
        if as_json {
            let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
            writeln!(out, "{}", json!({"regions": rows})).map_err(Failure::stdout)?;
        } else {
            for row in &self.rows {
                if let Some(line) = row.text(is_one, self.dry_run) {
                    writeln!(out, "{line}").map_err(Failure::stdout)?;
                }
            }
        }
        let failed: Vec<&str> = self
            .rows
            .iter()
            .filter(|it| it.failure.is_some())
            .map(|it| it.region.as_str())
            .collect();
        if !is_one && !failed.is_empty() {
            say!(
                "uploader: {} of {} regions failed ({}); the same command with only these regions \
                 goes on there, and what is sent is not sent again",
                failed.len(),
                self.rows.len(),
                failed.join(", ")
            );
        }
        let mut failures = self.rows.into_iter().filter_map(|it| it.failure);
        failures.next().map_or(Ok(()), Err)
    }
}

impl Row {
    fn json(&self) -> Value {
        let request = self.request.as_ref();
        json!({
            "region": self.region,
            "request": request.map(|it| it.id),
            "name": request.map(|it| &it.image.name),
            "digest": request.map(|it| it.image.digest),
            "ami_name": request.map(Request::ami_name),
            "ami": self.followed.as_ref().map(|it| &it.ami),
            "snapshot": self.followed.as_ref().map(|it| &it.snapshot),
            "expires": request.map(|it| it.expires.unix_timestamp()),
            "via": self.choice.as_ref().map(|it| it.via),
            "reason": self.choice.as_ref().map(|it| &it.why),
            "error": self.failure.as_ref().map(Failure::message),
        })
    }

    fn text(&self, is_one: bool, dry_run: bool) -> Option<String> {
        let region = &self.region;
        let name = self.request.as_ref().map(Request::ami_name);
        let name = name.unwrap_or_default();
        if let Some(failure) = &self.failure {
            return (!is_one).then(|| format!("failed {region} {}", failure.message()));
        }
        let line = match &self.followed {
            Some(Followed { ami, .. }) if is_one => ami.clone(),
            Some(Followed { ami, .. }) => format!("{ami} {region} {name}"),
            None if dry_run => match &self.choice {
                Some(Choice { via: Via::Copy, .. }) => format!("would copy the AMI to {region}"),
                _ => format!("would request {name} in {region}"),
            },
            None => {
                let id = self.request.as_ref().map(|it| it.id.to_string());
                format!("{} {region} {name}", id.unwrap_or_default())
            }
        };
        match &self.choice {
            Some(Choice { via, why }) if !is_one => {
                Some(format!("{} ({via}: {why})", line.trim_end()))
            }
            _ => Some(line.trim_end().to_owned()),
        }
    }
}

/// Sixteen bytes that nobody has had before.
pub(super) fn random() -> Result<[u8; 16], Failure> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut it| it.read_exact(&mut bytes))
        .map_err(|error| Failure::new(Class::Surroundings, format!("/dev/urandom: {error}")))?;
    Ok(bytes)
}

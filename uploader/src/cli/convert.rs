//! `uploader convert`

use super::Failure;
use super::aws_args::{AwsArgs, Place};
use super::follow::{Followed, Follower};
use super::interrupt::interruptible;
use super::keeper::{ConverterArgs, Keeper};
use super::regions::{InRegion, Regions, at_once};
use super::snapshot_key::snapshot_key;
use super::table::{Row, Table};
use clap::Args;
use std::fs::File;
use std::io::{Read, Write};
use std::time::Duration;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uploader::Class;
use uploader::fleet::Fleet;
use uploader::request::{self, AmiSpec, ImageRef, Request};
use uploader::vault::images::find_image;

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
#[derive(Clone, Debug, Args)]
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
                let found = find_image(&place.vault, &self.image).await?;
                let image = ImageRef {
                    name: found.name,
                    digest: found.digest,
                };
                let spec = self.ami.spec(self.ami.key(&place).await?);
                let request = self.ami.request(&place, image, spec)?;
                let fleet = self.ami.fleet(aws, &place)?;
                requests.push((place, fleet, request));
            }
            let table = Table {
                regions: self.carry_out(requests, &cancel).await,
                is_dry: self.dry_run,
                again: "the same command with only these regions asks again there, and there only",
            };
            table.print(self.json, out)
        })
        .await
    }

    /// Carries requests out in all regions at once. One that fails does not hold up the others.
    async fn carry_out(
        &self,
        requests: Vec<(Place, Option<Fleet>, Request)>,
        cancel: &CancellationToken,
    ) -> Regions<Row> {
        at_once(requests.into_iter().map(|(place, fleet, request)| {
            let (is_dry, ami, cancel) = (self.dry_run, self.ami.clone(), cancel.clone());
            let region = place.vault.session.region.clone();
            let carried_out = async move {
                let mut it = InRegion::new(&place, Row::default());
                it.what.asks(&request);
                let done = match is_dry {
                    true => Ok(None),
                    false => ami.carry_out(&place, fleet, request, &cancel).await,
                };
                let done = done.map(|followed| it.what.followed = followed);
                it.ended(&place, done)
            };
            (region, carried_out)
        }))
        .await
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

    /// What the AMI is to be like in one region, with the key that was asked for there.
    pub(crate) fn spec(&self, kms_key: Option<String>) -> AmiSpec {
        AmiSpec {
            name: self.ami_name.clone(),
            description: self.description.clone(),
            version: self.image_version.clone(),
            tags: self.tag.iter().cloned().collect(),
            kms_key,
        }
    }

    /// The request for one region.
    pub(crate) fn request(
        &self,
        place: &Place,
        image: ImageRef,
        ami: AmiSpec,
    ) -> Result<Request, Failure> {
        let life = time::Duration::hours(self.expires.into());
        let now = OffsetDateTime::now_utc();
        let request = Request::new(&place.vault.names, image, ami, now, life, random()?);
        request
            .check()
            .map_err(|error| Failure::of(Class::Input, &error))?;
        Ok(request)
    }

    /// What has to be there to take requests in a region; nothing if others see to that.
    pub(crate) fn fleet(&self, aws: &AwsArgs, place: &Place) -> Result<Option<Fleet>, Failure> {
        self.converter.fleet(aws, place)
    }

    /// Signs and sends a request, sees to it that somebody takes it, and waits for its AMI: none if
    /// that is not waited for.
    pub(crate) async fn carry_out(
        &self,
        place: &Place,
        fleet: Option<Fleet>,
        request: Request,
        cancel: &CancellationToken,
    ) -> Result<Option<Followed>, Failure> {
        let follower = Follower {
            place: place.clone(),
            request,
            keeper: fleet.map(|it| Keeper::new(place.clone(), it)),
            patience: self.patience(),
            cancel: cancel.clone(),
        };
        follower.send().await?;
        match self.no_wait {
            true => follower.settle().await.map(|()| None),
            false => follower.follow().await.map(Some),
        }
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

/// Sixteen bytes that nobody has had before.
pub(crate) fn random() -> Result<[u8; 16], Failure> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut it| it.read_exact(&mut bytes))
        .map_err(|error| Failure::new(Class::Surroundings, format!("/dev/urandom: {error}")))?;
    Ok(bytes)
}

//! `uploader convert`

use super::Failure;
use super::aws_args::{AwsArgs, Place};
use super::follow::{Followed, follow};
use super::interrupt::interruptible;
use super::snapshot_key::snapshot_key;
use clap::Args;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Write};
use std::time::Duration;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uploader::Class;
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
/// It signs a request with the vault's signing key and sends it to the vault's queue, where
/// `uploader agent` takes it. One request gives one AMI, whatever happens to agents. Ctrl-C ends
/// the waiting, not the request: uploader requests shows what becomes of it.
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
            let asked = self.ami.ask(requests, self.dry_run, &cancel).await?;
            asked.print(self.json, out)
        })
        .await
    }
}

/// What became of the requests.
pub(crate) struct Asked {
    rows: Vec<(String, Request, Option<Followed>)>,
    failure: Option<Failure>,
    dry_run: bool,
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

    /// Signs and sends requests, and waits for what becomes of them.
    pub(crate) async fn ask(
        &self,
        requests: Vec<(Place, Request)>,
        dry_run: bool,
        cancel: &CancellationToken,
    ) -> Result<Asked, Failure> {
        let mut asked = Asked {
            rows: Vec::new(),
            failure: None,
            dry_run,
        };
        if !dry_run {
            for (place, request) in &requests {
                place.say_who();
                let message = request::sign(&place.session, &place.names, request).await?;
                request::send(&place.session, &place.names, &message).await?;
                let Request { id, image, .. } = request;
                eprintln!("uploader: request {id} for {}@{}", image.name, image.digest);
            }
        }
        let patience = Duration::from_secs(self.timeout.into());
        for (place, request) in requests {
            let region = place.session.region.clone();
            let followed = if dry_run || self.no_wait {
                None
            } else {
                match follow(&place, &request, patience, cancel).await {
                    Ok(followed) => Some(followed),
                    Err(failure) => {
                        asked.failure.get_or_insert(failure);
                        None
                    }
                }
            };
            asked.rows.push((region, request, followed));
        }
        Ok(asked)
    }
}

impl Asked {
    /// Prints all of them; the first that failed is the failure.
    pub(crate) fn print(self, as_json: bool, out: &mut impl Write) -> Result<(), Failure> {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|(region, request, followed)| {
                json!({
                    "region": region,
                    "request": request.id,
                    "name": request.image.name,
                    "digest": request.image.digest,
                    "ami_name": request.ami_name(),
                    "ami": followed.as_ref().map(|it| &it.ami),
                    "snapshot": followed.as_ref().map(|it| &it.snapshot),
                    "expires": request.expires.unix_timestamp(),
                })
            })
            .collect();
        if as_json {
            writeln!(out, "{}", json!({"regions": rows})).map_err(Failure::stdout)?;
        } else {
            for (region, request, followed) in &self.rows {
                let (name, id) = (request.ami_name(), request.id);
                let line = match followed {
                    Some(Followed { ami, .. }) if self.rows.len() == 1 => ami.clone(),
                    Some(Followed { ami, .. }) => format!("{ami} {region} {name}"),
                    None if self.dry_run => format!("would request {name} in {region}"),
                    None if self.failure.is_none() => format!("{id} {region} {name}"),
                    None => continue,
                };
                writeln!(out, "{line}").map_err(Failure::stdout)?;
            }
        }
        self.failure.map_or(Ok(()), Err)
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

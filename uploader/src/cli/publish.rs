//! `uploader publish`

use super::Failure;
use super::aws_args::AwsArgs;
use super::convert::AmiArgs;
use super::image_args::{ImageArgs, after_image, describe_image};
use super::interrupt::interruptible;
use super::push::{LimitArgs, push_to};
use clap::Args;
use std::io::Write;
use std::sync::Arc;
use uploader::Class;
use uploader::request::ImageRef;

/// Send an image to the vault and make an AMI of it, in one go
///
///   uploader publish web.pack
///   uploader publish --build ./server --image-version 1.4
///   uploader publish disk.img --name web --boot-mode uefi --region us-east-1 --region eu-west-1
///
/// It is uploader push, and then uploader convert: what the vault has already is not sent, and an
/// agent (uploader agent) has to be there to make the AMI. Ctrl-C during the push keeps what was
/// sent, and the same command goes on from there; later it ends the waiting, not the request.
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
    /// Say what would be sent and requested, and do neither
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Publish {
    pub(crate) async fn run(&self, aws: &AwsArgs, out: &mut impl Write) -> Result<(), Failure> {
        let limits = self.limits.limits();
        let image = Arc::new(self.image.open()?);
        interruptible(async |cancel| {
            let mut places = Vec::new();
            for place in aws.places().await? {
                // Before the first change.
                let key = self.ami.key(&place).await?;
                places.push((place, key));
            }
            let mut requests = Vec::new();
            for (place, key) in places {
                let pushed = push_to(&place, &image, &limits, self.dry_run, &cancel).await?;
                let digest = pushed
                    .digest
                    .parse()
                    .map_err(|error| Failure::of(Class::Failed, &error))?;
                let image = ImageRef {
                    name: pushed.name,
                    digest,
                };
                let request = self.ami.request(&place, image, key)?;
                requests.push((place, request));
            }
            let asked = self.ami.ask(requests, self.dry_run, &cancel).await?;
            asked.print(self.json, out)
        })
        .await
    }
}

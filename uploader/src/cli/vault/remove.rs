//! `uploader vault remove`

use super::super::Failure;
use super::super::aws_args::{AwsArgs, Place};
use super::{heading, print_json};
use clap::Args;
use serde_json::json;
use std::io::Write;
use tokio_util::sync::CancellationToken;
use uploader::Class;
use uploader::vault::{Removal, Step, look_for_removal, removal, remove};

/// Take the whole vault away
///
///   uploader vault remove --dry-run        what would be removed, and what would stay
///   uploader vault remove --yes            an empty vault
///   uploader vault remove --yes --force    with the images in it
///
/// Ends converters, removes their security group, the role, the queues with their messages and the
/// bucket with every version of every object, and schedules the deletion of the keys that init
/// made: until then it can be taken back. A key that AMIs' snapshots are encrypted with stays, as do AMIs. Interrupted, run it again.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Remove {
    /// Do it
    #[arg(long)]
    yes: bool,
    /// Remove images too
    #[arg(long)]
    force: bool,
    /// Days until keys are deleted
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u8).range(7..=30))]
    key_days: u8,
    /// Print what would be removed, and remove nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Print as JSON, one line for each region
    #[arg(long)]
    json: bool,
}

impl Remove {
    pub(super) async fn run(
        &self,
        cancel: &CancellationToken,
        aws: &AwsArgs,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        let places = aws.places().await?;
        // All are looked at before the first is touched.
        let mut removals = Vec::new();
        for place in &places {
            let facts = look_for_removal(&place.session, &place.names).await?;
            let force = self.force || self.dry_run;
            removals.push((
                removal(&place.names, &facts, force, self.key_days)?,
                facts.images,
            ));
        }
        if !self.yes && !self.dry_run && removals.iter().any(|(it, _)| !it.steps.is_empty()) {
            let refused = Failure::new(Class::Input, "this removes the vault: nothing was done");
            return Err(refused.hint(Some(
                "--dry-run shows what would be removed; --yes removes it".to_owned(),
            )));
        }
        for (place, (removal, images)) in places.iter().zip(&removals) {
            if !self.dry_run && !removal.steps.is_empty() {
                place.say_who();
                let tell = |step: &Step| say!("uploader: {step}");
                let (session, names) = (&place.session, &place.names);
                remove(session, names, removal, self.key_days, &tell, cancel).await?;
            }
            if self.json {
                let value = json!({
                    "bucket": place.names.bucket(), "region": place.names.region,
                    "dry-run": self.dry_run, "images": images,
                    "removed": removal.steps, "left": removal.left,
                });
                print_json(out, &value)?;
                continue;
            }
            heading(out, &places, place)?;
            self.print(place, removal, *images, out)
                .map_err(Failure::stdout)?;
        }
        Ok(())
    }

    fn print(
        &self,
        place: &Place,
        removal: &Removal,
        images: usize,
        out: &mut impl Write,
    ) -> std::io::Result<()> {
        if removal.steps.is_empty() {
            writeln!(out, "there is no vault {}", place.names.bucket())?;
        } else if self.dry_run {
            for step in &removal.steps {
                writeln!(out, "would {step}")?;
            }
            if images > 0 {
                writeln!(out, "{images} images are in it: only with --force")?;
            }
        } else {
            writeln!(out, "{} is removed", place.names.bucket())?;
        }
        for left in &removal.left {
            writeln!(out, "left: {left}")?;
        }
        Ok(())
    }
}

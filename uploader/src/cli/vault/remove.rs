//! `uploader vault remove`

use super::super::Failure;
use super::super::aws_args::{AwsArgs, Place};
use super::super::regions::{Shown, shown_in_turn};
use super::headed;
use clap::Args;
use cli_support::say;
use serde_json::json;
use std::io::Write;
use tokio_util::sync::CancellationToken;
use uploader::Class;
use uploader::teardown::{Removal, Step, look_for_removal, removal, remove};

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
            let facts = look_for_removal(&place.vault).await?;
            let force = self.force || self.dry_run;
            removals.push((
                removal(&place.vault.names, &facts, force, self.key_days)?,
                facts.images,
            ));
        }
        if !self.yes && !self.dry_run && removals.iter().any(|(it, _)| !it.steps.is_empty()) {
            let refused = Failure::new(Class::Input, "this removes the vault: nothing was done");
            return Err(refused.hint("--dry-run shows what would be removed; --yes removes it"));
        }
        let again = "the same command goes on there";
        shown_in_turn(&places, self.json, out, again, async |place| {
            let its = places
                .iter()
                .zip(&removals)
                .find(|(it, _)| it.vault.names == place.vault.names);
            let Some((_, (removal, images))) = its else {
                return Ok(Shown::Text(String::new()));
            };
            if !self.dry_run && !removal.steps.is_empty() {
                place.say_who();
                let tell = |step: &Step| say!("uploader: {step}");
                let vault = &place.vault;
                remove(vault, removal, self.key_days, &tell, cancel).await?;
            }
            if self.json {
                return Ok(Shown::Json(json!({
                    "bucket": place.vault.names.bucket(), "dry-run": self.dry_run, "images": images,
                    "removed": removal.steps, "left": removal.left,
                })));
            }
            Ok(headed(place, &self.lines(place, removal, *images)))
        })
        .await
    }

    fn lines(&self, place: &Place, removal: &Removal, images: usize) -> String {
        let bucket = place.vault.names.bucket();
        let mut lines = Vec::new();
        if removal.steps.is_empty() {
            lines.push(format!("there is no vault {bucket}\n"));
        } else if self.dry_run {
            lines.extend(removal.steps.iter().map(|step| format!("would {step}\n")));
            if images > 0 {
                lines.push(format!("{images} images are in it: only with --force\n"));
            }
        } else {
            lines.push(format!("{bucket} is removed\n"));
        }
        lines.extend(removal.left.iter().map(|left| format!("left: {left}\n")));
        lines.concat()
    }
}

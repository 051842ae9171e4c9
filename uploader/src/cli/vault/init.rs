//! `uploader vault init`

use super::super::Failure;
use super::super::aws_args::{AwsArgs, Place};
use super::super::regions::{Shown, shown_in_turn};
use super::headed;
use clap::Args;
use cli_support::say;
use serde_json::{Value, json};
use std::io::Write;
use tokio_util::sync::CancellationToken;
use uploader::vault::{Change, Inspection, init, inspect, to_json};

/// Make the vault, or mend it
///
///   uploader vault init                                       with keys of its own
///   uploader vault init --kms-key alias/company               with a key that you have
///   uploader vault init --region us-east-1 --region eu-west-1
///   uploader vault init --dry-run                             prints what it would do
///
/// What is as it should be is left alone, so it may be run at any time; what somebody changed is
/// set back. A bucket of another account or a key that was disabled stops it before anything is
/// changed. Interrupted, run it again.
///
/// A KMS key costs about 1 USD a month; the vault has two, or one with --kms-key.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Init {
    /// KMS key that encrypts the vault: ARN, id or alias/NAME [default: one that is made]
    #[arg(long, value_name = "KEY")]
    kms_key: Option<String>,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print as JSON, one line for each region
    #[arg(long)]
    json: bool,
}

impl Init {
    pub(super) async fn run(
        &self,
        cancel: &CancellationToken,
        aws: &AwsArgs,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        let places = aws.places().await?;
        let again = "the same command goes on there, and leaves the others as they are";
        shown_in_turn(&places, self.json, out, again, async |place| {
            let inspection = inspect(&place.vault, self.kms_key.as_deref()).await?;
            match self.dry_run {
                true => self.plan(place, &inspection),
                false => self.make(place, inspection, cancel).await,
            }
        })
        .await
    }

    fn plan(&self, place: &Place, inspection: &Inspection) -> Result<Shown, Failure> {
        let changes = inspection.changes()?;
        if self.json {
            let all: Vec<Value> = changes
                .iter()
                .map(|it| it.to_json(&place.vault.names))
                .collect();
            let mut value = to_json(&place.vault.names, inspection);
            value["changes"] = json!(all);
            value["dry-run"] = json!(true);
            return Ok(Shown::Json(value));
        }
        let lines = changes
            .iter()
            .map(|it| format!("would {}\n", it.to_text(&place.vault.names)));
        let lines: String = match changes.is_empty() {
            true => "nothing to do\n".to_owned(),
            false => lines.collect(),
        };
        Ok(headed(place, &lines))
    }

    async fn make(
        &self,
        place: &Place,
        inspection: Inspection,
        cancel: &CancellationToken,
    ) -> Result<Shown, Failure> {
        let vault = &place.vault;
        let changes = inspection.changes()?;
        let count = if changes.is_empty() {
            0
        } else {
            place.say_who();
            let tell = |change: &Change| say!("uploader: {}", change.to_text(&vault.names));
            init(vault, inspection, &tell, cancel).await?
        };
        if self.json {
            let now = inspect(vault, self.kms_key.as_deref()).await?;
            let mut value = to_json(&vault.names, &now);
            value["changes"] = json!(count);
            return Ok(Shown::Json(value));
        }
        let what = match count {
            0 => "nothing to do".to_owned(),
            1 => "1 change".to_owned(),
            count => format!("{count} changes"),
        };
        let (bucket, region) = (vault.names.bucket(), &vault.names.region);
        Ok(Shown::Text(format!("{bucket} in {region}: {what}\n")))
    }
}

//! `uploader vault status`

use super::super::Failure;
use super::super::aws_args::{AwsArgs, Place};
use super::super::regions::{Shown, shown_in_turn};
use super::headed;
use clap::Args;
use serde_json::json;
use std::cell::Cell;
use std::io::Write;
use uploader::vault::{Inspection, inspect, to_json};

/// Say whether the vault is as init made it
///
/// Prints what is missing or was changed, a line each, and exits with 1 if there is anything; init
/// mends it, unless a line says what else to do. Nothing is changed.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Status {
    /// KMS key that should encrypt the vault: ARN, id or alias/NAME
    #[arg(long, value_name = "KEY")]
    kms_key: Option<String>,
    /// Print as JSON, one line for each region
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) async fn run(&self, aws: &AwsArgs, out: &mut impl Write) -> Result<(), Failure> {
        let places = aws.places().await?;
        let differs = Cell::new(false);
        let again = "nothing is known of these";
        shown_in_turn(&places, self.json, out, again, async |place| {
            let inspection = inspect(&place.vault, self.kms_key.as_deref()).await?;
            differs.set(differs.get() | !inspection.drifts.is_empty());
            Ok(self.shown(place, &inspection))
        })
        .await?;
        if !differs.get() {
            return Ok(());
        }
        out.flush().map_err(Failure::stdout)?;
        Err(Failure::silent(1))
    }

    fn shown(&self, place: &Place, inspection: &Inspection) -> Shown {
        let names = &place.vault.names;
        if self.json {
            let mut value = to_json(names, inspection);
            value["exists"] = json!(!inspection.is_nothing_there());
            return Shown::Json(value);
        }
        let lines = if inspection.is_nothing_there() {
            format!(
                "there is no vault {}: uploader vault init makes it\n",
                names.bucket()
            )
        } else if inspection.drifts.is_empty() {
            let key = inspection.encryption_key().unwrap_or_default();
            format!("{} is as it should be; its key is {key}\n", names.bucket())
        } else {
            let lines = inspection.drifts.iter().map(|drift| {
                let hint = drift.hint().map(|it| format!("\n  {it}"));
                format!("{drift}{}\n", hint.unwrap_or_default())
            });
            lines.collect()
        };
        headed(place, &lines)
    }
}

//! `uploader vault status`

use super::super::Failure;
use super::super::aws_args::AwsArgs;
use super::{heading, print_json};
use clap::Args;
use serde_json::json;
use std::io::Write;
use uploader::vault::{inspect, to_json};

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
        let mut as_it_should_be = true;
        for place in &places {
            let names = &place.names;
            let inspection = inspect(&place.session, names, self.kms_key.as_deref()).await?;
            as_it_should_be &= inspection.drifts.is_empty();
            if self.json {
                let mut value = to_json(names, &inspection);
                value["exists"] = json!(!inspection.is_nothing_there());
                print_json(out, &value)?;
                continue;
            }
            heading(out, &places, place)?;
            let line = if inspection.is_nothing_there() {
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
            write!(out, "{line}").map_err(Failure::stdout)?;
        }
        if as_it_should_be {
            return Ok(());
        }
        out.flush().map_err(Failure::stdout)?;
        Err(Failure::said(1))
    }
}

//! `uploader vault gc`

use super::super::Failure;
use super::super::aws_args::AwsArgs;
use super::super::regions::{Shown, shown_in_turn};
use super::headed;
use super::text::{age, bytes, when};
use clap::Args;
use cli_support::say;
use serde_json::json;
use std::io::Write;
use time::{Duration, OffsetDateTime};
use tokio_util::sync::CancellationToken;
use uploader::vault::{GcLimits, LEAST_RECORD_AGE, OLD_VERSION_DAYS, collect, look};

/// Delete what nobody needs any more
///
///   uploader vault gc --dry-run    prints what would be deleted
///   uploader vault gc              deletes packs that no manifest names and that are older than
///                                  --grace, and records of requests older than --records
///
/// A pack younger than --grace may be one of a push in progress, which stores its manifest last.
/// The bucket is versioned: what was deleted can be brought back for 30 days.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Gc {
    /// Age up to which a pack without a manifest stays
    #[arg(long, value_name = "AGE", default_value = "7d", value_parser = age)]
    grace: Duration,
    /// Age up to which the record of a request stays; 15d at least
    #[arg(long, value_name = "AGE", default_value = "90d", value_parser = record_age)]
    records: Duration,
    /// Print what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// Print as JSON, one line for each region
    #[arg(long)]
    json: bool,
}

fn record_age(text: &str) -> Result<Duration, String> {
    let age = age(text)?;
    if age < LEAST_RECORD_AGE {
        return Err(format!(
            "{text} is too short: a request may wait in a queue for 14 days; give {}d or more",
            LEAST_RECORD_AGE.whole_days()
        ));
    }
    Ok(age)
}

impl Gc {
    pub(super) async fn run(
        &self,
        cancel: &CancellationToken,
        aws: &AwsArgs,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        let places = aws.places().await?;
        let limits = GcLimits {
            packs: self.grace,
            records: self.records,
        };
        let again = "the same command goes on there";
        shown_in_turn(&places, self.json, out, again, async |place| {
            let vault = &place.vault;
            let mut garbage = look(vault, OffsetDateTime::now_utc(), &limits).await?;
            if !self.dry_run && !garbage.is_empty() {
                place.say_who();
                garbage = collect(vault, &garbage, cancel).await?;
            }
            let size: u64 = garbage.iter().map(|it| it.size).sum();
            if self.json {
                return Ok(Shown::Json(json!({
                    "bucket": vault.names.bucket(), "dry-run": self.dry_run,
                    "objects": garbage, "size": size,
                })));
            }
            let lines = garbage.iter().map(|it| {
                let (size, written) = (bytes(it.size), when(it.written));
                format!("{written}  {size:>9}  {}\n", it.key)
            });
            let lines: String = lines.collect();
            let (count, size) = (garbage.len(), bytes(size));
            if self.dry_run {
                say!("uploader: would delete {count} objects, {size}");
            } else {
                say!(
                    "uploader: deleted {count} objects, {size}; gone for good in \
                     {OLD_VERSION_DAYS} days"
                );
            }
            Ok(headed(place, &lines))
        })
        .await
    }
}

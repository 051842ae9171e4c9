//! `uploader vault list`

use super::super::Failure;
use super::super::aws_args::AwsArgs;
use super::super::regions::{Shown, shown_in_turn};
use super::headed;
use super::text::{bytes, short_digest, when};
use clap::Args;
use cli_support::say;
use serde_json::json;
use std::io::Write;
use uploader::vault::{Listed, list};

/// List the images in the vault
///
/// The newest version of each image first. SIZE is the disk's, PACKED what its blocks take in
/// packs; versions share blocks, so that the sum is more than the vault holds.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct List {
    /// Only images of this name
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Print as JSON, one line for each region
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) async fn run(&self, aws: &AwsArgs, out: &mut impl Write) -> Result<(), Failure> {
        let places = aws.places().await?;
        let again = "nothing is known of these";
        shown_in_turn(&places, self.json, out, again, async |place| {
            let images = list(&place.vault, self.name.as_deref()).await?;
            if self.json {
                let bucket = place.vault.names.bucket();
                return Ok(Shown::Json(json!({"bucket": bucket, "images": images})));
            }
            if images.is_empty() {
                say!("uploader: no images in {}", place.vault.names.bucket());
            }
            Ok(headed(place, &table(&images)))
        })
        .await
    }
}

fn table(images: &[Listed]) -> String {
    if images.is_empty() {
        return String::new();
    }
    let width = images.iter().map(|it| it.name.len()).max().unwrap_or(0);
    let width = width.max(4);
    let mut text = format!(
        "{:width$}  {:12}  {:16}  {:>9}  {:>9}\n",
        "NAME", "DIGEST", "STORED (UTC)", "SIZE", "PACKED"
    );
    for it in images {
        text.push_str(&format!(
            "{:width$}  {:12}  {:16}  {:>9}  {:>9}\n",
            it.name,
            short_digest(&it.digest.to_string()),
            when(it.stored),
            bytes(it.size),
            bytes(it.packed),
        ));
    }
    text
}

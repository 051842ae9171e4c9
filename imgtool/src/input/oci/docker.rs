//! What `docker save` writes: `manifest.json` names a configuration and the layers.

use super::form::DockerImage;
use super::store::Store;
use super::{Image, layers};
use crate::input::budget::Budget;
use crate::input::{InputError, Options};
use oci_spec::image::ImageConfiguration;
use std::collections::BTreeSet;

/// Loads the image of a `docker save` archive.
pub(in crate::input) fn load(
    store: &Store,
    options: &Options<'_>,
    budget: &Budget,
    warnings: &mut BTreeSet<String>,
) -> Result<Image, InputError> {
    let images: Vec<DockerImage> =
        store.document(&store.open("manifest.json")?, "its manifest.json")?;
    let [image] = images.as_slice() else {
        let tags = images.iter().map(|image| {
            let tags = image.repo_tags.as_deref().unwrap_or_default();
            if tags.is_empty() {
                image.config.clone()
            } else {
                tags.join(" = ")
            }
        });
        let tags: Vec<String> = tags.take(20).collect();
        return Err(store.refuse(format!(
            "it holds {} images ({}); save one alone",
            images.len(),
            tags.join(", ")
        )));
    };
    let config = store.open(&image.config)?;
    if let Some(hex) = digest_in(&image.config) {
        store.verify(&config, hex)?;
    }
    let configuration: ImageConfiguration = store.document(&config, "its configuration")?;
    let open = |path: &String| {
        let span = store.open(path)?;
        // Old versions name layers by ids that are no digests; there the diff_id alone counts.
        if path.starts_with("blobs/sha256/")
            && let Some(hex) = digest_in(path)
        {
            store.verify(&span, hex)?;
        }
        Ok(span)
    };
    let limits = (options, budget);
    layers::apply(store, &configuration, &image.layers, open, limits, warnings)
}

/// The SHA-256 that a file's name is: `HEX.json`, `sha256:HEX`, `blobs/sha256/HEX`.
fn digest_in(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next()?;
    let name = name.strip_suffix(".json").unwrap_or(name);
    let hex = name.strip_prefix("sha256:").unwrap_or(name);
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    (hex.len() == 64 && hex.bytes().all(is_hex)).then_some(hex)
}

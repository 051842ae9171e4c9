//! Layers, verified, decompressed and applied one over the other.

use super::store::Store;
use super::{Image, config};
use crate::input::budget::Budget;
use crate::input::compression::{self, Compression};
use crate::input::digest::of_span;
use crate::input::span::Span;
use crate::input::{InputError, Options, tar};
use crate::tree::Tree;
use oci_spec::image::ImageConfiguration;
use rayon::prelude::*;
use std::collections::BTreeSet;

/// Most layers of one image.
const MAX_LAYERS: usize = 1000;

/// The image of a configuration and its layers, the lowest first. `open` gives a layer's blob,
/// verified.
pub(super) fn apply<L: Sync>(
    store: &Store,
    configuration: &ImageConfiguration,
    layers: &[L],
    open: impl Fn(&L) -> Result<Span, InputError> + Sync,
    (options, budget): (&Options<'_>, &Budget),
    warnings: &mut BTreeSet<String>,
) -> Result<Image, InputError> {
    let found = config::platform(configuration.os(), configuration.architecture());
    if found != config::PLATFORM {
        return Err(store.refuse(format!(
            "it is for {found}; only {} boots",
            config::PLATFORM
        )));
    }
    let diff_ids = configuration.rootfs().diff_ids();
    if diff_ids.len() != layers.len() {
        return Err(store.refuse(format!(
            "{} layers, where its configuration has {} diff_ids",
            layers.len(),
            diff_ids.len()
        )));
    }
    if layers.len() > MAX_LAYERS {
        return Err(store.refuse(format!("more than {MAX_LAYERS} layers")));
    }
    // Decompression is most of the work, so layers go in parallel; the first error in their order
    // is the one that counts.
    let spans: Vec<Result<Span, InputError>> = layers
        .par_iter()
        .zip(diff_ids)
        .map(|(layer, diff_id)| uncompressed(store, &open(layer)?, diff_id, options, budget))
        .collect();
    let spans = spans
        .into_iter()
        .collect::<Result<Vec<Span>, InputError>>()?;
    let mut tree = Tree::new();
    for (span, layer) in spans.iter().zip(0..) {
        let mode = tar::Mode {
            layer,
            whiteouts: true,
            // Their digests say that they are whole, and some writers leave the mark out.
            require_end: false,
            holes: true,
        };
        tar::apply(&mut tree, span, mode, budget, warnings)?;
    }
    Ok(Image {
        tree,
        config: config::convert(&store.name, configuration, warnings),
    })
}

/// The tar archive of a layer, whose SHA-256 has to be `diff_id`.
fn uncompressed(
    store: &Store,
    blob: &Span,
    diff_id: &str,
    options: &Options<'_>,
    budget: &Budget,
) -> Result<Span, InputError> {
    let mut head = [0; 512];
    let (span, sha256) = match Compression::detect(blob.head(&mut head)?) {
        None => (blob.clone(), of_span(blob)?),
        Some(Compression::Xz) => {
            return Err(store.refuse_blob(&blob.name, "a layer can't be compressed with xz"));
        }
        Some(compression) => {
            let spooled = compression::spool(blob, compression, options, budget)?;
            (spooled.span, spooled.sha256)
        }
    };
    let found = format!("sha256:{}", hex::encode(sha256));
    if found != diff_id {
        let diff_id: String = diff_id.chars().take(100).collect();
        let why = format!("its tar archive is {found}, where the diff_id is {diff_id:?}");
        return Err(store.refuse_blob(&blob.name, &why));
    }
    Ok(span)
}

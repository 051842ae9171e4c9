//! OCI image layouts: `index.json` leads by way of manifests to a configuration and layers.

use super::store::Store;
use super::{Image, config, layers};
use crate::input::budget::Budget;
use crate::input::{InputError, Options};
use oci_spec::image::{
    Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType, OciLayout,
};
use std::collections::{BTreeMap, BTreeSet};

/// How deep indexes may lie in each other.
const MAX_DEPTH: usize = 4;
/// Most indexes and manifests that are looked at.
const MAX_DESCRIPTORS: usize = 1000;
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// containerd's and docker's name for an image, tag included.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// A manifest that an index names.
struct Candidate {
    descriptor: Descriptor,
    /// What people call it.
    name: String,
}

/// Loads the image of a layout.
pub(in crate::input) fn load(
    store: &Store,
    options: &Options<'_>,
    budget: &Budget,
    warnings: &mut BTreeSet<String>,
) -> Result<Image, InputError> {
    let marker: OciLayout = store.document(&store.open("oci-layout")?, "its oci-layout")?;
    if !marker.image_layout_version().starts_with("1.") {
        let version: String = marker.image_layout_version().chars().take(40).collect();
        return Err(store.refuse(format!("an OCI layout of version {version:?}, not 1")));
    }
    let (manifest, configuration) = choose(store)?;
    for layer in manifest.layers() {
        check_layer(store, layer)?;
    }
    let open = |layer: &Descriptor| store.blob(layer);
    let limits = (options, budget);
    layers::apply(
        store,
        &configuration,
        manifest.layers(),
        open,
        limits,
        warnings,
    )
}

/// The one image for linux/amd64.
fn choose(store: &Store) -> Result<(ImageManifest, ImageConfiguration), InputError> {
    let mut names: Vec<String> = Vec::new();
    let mut chosen = None;
    let mut others: BTreeSet<String> = BTreeSet::new();
    for candidate in candidates(store)?.into_values() {
        let descriptor = &candidate.descriptor;
        if let Some(platform) = descriptor.platform() {
            let found = config::platform(platform.os(), platform.architecture());
            if found != config::PLATFORM {
                others.insert(found);
                continue;
            }
        }
        let digest = descriptor.digest().as_ref();
        let manifest: ImageManifest =
            store.document(&store.blob(descriptor)?, &format!("manifest {digest}"))?;
        if !is_config(manifest.config().media_type()) {
            others.insert(format!("an artifact ({})", manifest.config().media_type()));
            continue;
        }
        let configuration: ImageConfiguration =
            store.document(&store.blob(manifest.config())?, "its configuration")?;
        let found = config::platform(configuration.os(), configuration.architecture());
        if found != config::PLATFORM {
            others.insert(found);
            continue;
        }
        names.push(candidate.name);
        chosen = Some((manifest, configuration));
    }
    if names.len() > 1 {
        let count = names.len();
        names.truncate(20);
        return Err(store.refuse(format!(
            "it holds {count} images for {} ({}); copy one alone into a layout",
            config::PLATFORM,
            names.join(", ")
        )));
    }
    chosen.ok_or_else(|| {
        let others: Vec<String> = others.into_iter().take(20).collect();
        let others = if others.is_empty() {
            "no image at all".to_string()
        } else {
            others.join(", ")
        };
        store.refuse(format!(
            "no image for {}; it holds {others}",
            config::PLATFORM
        ))
    })
}

/// All manifests that `index.json` leads to, by digest.
fn candidates(store: &Store) -> Result<BTreeMap<String, Candidate>, InputError> {
    let index: ImageIndex = store.document(&store.open("index.json")?, "its index.json")?;
    let mut found = BTreeMap::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut pending: Vec<(Descriptor, usize, String)> = Vec::new();
    let queue = |pending: &mut Vec<_>, index: &ImageIndex, depth: usize, name: &str| {
        if pending.len() + index.manifests().len() > MAX_DESCRIPTORS {
            let why = format!("more than {MAX_DESCRIPTORS} manifests");
            return Err(store.refuse(why));
        }
        for descriptor in index.manifests() {
            let own = descriptor.annotations().as_ref();
            let own = own.and_then(|a| a.get(IMAGE_NAME).or(a.get(REF_NAME)));
            let name = own.map_or(name, String::as_str);
            let name: String = name.chars().take(200).collect();
            pending.push((descriptor.clone(), depth, name));
        }
        Ok(())
    };
    queue(&mut pending, &index, 1, "")?;
    while let Some((descriptor, depth, name)) = pending.pop() {
        let digest = descriptor.digest().as_ref().to_string();
        if !seen.insert(digest.clone()) {
            continue;
        }
        if seen.len() > MAX_DESCRIPTORS {
            let why = format!("more than {MAX_DESCRIPTORS} manifests");
            return Err(store.refuse(why));
        }
        if is_manifest(descriptor.media_type()) {
            let name = if name.is_empty() {
                digest.clone()
            } else {
                name
            };
            found.insert(digest, Candidate { descriptor, name });
        } else if is_index(descriptor.media_type()) {
            if depth >= MAX_DEPTH {
                let why = format!("indexes in indexes, more than {MAX_DEPTH} deep");
                return Err(store.refuse_blob(&digest, &why));
            }
            let what = format!("index {digest}");
            let index: ImageIndex = store.document(&store.blob(&descriptor)?, &what)?;
            queue(&mut pending, &index, depth + 1, &name)?;
        }
    }
    Ok(found)
}

fn is_manifest(media_type: &MediaType) -> bool {
    matches!(
        media_type.as_ref(),
        "application/vnd.oci.image.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v2+json"
    )
}

fn is_index(media_type: &MediaType) -> bool {
    matches!(
        media_type.as_ref(),
        "application/vnd.oci.image.index.v1+json"
            | "application/vnd.docker.distribution.manifest.list.v2+json"
    )
}

fn is_config(media_type: &MediaType) -> bool {
    matches!(
        media_type.as_ref(),
        "application/vnd.oci.image.config.v1+json"
            | "application/vnd.docker.container.image.v1+json"
    )
}

/// Refuses a layer that is not here, or not a tar archive.
fn check_layer(store: &Store, layer: &Descriptor) -> Result<(), InputError> {
    let media_type = layer.media_type().as_ref();
    let why = match media_type {
        "application/vnd.oci.image.layer.v1.tar"
        | "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.oci.image.layer.v1.tar+zstd"
        | "application/vnd.docker.image.rootfs.diff.tar"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.zstd" => return Ok(()),
        _ if media_type.contains("nondistributable") || media_type.contains(".foreign.") => {
            "a foreign layer, which an image does not bring along"
        }
        _ => "a layer of an unknown kind",
    };
    let media_type: String = media_type.chars().take(200).collect();
    Err(store.refuse_blob(layer.digest().as_ref(), &format!("{why} ({media_type})")))
}

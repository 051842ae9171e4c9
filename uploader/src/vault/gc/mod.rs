//! What nobody needs any more: packs that no manifest names, and old records of requests.
//!
//! A push sends packs first and its manifest last, so a pack without a manifest may be one that is
//! being pushed: only packs that have been there for a grace time count. And a push may find that
//! the vault has an old pack already and name it while we look: so images are listed again after
//! the deletion, and what a new manifest names is brought back (the bucket is versioned: what was
//! deleted is only hidden).

mod plan;

pub use plan::{Garbage, GarbageKind, GcLimits, LEAST_RECORD_AGE, garbage};

use super::delete::{BATCH, delete, identifier};
use super::images::{fetch_manifest, list_images};
use super::list::no_vault;
use super::{Vault, VaultError};
use crate::aws::{AwsError, ListedObject};
use crate::image::ImageDigest;
use plan::digest_of;
use std::collections::BTreeSet;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// Most objects that are looked at, so that a bucket that answers without end ends.
const MOST_OBJECTS: usize = 10_000_000;

/// Looks for garbage.
///
/// # Errors
/// There is no vault, a manifest can't be read (then nobody knows which packs it names), or AWS
/// refuses.
pub async fn look(
    vault: &Vault,
    now: OffsetDateTime,
    limits: &GcLimits,
) -> Result<Vec<Garbage>, VaultError> {
    // Packs first: one that is there only later is not looked at.
    let packs = objects(vault, "packs/").await?;
    let records = objects(vault, "requests/").await?;
    let named = named_packs(vault, &mut BTreeSet::new()).await?;
    Ok(garbage(&packs, &records, &named, now, limits))
}

/// Deletes garbage; gives what was deleted. What somebody named meanwhile is brought back, whatever
/// else went wrong, `cancel` included.
///
/// # Errors
/// AWS refuses, or `cancel`.
pub async fn collect(
    vault: &Vault,
    garbage: &[Garbage],
    cancel: &CancellationToken,
) -> Result<Vec<Garbage>, VaultError> {
    let mut seen = BTreeSet::new();
    // Once more, right before.
    let named = named_packs(vault, &mut seen).await?;
    let still = |it: &&Garbage| digest_of(&it.key).is_none_or(|digest| !named.contains(digest));
    let garbage: Vec<Garbage> = garbage.iter().filter(still).cloned().collect();
    let (mut deleted, mut tried) = (Vec::new(), Vec::new());
    let mut end = Ok(());
    for batch in garbage.chunks(BATCH) {
        if cancel.is_cancelled() {
            end = Err(VaultError::Cancelled);
            break;
        }
        let objects = batch
            .iter()
            .map(|it| identifier(&it.key, None))
            .collect::<Result<_, _>>()?;
        // Also if the call fails: it may have been carried out.
        let packs = batch.iter().filter(|it| it.kind == GarbageKind::Pack);
        tried.extend(packs.map(|it| it.key.as_str()));
        let answer = delete(vault, objects).await;
        end = answer.and_then(|it| {
            deleted.extend(batch.iter().filter(|one| it.has(&one.key)).cloned());
            it.all()
        });
        if end.is_err() {
            break;
        }
    }
    let kept: Vec<&str> = match named_packs(vault, &mut seen).await {
        Ok(named) => {
            let is_named = |it: &&str| digest_of(it).is_some_and(|digest| named.contains(digest));
            tried.into_iter().filter(is_named).collect()
        }
        // Nobody knows which are named: all of them are kept.
        Err(error) => {
            end = end.and(Err(error));
            tried
        }
    };
    let mut hidden = None;
    for key in kept {
        match bring_back(vault, key).await {
            Ok(()) => deleted.retain(|it: &Garbage| it.key != key),
            // The others may work.
            Err(error) => {
                hidden.get_or_insert_with(|| VaultError::NotBroughtBack {
                    bucket: vault.names.bucket(),
                    key: key.to_owned(),
                    cause: Box::new(error),
                });
            }
        }
    }
    match hidden {
        Some(error) => Err(error),
        None => end.map(|()| deleted),
    }
}

/// Brings an object back: takes away the marks that it is deleted. There may be several: each try of
/// a call whose answer was lost has left one.
async fn bring_back(vault: &Vault, key: &str) -> Result<(), VaultError> {
    let answer = vault
        .bucket()
        .list_object_versions()
        .prefix(key)
        .send()
        .await
        .map_err(|error| AwsError::new("s3 ListObjectVersions", error))?;
    let markers = answer.delete_markers().iter();
    let marks = markers
        .filter(|it| it.key() == Some(key))
        .map(|it| identifier(key, it.version_id()))
        .collect::<Result<Vec<_>, _>>()?;
    match marks.is_empty() {
        true => Ok(()),
        false => delete(vault, marks).await?.all(),
    }
}

/// The digests of the packs that manifests name, but for those of images in `seen`, which grows.
async fn named_packs(
    vault: &Vault,
    seen: &mut BTreeSet<(String, ImageDigest)>,
) -> Result<BTreeSet<String>, VaultError> {
    let images = list_images(vault, None)
        .await
        .map_err(|error| no_vault(&vault.names, error.into()))?;
    let mut named = BTreeSet::new();
    for image in images {
        if !seen.insert((image.name.clone(), image.digest)) {
            continue;
        }
        let manifest = fetch_manifest(vault, &image.name, &image.digest).await?;
        named.extend(manifest.packs.into_iter().map(|it| it.digest));
    }
    Ok(named)
}

async fn objects(vault: &Vault, prefix: &str) -> Result<Vec<ListedObject>, VaultError> {
    let listed = vault.bucket().list(prefix, MOST_OBJECTS).await;
    listed.map_err(|error| no_vault(&vault.names, error.into()))
}

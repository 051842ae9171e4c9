//! What nobody needs any more: packs that no manifest names, and old records of requests.
//!
//! A push sends packs first and its manifest last, so a pack without a manifest may be one that is
//! being pushed: only packs that have been there for a grace time count. And a push may find that
//! the vault has an old pack already and name it while we look: so images are listed again after
//! the deletion, and what a new manifest names is brought back (the bucket is versioned: what was
//! deleted is only hidden).

mod plan;

pub use plan::{Garbage, GarbageKind, GcLimits, LEAST_RECORD_AGE, Object, garbage};

use super::delete::{BATCH, delete, identifier};
use super::list::no_vault;
use super::{Names, VaultError};
use crate::aws::{AwsError, Session};
use crate::image::ImageDigest;
use crate::store::{fetch_manifest, list_images};
use plan::digest_of;
use std::collections::{BTreeMap, BTreeSet};
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
    session: &Session,
    names: &Names,
    now: OffsetDateTime,
    limits: &GcLimits,
) -> Result<Vec<Garbage>, VaultError> {
    // Packs first: one that is there only later is not looked at.
    let packs = objects(session, names, "packs/").await?;
    let records = objects(session, names, "requests/").await?;
    let named = named_packs(session, names, &mut BTreeSet::new()).await?;
    Ok(garbage(&packs, &records, &named, now, limits))
}

/// Deletes garbage; gives what was deleted. What somebody named meanwhile is brought back.
///
/// # Errors
/// AWS refuses, or `cancel`.
pub async fn collect(
    session: &Session,
    names: &Names,
    garbage: &[Garbage],
    cancel: &CancellationToken,
) -> Result<Vec<Garbage>, VaultError> {
    let mut seen = BTreeSet::new();
    // Once more, right before.
    let named = named_packs(session, names, &mut seen).await?;
    let still = |it: &&Garbage| digest_of(&it.key).is_none_or(|digest| !named.contains(digest));
    let mut garbage: Vec<Garbage> = garbage.iter().filter(still).cloned().collect();
    let mut markers: BTreeMap<String, String> = BTreeMap::new();
    let mut end = Ok(());
    let mut done = 0;
    for batch in garbage.chunks(BATCH) {
        if cancel.is_cancelled() {
            end = Err(VaultError::Cancelled);
            break;
        }
        let objects = batch
            .iter()
            .map(|it| identifier(&it.key, None))
            .collect::<Result<_, _>>()?;
        match delete(session, names, objects).await {
            Ok(all) => markers.extend(all.into_iter().filter_map(|it| {
                let marker = it.delete_marker_version_id?;
                Some((it.key?, marker))
            })),
            Err(error) => {
                end = Err(error);
                break;
            }
        }
        done += batch.len();
    }
    garbage.truncate(done);
    for digest in named_packs(session, names, &mut seen).await? {
        let key = Names::pack_key(&digest);
        if let Some(marker) = markers.get(&key) {
            delete(session, names, vec![identifier(&key, Some(marker))?]).await?;
            garbage.retain(|it| it.key != key);
        }
    }
    end.map(|()| garbage)
}

/// The digests of the packs that manifests name, but for those of images in `seen`, which grows.
async fn named_packs(
    session: &Session,
    names: &Names,
    seen: &mut BTreeSet<(String, ImageDigest)>,
) -> Result<BTreeSet<String>, VaultError> {
    let images = list_images(session, names, None)
        .await
        .map_err(|error| no_vault(names, error.into()))?;
    let mut named = BTreeSet::new();
    for image in images {
        if !seen.insert((image.name.clone(), image.digest)) {
            continue;
        }
        let manifest = fetch_manifest(session, names, &image.name, &image.digest).await?;
        named.extend(manifest.packs.into_iter().map(|it| it.digest));
    }
    Ok(named)
}

async fn objects(
    session: &Session,
    names: &Names,
    prefix: &str,
) -> Result<Vec<Object>, VaultError> {
    let mut pages = session
        .s3
        .list_objects_v2()
        .bucket(names.bucket())
        .prefix(prefix)
        .expected_bucket_owner(&names.account)
        .into_paginator()
        .send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new("s3 ListObjectsV2", error));
        let page = page.map_err(|error| no_vault(names, error.into()))?;
        for object in page.contents() {
            let (Some(key), Some(written)) = (object.key(), object.last_modified()) else {
                continue;
            };
            let Ok(written) = OffsetDateTime::from_unix_timestamp(written.secs()) else {
                continue;
            };
            all.push(Object {
                key: key.to_owned(),
                size: object.size().unwrap_or(0).max(0).cast_unsigned(),
                written,
            });
        }
        if all.len() > MOST_OBJECTS {
            break;
        }
    }
    Ok(all)
}

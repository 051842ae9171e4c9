//! What a vault holds.

use super::images::{StoreError, StoredImage, fetch_manifest, list_images};
use super::{Names, Vault, VaultError};
use crate::aws::{AwsError, Kind};
use crate::image::ImageDigest;
use imgtool::pack::Manifest;
use serde::Serialize;
use std::collections::BTreeSet;
use time::OffsetDateTime;
use tokio::task::JoinSet;

/// Manifests that are read at the same time: they may be large.
const READERS: usize = 4;

/// One version of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The image's name.
    pub name: String,
    /// Its content.
    pub digest: ImageDigest,
    /// When it was stored.
    #[serde(with = "time::serde::rfc3339")]
    pub stored: OffsetDateTime,
    /// The disk's length, in bytes.
    pub size: u64,
    /// Bytes of its blocks as packs hold them, those that it shares with other versions too.
    pub packed: u64,
    /// The packs that hold them.
    pub packs: BTreeSet<String>,
    /// How it can boot.
    pub boot_modes: Vec<String>,
}

impl Listed {
    fn of(image: StoredImage, manifest: &Manifest) -> Listed {
        let frames = manifest.blocks.data.iter().map(|it| u64::from(it.4));
        Listed {
            name: image.name,
            digest: image.digest,
            stored: image.stored,
            size: manifest.size,
            packed: frames.sum(),
            packs: manifest.packs.iter().map(|it| it.digest.clone()).collect(),
            boot_modes: manifest.boot_modes.clone(),
        }
    }
}

/// All versions of all images, or those of one name, by name and the newest first.
///
/// # Errors
/// There is no vault, a manifest is broken, or AWS refuses.
pub async fn list(vault: &Vault, name: Option<&str>) -> Result<Vec<Listed>, VaultError> {
    let images = list_images(vault, name)
        .await
        .map_err(|error| no_vault(&vault.names, error.into()))?;
    let mut reading = JoinSet::new();
    let mut listed = Vec::with_capacity(images.len());
    for (index, image) in images.into_iter().enumerate() {
        if reading.len() >= READERS {
            listed.extend(next(&mut reading).await?);
        }
        let vault = vault.clone();
        reading.spawn(async move {
            let manifest = fetch_manifest(&vault, &image.name, &image.digest).await?;
            Ok::<_, VaultError>((index, Listed::of(image, &manifest)))
        });
    }
    while let Some(one) = next(&mut reading).await? {
        listed.push(one);
    }
    listed.sort_by_key(|(index, _)| *index);
    Ok(listed.into_iter().map(|(_, it)| it).collect())
}

type Read = Result<(usize, Listed), VaultError>;

async fn next(reading: &mut JoinSet<Read>) -> Result<Option<(usize, Listed)>, VaultError> {
    match reading.join_next().await {
        None => Ok(None),
        Some(Ok(read)) => read.map(Some),
        Some(Err(error)) => Err(VaultError::Aws(AwsError {
            operation: "s3 GetObject",
            kind: Kind::Unavailable,
            code: String::new(),
            message: error.to_string(),
        })),
    }
}

/// In the words of a vault, that its bucket is missing or somebody else's.
pub(super) fn no_vault(names: &Names, error: VaultError) -> VaultError {
    let bucket = names.bucket();
    match error {
        VaultError::Aws(cause) | VaultError::Store(StoreError::Aws(cause)) => {
            match (cause.code.as_str(), cause.kind) {
                ("NoSuchBucket", _) => VaultError::NoVault { bucket },
                (_, Kind::Denied) => VaultError::ClosedBucket { bucket, cause },
                _ => cause.into(),
            }
        }
        error => error,
    }
}

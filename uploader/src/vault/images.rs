//! What the vault holds: images by name and digest, as their manifests say.

use super::{Names, Vault};
use crate::Class;
use crate::aws::{AwsError, Body, GetError};
use crate::image::ImageDigest;
use imgtool::pack::{Manifest, PackError, parse_manifest};
use std::path::Path;
use time::OffsetDateTime;

/// Most bytes of a manifest: enough for an image of 1 TiB, and less than a small instance's memory.
pub const MAX_MANIFEST: u64 = 256 << 20;
/// Most images that are listed, so that a bucket that answers without end ends.
const MAX_IMAGES: usize = 1_000_000;

/// An image in the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredImage {
    /// Its name.
    pub name: String,
    /// Its content.
    pub digest: ImageDigest,
    /// When its manifest was stored.
    pub stored: OffsetDateTime,
}

/// An image can't be found or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The vault has none such.
    #[error("the vault {bucket} has no image {image}")]
    NoImage {
        /// The bucket.
        bucket: String,
        /// What was asked for.
        image: String,
    },
    /// A manifest is too long to be one.
    #[error("s3://{bucket}/{key} is {len} bytes long: a manifest has at most {MAX_MANIFEST}")]
    TooLong {
        /// The bucket.
        bucket: String,
        /// The object.
        key: String,
        /// Its length, in bytes.
        len: u64,
    },
    /// A manifest is broken.
    #[error("s3://{bucket} holds a broken manifest")]
    Manifest {
        /// The bucket.
        bucket: String,
        /// What is wrong; it names the object.
        #[source]
        cause: PackError,
    },
    /// A manifest is not the one that its name says.
    #[error("s3://{bucket}/{key} is the manifest of image {found}: somebody replaced it")]
    Replaced {
        /// The bucket.
        bucket: String,
        /// The object.
        key: String,
        /// The digest of what it says.
        found: ImageDigest,
    },
    /// The connection broke while a manifest was read.
    #[error("s3://{bucket}/{key} broke off")]
    Broken {
        /// The bucket.
        bucket: String,
        /// The object.
        key: String,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// S3 refused.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl StoreError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            StoreError::NoImage { .. }
            | StoreError::TooLong { .. }
            | StoreError::Manifest { .. }
            | StoreError::Replaced { .. } => Class::Input,
            StoreError::Broken { .. } => Class::Failed,
            StoreError::Aws(error) => error.class(),
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            StoreError::NoImage { .. } => {
                Some("uploader vault list shows what is there; uploader push sends it".to_owned())
            }
            StoreError::Aws(error) if error.code == "NoSuchBucket" => {
                Some("uploader vault init makes the vault".to_owned())
            }
            StoreError::Aws(error) => error.hint(),
            _ => None,
        }
    }

    /// Whether it may help to try again.
    pub fn is_transient(&self) -> bool {
        match self {
            StoreError::Broken { .. } => true,
            StoreError::Aws(error) => error.is_transient(),
            _ => false,
        }
    }
}

/// All images, or those of one name, by name and then the newest first.
///
/// # Errors
/// S3 refuses.
pub async fn list_images(
    vault: &Vault,
    name: Option<&str>,
) -> Result<Vec<StoredImage>, StoreError> {
    let prefix = name.map_or("images/".to_owned(), |name| format!("images/{name}/"));
    let listed = vault.bucket().list(&prefix, MAX_IMAGES).await?;
    let mut images: Vec<StoredImage> = listed
        .into_iter()
        .filter_map(|object| {
            let (name, digest) = parse_key(&object.key)?;
            Some(StoredImage {
                name,
                digest,
                stored: object.written,
            })
        })
        .collect();
    images.sort_by(|a, b| (&a.name, b.stored, a.digest).cmp(&(&b.name, a.stored, b.digest)));
    Ok(images)
}

/// `images/NAME/DIGEST.json`
fn parse_key(key: &str) -> Option<(String, ImageDigest)> {
    let (name, file) = key.strip_prefix("images/")?.split_once('/')?;
    let digest = file.strip_suffix(".json")?.parse().ok()?;
    Some((name.to_owned(), digest))
}

/// The image that somebody calls `image`: a name (its newest version), a digest, the first eight or
/// more digits of one, or both as `NAME@DIGEST`.
///
/// # Errors
/// There is none, or S3 refuses.
pub async fn find_image(vault: &Vault, image: &str) -> Result<StoredImage, StoreError> {
    let (name, digits) = match image.split_once('@') {
        Some((name, digits)) => (Some(name), Some(digits)),
        None => (None, None),
    };
    let all = list_images(vault, name).await?;
    let starts = |it: &StoredImage, digits: &str| {
        digits.len() >= 8 && it.digest.to_string().starts_with(digits)
    };
    let found = match (name, digits) {
        (Some(_), Some(digits)) => all.iter().find(|it| starts(it, digits)),
        _ => all
            .iter()
            .find(|it| it.name == image)
            .or_else(|| all.iter().find(|it| starts(it, image))),
    };
    found.cloned().ok_or_else(|| StoreError::NoImage {
        bucket: vault.names.bucket(),
        image: image.to_owned(),
    })
}

/// An image's manifest, checked: it is the one that `digest` names.
///
/// # Errors
/// It is not there, too long, broken or another, or S3 refuses.
pub async fn fetch_manifest(
    vault: &Vault,
    name: &str,
    digest: &ImageDigest,
) -> Result<Manifest, StoreError> {
    let key = Names::manifest_key(name, digest);
    fetch_manifest_at(vault, &key, name, digest).await
}

/// The same, from another place in the bucket.
pub(crate) async fn fetch_manifest_at(
    vault: &Vault,
    key: &str,
    name: &str,
    digest: &ImageDigest,
) -> Result<Manifest, StoreError> {
    let bucket = vault.names.bucket();
    let object = match vault.bucket().get(key, MAX_MANIFEST).await {
        Ok(object) => object,
        Err(GetError::Aws(error)) => return Err(error.into()),
        Err(GetError::Broken(cause)) => {
            let key = key.to_owned();
            return Err(StoreError::Broken { bucket, key, cause });
        }
    };
    let text = match object.map(|object| object.body) {
        Some(Body::Whole(text)) => text,
        Some(Body::TooLong(len)) => {
            let key = key.to_owned();
            return Err(StoreError::TooLong { bucket, key, len });
        }
        None => {
            let image = format!("{name}@{digest}");
            return Err(StoreError::NoImage { bucket, image });
        }
    };
    let manifest = parse_manifest(&text, Path::new(key)).map_err(|cause| StoreError::Manifest {
        bucket: bucket.clone(),
        cause,
    })?;
    let found = ImageDigest::of(&manifest);
    if found != *digest || manifest.name != name {
        let key = key.to_owned();
        return Err(StoreError::Replaced { bucket, key, found });
    }
    Ok(manifest)
}

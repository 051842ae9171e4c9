//! An image into the vault: what the vault lacks is sent, checked on both sides, and complete
//! before anything refers to it. docs/vault.md has the objects and how a push is resumed.
//!
//! manifest → [`plan`] (what the vault lacks) → [`send`]: pack, then manifest.

mod delta;
mod disk;
mod error;
mod kept;
mod limits;
mod objects;
mod pack;
mod parts;
mod source;
mod uploads;

pub use delta::{Delta, Frame, Known, NewPack, plan as plan_delta};
pub use disk::Disk;
pub use error::{ImageError, PushError};
pub use limits::Limits;
pub use pack::{Progress, Step};
pub use source::{Image, Pack};

use crate::aws::Bucket;
use crate::image::ImageDigest;
use crate::vault::images::{self, MAX_MANIFEST, StoreError};
use crate::vault::{Names, Vault};
use bytes::Bytes;
use imgtool::pack::{Manifest, PackRecord};
use objects::Target;
use pack::Transfer;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// So many earlier versions are looked at for blocks that need not be sent.
const VERSIONS: usize = 4;
/// And so many packs of theirs, at most.
const MAX_PACKS: usize = 512;

/// What a push would do.
#[derive(Debug)]
pub struct Plan {
    /// The image's name.
    pub name: String,
    /// Which image.
    pub digest: ImageDigest,
    /// The manifest, and the pack to send; `None` if the vault has the image.
    pub delta: Option<Delta>,
    /// The packs that its manifest names, sent or not.
    pub packs: Vec<PackRecord>,
}

/// What a push did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Bytes of the pack that were sent.
    pub sent: u64,
    /// Parts that an earlier push had sent, and this one did not send again.
    pub resumed: usize,
    /// Whether the image is new to the vault: nobody else stored it meanwhile.
    pub stored: bool,
}

/// Looks what the vault has, and decides what to send. Changes nothing. A disk is read and hashed
/// for it, of which `progress` is told.
///
/// # Errors
/// The image can't be read, or the vault.
pub async fn plan(
    vault: &Vault,
    image: &Arc<Image>,
    jobs: usize,
    progress: Progress,
    cancel: &CancellationToken,
) -> Result<Plan, PushError> {
    tokio::select! {
        plan = plan_now(vault, image, jobs, progress, cancel) => plan,
        () = cancel.cancelled() => Err(PushError::Interrupted),
    }
}

async fn plan_now(
    vault: &Vault,
    image: &Arc<Image>,
    jobs: usize,
    progress: Progress,
    cancel: &CancellationToken,
) -> Result<Plan, PushError> {
    let bucket = vault.bucket();
    let stock = Stock {
        vault,
        bucket: &bucket,
    };
    let (manifest, known) = match &**image {
        Image::Pack(pack) => {
            // Mostly the vault does not have it: then the second is needed, too.
            let (stored, known) = tokio::join!(
                stock.stored(&pack.manifest, pack.digest),
                stock.known(&pack.manifest.name)
            );
            if let Some(plan) = stored? {
                return Ok(plan);
            }
            (pack.manifest.clone(), Arc::new(known?))
        }
        Image::Disk(disk) => {
            let known = Arc::new(stock.known(disk.name()).await?);
            let manifest = scan(image, &known, jobs, progress, cancel).await?;
            let digest = ImageDigest::of(&manifest);
            if let Some(plan) = stock.stored(&manifest, digest).await? {
                return Ok(plan);
            }
            (manifest, known)
        }
    };
    let digest = ImageDigest::of(&manifest);
    let delta = delta::plan(manifest, &known);
    Ok(Plan {
        name: delta.manifest.name.clone(),
        digest,
        packs: delta.manifest.packs.clone(),
        delta: Some(delta),
    })
}

/// Does what was planned. The manifest is last: nothing refers to a pack that is not whole.
///
/// # Errors
/// A block is not what the manifest says, and then nothing is left; or S3 refuses, and then what
/// was sent is kept for the next push, as when `cancel` was called.
pub async fn send(
    vault: &Vault,
    image: &Arc<Image>,
    plan: Plan,
    limits: &Limits,
    progress: Progress,
    cancel: &CancellationToken,
) -> Result<Pushed, PushError> {
    tokio::select! {
        pushed = send_now(vault, image, plan, limits, progress) => pushed,
        () = cancel.cancelled() => Err(PushError::Interrupted),
    }
}

async fn send_now(
    vault: &Vault,
    image: &Arc<Image>,
    plan: Plan,
    limits: &Limits,
    progress: Progress,
) -> Result<Pushed, PushError> {
    let mut pushed = Pushed::default();
    let Some(delta) = plan.delta else {
        return Ok(pushed);
    };
    let (digest, name) = (plan.digest, &delta.manifest.name);
    let text = text(&delta.manifest)?;
    let target = Target::new(vault.bucket(), limits.seed);
    if let Some(pack) = delta.pack {
        let transfer = Transfer::new(&target, image.clone(), pack, limits, progress);
        let done = transfer.run().await?;
        (pushed.sent, pushed.resumed) = (done.sent, done.resumed);
    }
    // Whoever cleans up may have taken one meanwhile.
    let mut packs = Packs::default();
    for pack in &delta.reused {
        if !packs.has(&target.bucket, pack).await? {
            return Err(PushError::PackGone {
                bucket: target.bucket.name().to_owned(),
                key: Names::pack_key(&pack.digest),
            });
        }
    }
    let key = Names::manifest_key(name, &digest);
    let checksum = parts::base64(&Sha256::digest(&text));
    pushed.stored = target.put_once(&key, text, &checksum).await?;
    if !pushed.stored {
        // Another push of this image was faster: what it stored is checked like all else.
        images::fetch_manifest(vault, name, &digest).await?;
    }
    Ok(pushed)
}

/// What the vault holds, as a plan asks for it.
struct Stock<'a> {
    vault: &'a Vault,
    bucket: &'a Bucket,
}

impl Stock<'_> {
    /// The plan for an image that the vault has, if it has it.
    async fn stored(
        &self,
        manifest: &Manifest,
        digest: ImageDigest,
    ) -> Result<Option<Plan>, PushError> {
        let stored = match images::fetch_manifest(self.vault, &manifest.name, &digest).await {
            Ok(stored) => stored,
            Err(StoreError::NoImage { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut packs = Packs::default();
        for pack in &stored.packs {
            if !packs.has(self.bucket, pack).await? {
                return Err(PushError::NoPack {
                    bucket: self.bucket.name().to_owned(),
                    image: format!("{}@{digest}", stored.name),
                    manifest: Names::manifest_key(&stored.name, &digest),
                    pack: pack.digest.clone(),
                });
            }
        }
        Ok(Some(Plan {
            name: stored.name,
            digest,
            delta: None,
            packs: stored.packs,
        }))
    }

    /// The blocks of the newest versions.
    async fn known(&self, name: &str) -> Result<Known, PushError> {
        let (mut known, mut packs) = (Known::default(), Packs::default());
        let versions = images::list_images(self.vault, Some(name)).await?;
        for version in versions.iter().take(VERSIONS) {
            let manifest = images::fetch_manifest(self.vault, name, &version.digest).await;
            let manifest = match manifest {
                Ok(manifest) => manifest,
                Err(error @ StoreError::Aws(_)) => return Err(error.into()),
                Err(error) => {
                    // It helps nobody, but this image does not need it.
                    let image = format!("{name}@{}", version.digest);
                    tracing::warn!(%error, image, "an earlier version is of no use");
                    continue;
                }
            };
            let mut usable = Vec::new();
            for pack in manifest.packs.iter().take(MAX_PACKS) {
                if packs.has(self.bucket, pack).await? {
                    usable.push(pack.clone());
                }
            }
            known.add(&manifest, |pack| usable.contains(pack));
        }
        Ok(known)
    }
}

/// Packs that were looked for.
#[derive(Default)]
struct Packs(HashMap<String, Option<u64>>);

impl Packs {
    /// Whether the vault has this pack.
    async fn has(&mut self, bucket: &Bucket, pack: &PackRecord) -> Result<bool, PushError> {
        let len = match self.0.get(&pack.digest) {
            Some(len) => *len,
            None => {
                let found = bucket.head(&Names::pack_key(&pack.digest)).await?;
                let len = found.map(|it| it.len);
                self.0.insert(pack.digest.clone(), len);
                len
            }
        };
        Ok(len == Some(pack.size))
    }
}

/// A disk's manifest, from a thread that may take its time.
async fn scan(
    image: &Arc<Image>,
    known: &Arc<Known>,
    jobs: usize,
    progress: Progress,
    cancel: &CancellationToken,
) -> Result<Manifest, PushError> {
    let (image, known, cancel) = (image.clone(), known.clone(), cancel.clone());
    let scan = tokio::task::spawn_blocking(move || match &*image {
        Image::Disk(disk) => disk.scan(&known, jobs, &|bytes| progress(Step::Read(bytes)), &cancel),
        Image::Pack(pack) => Ok(pack.manifest.clone()),
    });
    let scanned = scan.await;
    Ok(scanned.map_err(|error| ImageError::Reader(error.to_string()))??)
}

/// A manifest in its one spelling.
fn text(manifest: &Manifest) -> Result<Bytes, PushError> {
    let text = serde_json::to_vec(manifest);
    let mut text = text.map_err(|error| ImageError::Reader(error.to_string()))?;
    text.push(b'\n');
    if text.len() as u64 > MAX_MANIFEST {
        return Err(PushError::ManifestTooLong { len: text.len() });
    }
    Ok(text.into())
}

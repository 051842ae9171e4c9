//! Manifests, and the blocks that they name: what goes into a snapshot.

use super::machine::action::Facts;
use super::record::{Parent, Progress};
use super::{Clock, journal};
use crate::ami::{BlocksPut, BootMode, Completed, FailedCall, snapshots};
use crate::aws::{AwsError, Kind, Session};
use crate::blocks::{self, BlockPlan, Limits, PutError};
use crate::request::ImageRef;
use crate::vault::Vault;
use crate::vault::images::{StoreError, fetch_manifest};
use error_class::Chain;
use imgtool::pack::Manifest;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(2);
/// So many blocks at a time (1 GiB): whoever takes over after a crash begins behind the last that
/// are all there.
const STRETCH: usize = 2048;
/// Largest volume of gp3, in GiB.
const MAX_GIB: u64 = 16_384;

/// What an agent remembers of the image that it makes an AMI of, between the calls for it.
#[derive(Default)]
pub(super) struct ImageContent {
    manifest: Option<(ImageRef, Arc<Manifest>)>,
    /// Of the snapshot that blocks were put into last: their number and checksum.
    put: Option<(String, usize, [u8; 32])>,
}

/// Where blocks go, and who is told.
pub(super) struct Target<'a> {
    pub(super) vault: &'a Vault,
    pub(super) vault_key: &'a str,
    pub(super) id: &'a Uuid,
    pub(super) snapshot: &'a str,
    pub(super) limits: &'a Limits,
    pub(super) clock: &'a Clock,
    pub(super) cancel: &'a CancellationToken,
}

impl ImageContent {
    /// Fetches and checks a manifest.
    pub(super) async fn fetch(
        &mut self,
        vault: &Vault,
        image: &ImageRef,
    ) -> Result<Facts, FailedCall> {
        let manifest = fetch_manifest(vault, &image.name, &image.digest).await?;
        let facts = facts(&manifest)
            .map_err(|why| FailedCall::permanent(format!("the image {}: {why}", image.name)))?;
        self.manifest = Some((image.clone(), Arc::new(manifest)));
        Ok(facts)
    }

    /// Puts the blocks of an image that its parent does not have.
    pub(super) async fn put(
        &mut self,
        target: &Target<'_>,
        image: &ImageRef,
        parent: Option<&Parent>,
    ) -> Result<BlocksPut, FailedCall> {
        let manifest = match &self.manifest {
            Some((of, manifest)) if of == image => Arc::clone(manifest),
            _ => return Err(FailedCall::transient("the manifest was not fetched")),
        };
        let earlier = match parent {
            None => None,
            Some(parent) => {
                let ImageRef { name, digest } = &parent.image;
                match fetch_manifest(target.vault, name, digest).await {
                    Ok(manifest) => Some(manifest),
                    Err(error) => {
                        let failed = FailedCall::from(error);
                        if failed.is_transient {
                            return Err(failed);
                        }
                        // Missing or broken: without a parent, then.
                        return Ok(BlocksPut::ParentUnknown);
                    }
                }
            }
        };
        let plan = blocks::plan(&manifest, earlier.as_ref())
            .map_err(|error| FailedCall::permanent(error.to_string()))?;
        drop(earlier);
        self.put = Some((
            target.snapshot.to_owned(),
            plan.puts.len(),
            plan.linear_checksum,
        ));
        match target.put_all(&manifest, &plan).await {
            Ok(()) => Ok(BlocksPut::All),
            Err(PutError::SnapshotGone { .. }) => Ok(BlocksPut::NotPending),
            Err(PutError::Aws(error)) => Err(error.into()),
            Err(error) if error.is_permanent() => {
                Err(FailedCall::permanent(Chain(&error).to_string()))
            }
            Err(error) => Err(FailedCall::transient(Chain(&error).to_string())),
        }
    }

    /// Completes the snapshot that blocks were just put into.
    pub(super) async fn complete(
        &self,
        session: &Session,
        snapshot: &str,
    ) -> Result<Completed, AwsError> {
        match &self.put {
            Some((of, count, linear)) if of == snapshot => {
                snapshots::complete(session, snapshot, *count, linear).await
            }
            _ => Ok(Completed::NotPending),
        }
    }
}

impl Target<'_> {
    /// Puts a plan's blocks, a stretch at a time, and tells how far it is.
    async fn put_all(&self, manifest: &Manifest, plan: &BlockPlan) -> Result<(), PutError> {
        let total = plan.puts.len() as u64;
        let mut acknowledged = self.acknowledged(total).await;
        let first = acknowledged;
        let began = (self.clock)();
        while acknowledged < total {
            let from = usize::try_from(acknowledged).unwrap_or(usize::MAX);
            let to = from.saturating_add(STRETCH).min(plan.puts.len());
            let stretch = BlockPlan {
                puts: plan.puts[from..to].to_vec(),
                linear_checksum: plan.linear_checksum,
            };
            let put = AtomicU64::new(0);
            let progress = |done: u64| put.store(done, Ordering::Relaxed);
            let tell = async {
                loop {
                    tokio::time::sleep(TELL_EVERY).await;
                    let put = acknowledged + put.load(Ordering::Relaxed);
                    self.tell(put, total, acknowledged, put - first, began)
                        .await;
                }
            };
            tokio::select! {
                biased;
                done = blocks::put_blocks(
                    self.vault, manifest, &stretch, self.snapshot,
                    self.limits, &progress, self.cancel,
                ) => done?,
                () = tell => {}
            }
            acknowledged = to as u64;
            self.tell(
                acknowledged,
                total,
                acknowledged,
                acknowledged - first,
                began,
            )
            .await;
        }
        Ok(())
    }

    /// How many of the plan's first blocks a predecessor put. If that is a lie, EBS does not complete
    /// the snapshot: count and checksum are of all.
    async fn acknowledged(&self, total: u64) -> u64 {
        match journal::progress(self.vault, self.id).await {
            Ok(Some(it)) if it.snapshot == self.snapshot && it.total == total => {
                it.acknowledged.min(total)
            }
            _ => 0,
        }
    }

    async fn tell(
        &self,
        put: u64,
        total: u64,
        acknowledged: u64,
        new: u64,
        began: time::OffsetDateTime,
    ) {
        let now = (self.clock)();
        let seconds = (now - began).as_seconds_f64();
        let progress = Progress {
            snapshot: self.snapshot.to_owned(),
            put,
            total,
            rate: if seconds > 0.0 {
                new as f64 / seconds
            } else {
                0.0
            },
            acknowledged,
            updated: now,
        };
        journal::tell(self.vault, self.vault_key, self.id, &progress).await;
    }
}

/// What the machine has to know of an image.
fn facts(manifest: &Manifest) -> Result<Facts, String> {
    if manifest.architecture != "x86_64" {
        return Err(format!(
            "architecture {:?}, and only x86_64 is known",
            manifest.architecture
        ));
    }
    let boot = BootMode::of(&manifest.boot_modes)
        .ok_or_else(|| format!("boot modes {:?} are none", manifest.boot_modes))?;
    let gib = manifest.size.div_ceil(1 << 30).max(1);
    let gib = u32::try_from(gib)
        .ok()
        .filter(|it| u64::from(*it) <= MAX_GIB);
    let gib = gib.ok_or_else(|| {
        format!(
            "a disk of {} bytes is larger than {MAX_GIB} GiB",
            manifest.size
        )
    })?;
    Ok(Facts { gib, boot })
}

impl From<StoreError> for FailedCall {
    fn from(error: StoreError) -> FailedCall {
        match error {
            // The vault's bucket: a manifest that is missing is `NoImage`.
            StoreError::Aws(error) if error.kind == Kind::NotFound => {
                FailedCall::transient(error.to_string())
            }
            StoreError::Aws(error) => error.into(),
            error if error.is_transient() => FailedCall::transient(Chain(&error).to_string()),
            error => FailedCall::permanent(Chain(&error).to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imgtool::pack::{ManifestBlocks, SnapshotRecord};

    fn manifest(size: u64, modes: &[&str]) -> Manifest {
        Manifest {
            version: 1,
            name: "web".into(),
            identity: "0".repeat(64),
            architecture: "x86_64".into(),
            boot_modes: modes.iter().map(|it| (*it).to_owned()).collect(),
            size,
            block_size: 524_288,
            inputs: vec![],
            snapshot: SnapshotRecord {
                changed_blocks_count: 0,
                linear_checksum: String::new(),
            },
            packs: vec![],
            blocks: ManifestBlocks {
                data: vec![],
                zero: vec![],
                free: vec![],
            },
        }
    }

    #[test]
    fn volumes_are_whole_gib() {
        let gib = |size| facts(&manifest(size, &["uefi"])).map(|it| it.gib);
        assert_eq!(gib(524_288), Ok(1));
        assert_eq!(gib(1 << 30), Ok(1));
        assert_eq!(gib((1 << 30) + 524_288), Ok(2));
        assert!(gib((16_384 << 30) + 1).unwrap_err().contains("larger"));
    }

    #[test]
    fn what_ec2_could_not_boot_is_refused() {
        assert!(facts(&manifest(1, &["bios", "uefi"])).is_ok());
        assert!(facts(&manifest(1, &[])).is_err());
        let mut other = manifest(1, &["uefi"]);
        other.architecture = "arm64".into();
        assert!(facts(&other).unwrap_err().contains("arm64"));
    }
}

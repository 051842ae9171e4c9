//! The converter's AMI, from where the user sits: there is no converter yet that could make it.
//!
//! [`plan`] decides, [`carry_out`] does it. One image gives one AMI, however often this is called:
//! which that is, the vault's record says ([`super::current`]).

use super::ConverterError;
use super::current::{self, Current, Found, Stored};
use super::make::{self, Made, Order};
use super::version::is_older;
use crate::agent::vault_key;
use crate::ami::BootMode;
use crate::aws::{AwsError, Kind, Session, ec2};
use crate::blocks::{self, BlockPlan, Limits};
use crate::image::ImageDigest;
use crate::vault::Vault;
use aws_sdk_ec2::types::SnapshotState;
use imgtool::pack::Manifest;
use std::fs::File;
use std::sync::Arc;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// Others that write the record at the same time, at most: each of them is somebody's bootstrap.
const MAX_ROUNDS: u32 = 10;

/// The converter's image, as it was built.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its manifest.
    pub manifest: Manifest,
    /// Its only pack.
    pub pack: Arc<File>,
    /// Which image it is.
    pub digest: ImageDigest,
    /// Version of the program in it.
    pub program_version: String,
    /// SHA-256 of the program.
    pub program_sha256: String,
}

/// What is to be done.
#[derive(Debug)]
pub struct Plan {
    /// What there is.
    pub found: Found,
    /// What has to be made; `None` if the AMI of this image is there.
    pub make: Option<Make>,
    /// ETag of the record that is to be replaced.
    replaces: Option<String>,
}

/// A snapshot to be made.
#[derive(Debug)]
pub struct Make {
    /// The snapshot that it is based on.
    pub parent: Option<String>,
    /// How many blocks are to be put.
    pub blocks: usize,
    base: Option<Base>,
    whole: BlockPlan,
    kms_key: String,
    gib: u32,
    boot: BootMode,
}

#[derive(Debug)]
struct Base {
    parent: String,
    plan: BlockPlan,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The AMI that is the converter's now.
    pub current: Current,
    /// Whether it was made here.
    pub is_new: bool,
    /// The one that it takes the place of.
    pub before: Option<Current>,
}

/// Decides what has to be made. Changes nothing. With `force`, an AMI of a newer program is replaced,
/// too.
///
/// # Errors
/// The AMI that is there is of a newer program, the vault is not there or its key can't be used, or
/// AWS refuses.
pub async fn plan(vault: &Vault, image: &Image, force: bool) -> Result<Plan, ConverterError> {
    let kms_key = vault_key(vault).await?;
    let stored = current::read(vault).await?;
    let replaces = stored.as_ref().map(|it| it.etag.clone());
    let found = found(&vault.session, stored).await?;
    if let Found::Available(current) | Found::Pending(current) = &found
        && current.digest == image.digest
    {
        return Ok(Plan {
            found,
            make: None,
            replaces,
        });
    }
    if let Found::Available(there) | Found::Pending(there) = &found
        && !force
        && is_older(&image.program_version, &there.program_version)
    {
        return Err(ConverterError::Newer {
            ami: there.ami.clone(),
            theirs: there.program_version.clone(),
            ours: image.program_version.clone(),
        });
    }
    let gib = gib(&image.manifest);
    let base = match found.current() {
        Some(it) => base(vault, image, it, &kms_key, gib).await?,
        None => None,
    };
    let whole = blocks::plan(&image.manifest, None)?;
    let boot = BootMode::of(&image.manifest.boot_modes)
        .ok_or_else(|| ConverterError::Step("the image boots on nothing".to_owned()))?;
    let make = Make {
        parent: base.as_ref().map(|it| it.parent.clone()),
        blocks: base.as_ref().map_or(&whole, |it| &it.plan).puts.len(),
        base,
        whole,
        kms_key,
        gib,
        boot,
    };
    Ok(Plan {
        found,
        make: Some(make),
        replaces,
    })
}

async fn found(session: &Session, stored: Option<Stored>) -> Result<Found, AwsError> {
    match stored.and_then(|it| it.current) {
        None => Ok(Found::None),
        Some(current) => current::look(session, current).await,
    }
}

/// The last AMI's snapshot, if it is there, its manifest is known, and a child of it has the key.
async fn base(
    vault: &Vault,
    image: &Image,
    current: &Current,
    kms_key: &str,
    gib: u32,
) -> Result<Option<Base>, ConverterError> {
    let snapshot = match ec2::snapshot(&vault.session, &current.snapshot).await {
        Err(error) if error.kind == Kind::Refused => None,
        snapshot => snapshot?.filter(|it| it.owner_id() == Some(&vault.session.account)),
    };
    let fits = snapshot.is_some_and(|it| {
        it.state() == Some(&SnapshotState::Completed)
            && it.encrypted() == Some(true)
            && it.kms_key_id() == Some(kms_key)
            && it
                .volume_size()
                .is_some_and(|it| i64::from(it) <= i64::from(gib))
    });
    if !fits {
        return Ok(None);
    }
    let Some(earlier) = current::manifest(vault, &current.digest).await? else {
        return Ok(None);
    };
    // What is wrong with the earlier one only makes this one whole.
    let Ok(plan) = blocks::plan(&image.manifest, Some(&earlier)) else {
        return Ok(None);
    };
    Ok(Some(Base {
        parent: current.snapshot.clone(),
        plan,
    }))
}

/// Does what was planned. `random` is nobody else's. If it fails or is cancelled, nothing is left of
/// it.
///
/// # Errors
/// AWS refuses, or `cancel`.
#[allow(clippy::too_many_arguments)]
pub async fn carry_out(
    vault: &Vault,
    image: &Image,
    plan: Plan,
    limits: &Limits,
    random: [u8; 16],
    now: OffsetDateTime,
    progress: &(dyn Fn(u64) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<Done, ConverterError> {
    let before = plan.found.current().cloned();
    let Some(make) = plan.make else {
        // There is nothing to make, so there is a record.
        let current = before.ok_or_else(|| ConverterError::Step("no record".to_owned()))?;
        return Ok(Done {
            current,
            is_new: false,
            before: None,
        });
    };
    let order = |base: Option<Base>, random| (base.map(|it| (it.parent, it.plan)), random);
    let mut tries = vec![order(None, again(random))];
    if make.base.is_some() {
        tries.push(order(make.base, random));
    }
    let mut made = None;
    // First on the parent, if there is one; then whole.
    while let (None, Some((base, random))) = (&made, tries.pop()) {
        let (parent, plan) = match base {
            Some((parent, plan)) => (Some(parent), plan),
            None => (None, make.whole.clone()),
        };
        let order = Order {
            session: &vault.session,
            names: &vault.names,
            image,
            kms_key: &make.kms_key,
            parent,
            plan: &plan,
            gib: make.gib,
            boot: make.boot,
            limits,
            random,
            now,
        };
        made = order.run(progress, cancel).await?;
    }
    let (ami, snapshot) = made.ok_or_else(|| ConverterError::Step("no snapshot".to_owned()))?;
    let current = Current::new(
        ami,
        snapshot,
        image.digest,
        &image.program_version,
        &image.program_sha256,
        now,
    );
    match record(vault, image, &current, plan.replaces, cancel).await {
        Ok(None) => Ok(Done {
            current,
            is_new: true,
            before,
        }),
        Ok(Some(theirs)) => {
            let left = make::undo(&vault.session, &made_of(&current)).await;
            if !left.is_empty() {
                let why = ConverterError::Step(format!("{} was there first", theirs.ami));
                let why = Box::new(why);
                return Err(ConverterError::Left { why, left });
            }
            Ok(Done {
                current: theirs,
                is_new: false,
                before: None,
            })
        }
        Err(error) => {
            let left = make::undo(&vault.session, &made_of(&current)).await;
            Err(make::with_left(error, left))
        }
    }
}

fn made_of(current: &Current) -> Made {
    Made {
        snapshot: Some(current.snapshot.clone()),
        ami: Some(current.ami.clone()),
    }
}

/// Writes down which AMI is the converter's. If somebody else made one of the same image meanwhile,
/// theirs it is.
async fn record(
    vault: &Vault,
    image: &Image,
    current: &Current,
    mut replaces: Option<String>,
    cancel: &CancellationToken,
) -> Result<Option<Current>, ConverterError> {
    if cancel.is_cancelled() {
        return Err(ConverterError::Interrupted);
    }
    current::keep_manifest(vault, &image.manifest).await?;
    for _ in 0..MAX_ROUNDS {
        let written = current::write(vault, current, replaces.clone()).await?;
        if written.is_some() {
            return Ok(None);
        }
        let stored = current::read(vault).await?;
        replaces = stored.as_ref().map(|it| it.etag.clone());
        let theirs = stored.and_then(|it| it.current);
        match theirs {
            // An answer that was lost.
            Some(it) if it == *current => return Ok(None),
            Some(it) if it.digest == current.digest => {
                if let Found::Available(it) | Found::Pending(it) =
                    current::look(&vault.session, it).await?
                {
                    return Ok(Some(it));
                }
            }
            _ => {}
        }
    }
    Err(ConverterError::Step(format!(
        "s3://{}/{}: others keep changing it",
        vault.names.bucket(),
        current::KEY
    )))
}

/// Another value, as random as the first.
fn again(mut random: [u8; 16]) -> [u8; 16] {
    random.reverse();
    random.map(|it| !it)
}

/// Size of the volume.
fn gib(manifest: &Manifest) -> u32 {
    u32::try_from(manifest.size.div_ceil(1 << 30)).unwrap_or(u32::MAX)
}

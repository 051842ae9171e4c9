//! Converter AMIs that have had their day: those that another took the place of, and what a bootstrap
//! that was killed left behind. What an instance still runs of stays.

use super::current;
use super::{ConverterError, make, tags};
use crate::ami::images::deregister;
use crate::aws::ec2::instances::{self, Instance};
use crate::aws::{AwsError, Kind, ec2};
use crate::image::ImageDigest;
use crate::vault::{Names, Vault};
use aws_sdk_ec2::types::{Filter, Image, Snapshot};
use std::collections::BTreeSet;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

/// What is younger may be another bootstrap's, which has not written it down yet.
const GRACE: Duration = Duration::hours(1);

/// What can be taken away, and what can't yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prune {
    /// AMIs to deregister, with the snapshots of their roots.
    pub amis: Vec<Old>,
    /// Snapshots that no AMI has.
    pub snapshots: Vec<String>,
    /// AMIs that instances run of.
    pub in_use: Vec<(String, Vec<String>)>,
    /// Whether the record goes, too.
    pub record: bool,
}

/// An AMI that has had its day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Old {
    /// The AMI.
    pub ami: String,
    /// The snapshot of its root, if that is the converter's own.
    pub snapshot: Option<String>,
    /// The image that its tag says it is of.
    pub digest: Option<ImageDigest>,
}

impl Prune {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.amis.is_empty() && self.snapshots.is_empty() && !self.record
    }
}

/// Decides what can be taken away: all but the AMI that the vault's record names, or, with `all`,
/// that one, too. `replaced` is one that is known to be done with, however young.
///
/// # Errors
/// AWS refuses.
pub async fn plan(
    vault: &Vault,
    all: bool,
    replaced: Option<&str>,
    now: OffsetDateTime,
) -> Result<Prune, ConverterError> {
    let stored = current::read(vault).await?;
    let current = stored.as_ref().and_then(|it| it.current.as_ref());
    let is_current = |id: &str| current.is_some_and(|it| it.ami == id);
    let images = images(vault).await?;
    let snapshots = snapshots(vault).await?;
    let ours: BTreeSet<&str> = snapshots.iter().filter_map(|it| it.snapshot_id()).collect();
    let mut prune = Prune {
        record: all && stored.is_some(),
        ..Prune::default()
    };
    let mut kept: BTreeSet<&str> = BTreeSet::new();
    for image in &images {
        let Some(id) = image.image_id() else { continue };
        let root = ec2::root_snapshot(image);
        let made = image
            .creation_date()
            .and_then(|it| OffsetDateTime::parse(it, &Rfc3339).ok());
        let is_old = all || replaced == Some(id) || made.is_some_and(|it| now - it > GRACE);
        let goes = if is_current(id) { all } else { is_old };
        if !goes {
            kept.extend(root);
            continue;
        }
        let instances = instances::of_ami(&vault.session, id).await?.into_iter();
        let running: Vec<String> = instances
            .filter(Instance::has_disk)
            .map(|it| it.id)
            .collect();
        if !running.is_empty() {
            kept.extend(root);
            prune.in_use.push((id.to_owned(), running));
            prune.record &= !is_current(id);
            continue;
        }
        let digest = ec2::tag(image.tags(), tags::DIGEST);
        prune.amis.push(Old {
            ami: id.to_owned(),
            snapshot: root.filter(|it| ours.contains(it)).map(str::to_owned),
            digest: digest.and_then(|digest| digest.parse().ok()),
        });
    }
    let of_amis: BTreeSet<&str> = images.iter().filter_map(ec2::root_snapshot).collect();
    for snapshot in &snapshots {
        let Some(id) = snapshot.snapshot_id() else {
            continue;
        };
        let started = snapshot
            .start_time()
            .and_then(|it| OffsetDateTime::from_unix_timestamp(it.secs()).ok());
        let is_old = all || started.is_some_and(|it| now - it > GRACE);
        if is_old && !of_amis.contains(id) && !kept.contains(id) {
            prune.snapshots.push(id.to_owned());
        }
    }
    Ok(prune)
}

/// Does it. Gives what could not be taken away.
///
/// # Errors
/// AWS refuses.
pub async fn carry_out(vault: &Vault, prune: &Prune) -> Result<Vec<String>, ConverterError> {
    if prune.record {
        // First: nobody launches what is about to go.
        current::clear(vault).await?;
    }
    let stays = current::read(vault).await?.and_then(|it| it.current);
    let mut left = Vec::new();
    for Old {
        ami,
        snapshot,
        digest,
    } in &prune.amis
    {
        if stays.as_ref().is_some_and(|it| it.ami == *ami) {
            // It was made the converter's meanwhile.
            continue;
        }
        deregister(&vault.session, ami).await?;
        let made = make::Made {
            snapshot: snapshot.clone(),
            ami: None,
        };
        left.extend(make::undo(&vault.session, &made).await);
        let digest = digest.filter(|it| stays.as_ref().is_none_or(|stays| stays.digest != *it));
        if let Some(digest) = digest {
            current::forget_manifest(vault, &digest).await?;
        }
    }
    for snapshot in &prune.snapshots {
        let made = make::Made {
            snapshot: Some(snapshot.clone()),
            ami: None,
        };
        left.extend(make::undo(&vault.session, &made).await);
    }
    Ok(left)
}

/// The account's own images that are a converter's of this vault by tag and by name.
async fn images(vault: &Vault) -> Result<Vec<Image>, AwsError> {
    let mut images = ec2::own_images(&vault.session, vec![tagged(&vault.names)]).await?;
    images.retain(|image| {
        image
            .name()
            .is_some_and(|name| tags::is_ami_name(&vault.names, name))
    });
    Ok(images)
}

/// The account's own snapshots that are such images' by tag and by description.
async fn snapshots(vault: &Vault) -> Result<Vec<Snapshot>, AwsError> {
    let mut snapshots =
        match ec2::own_snapshots(&vault.session, vec![tagged(&vault.names)], usize::MAX).await {
            // One went while they were listed: the next time, the others are.
            Err(error) if error.kind == Kind::NotFound => Vec::new(),
            snapshots => snapshots?,
        };
    let prefix = tags::snapshot_prefix(&vault.names);
    snapshots.retain(|snapshot| {
        let description = snapshot.description();
        let digest = description.and_then(|description| description.strip_prefix(&prefix));
        digest.is_some_and(|digest| digest.parse::<ImageDigest>().is_ok())
    });
    Ok(snapshots)
}

fn tagged(names: &Names) -> Filter {
    ec2::tag_filter(tags::CONVERTER, &names.vault)
}

//! Takes a whole vault away, and first the instances that work for it.

mod plan;

pub use plan::{Facts, KeyFact, Removal, Step, removal};

use crate::aws::ec2::instances::{self, Instance};
use crate::aws::{AwsError, Owner, Session, ec2};
use crate::fleet::{group, status};
use crate::vault::images::list_images;
use crate::vault::parts::keys::{self, Found};
use crate::vault::parts::{optional, queues, role};
use crate::vault::remove::{
    remove_alias, remove_bucket, remove_profile, remove_queue, remove_role, schedule_deletion,
};
use crate::vault::{Vault, VaultError, tags};
use aws_sdk_ec2::types::{Image, ImageState};
use aws_sdk_kms::types::KeyState;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether an instance is gone, and how many times.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const MOST_LOOKS: u32 = 150;

/// Looks at what there is of a vault.
///
/// # Errors
/// AWS refuses.
pub async fn look_for_removal(vault: &Vault) -> Result<Facts, VaultError> {
    let all = status::of_vault(vault).await?;
    let up = all.into_iter().filter(Instance::is_up);
    let mut facts = Facts {
        converters: up.map(|it| it.id).collect(),
        groups: group::all(vault).await?,
        profile: role::roles_of(&vault.session, &vault.names.role())
            .await?
            .is_some(),
        role: optional(
            "iam GetRole",
            vault
                .session
                .iam
                .get_role()
                .role_name(vault.names.role())
                .send()
                .await,
        )?
        .is_some(),
        ..Facts::default()
    };
    for queue in [vault.names.queue(), vault.names.dead_letter_queue()] {
        if queues::url(&vault.session, &queue).await?.is_some() {
            facts.queues.push(queue);
        }
    }
    match vault.bucket().owner().await? {
        Owner::Nobody => {}
        Owner::SomebodyElse => facts.bucket = Some(false),
        Owner::Us => {
            facts.bucket = Some(true);
            facts.images = list_images(vault, None).await?.len();
        }
    }
    let mut keys: Vec<Found> = keys::all_of(vault).await?;
    for alias in [vault.names.encryption_alias(), vault.names.signing_alias()] {
        if let Some(key) = keys::find(vault, &alias, true).await? {
            facts.aliases.push(alias);
            if !keys.iter().any(|it| it.arn == key.arn) {
                keys.push(key);
            }
        }
    }
    for key in keys {
        let pending = key.state == KeyState::PendingDeletion;
        let users = if key.ours && !pending {
            users_of(&vault.session, &key.arn).await?
        } else {
            Vec::new()
        };
        facts.keys.push(KeyFact {
            arn: key.arn,
            ours: key.ours,
            pending,
            users,
        });
    }
    facts.amis = amis(vault).await?;
    Ok(facts)
}

/// Snapshots and volumes that are encrypted with a key.
async fn users_of(session: &Session, key: &str) -> Result<Vec<String>, AwsError> {
    let encrypted = || vec![ec2::filter("encrypted", &["true"])];
    let is_its = |id: &Option<String>| id.as_deref() == Some(key);
    let snapshots = ec2::own_snapshots(session, encrypted(), usize::MAX).await?;
    let snapshots = snapshots.into_iter().filter(|it| is_its(&it.kms_key_id));
    let mut users: Vec<String> = snapshots.filter_map(|it| it.snapshot_id).collect();
    let volumes = ec2::volumes(session, encrypted()).await?;
    let volumes = volumes.into_iter().filter(|it| is_its(&it.kms_key_id));
    users.extend(volumes.filter_map(|it| it.volume_id));
    Ok(users)
}

/// The images that were made from this vault, but for those that their owner disabled.
async fn amis(vault: &Vault) -> Result<Vec<String>, AwsError> {
    let filters = vec![ec2::tag_filter(tags::VAULT, &vault.names.vault)];
    let images = ec2::own_images(&vault.session, filters).await?;
    let is_enabled = |image: &Image| image.state() != Some(&ImageState::Disabled);
    let enabled = images.into_iter().filter(is_enabled);
    Ok(enabled.filter_map(|image| image.image_id).collect())
}

/// Does it, and tells of each step before it is taken. Interrupted, another `remove` goes on.
///
/// # Errors
/// AWS refuses, or `cancel`.
pub async fn remove(
    vault: &Vault,
    removal: &Removal,
    key_days: u8,
    tell: &(dyn Fn(&Step) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<(), VaultError> {
    for step in &removal.steps {
        if cancel.is_cancelled() {
            return Err(VaultError::Cancelled);
        }
        tell(step);
        match step {
            Step::Converter(id) => end_converter(&vault.session, id, cancel).await?,
            Step::SecurityGroup(id) => remove_group(&vault.session, id, cancel).await?,
            Step::InstanceProfile(name) => remove_profile(&vault.session, name).await?,
            Step::Role(name) => remove_role(&vault.session, name).await?,
            Step::Queue(name) => remove_queue(&vault.session, name).await?,
            Step::Bucket(_) => remove_bucket(vault, cancel).await?,
            Step::Key(arn) => schedule_deletion(&vault.session, arn, key_days).await?,
            Step::Alias(name) => remove_alias(&vault.session, name).await?,
        }
    }
    Ok(())
}

/// Terminates an instance. It goes on while it shuts down: what it holds is not free before that.
async fn end_converter(
    session: &Session,
    id: &str,
    cancel: &CancellationToken,
) -> Result<(), VaultError> {
    instances::terminate(session, id).await?;
    for _ in 0..MOST_LOOKS {
        let there = instances::one(session, id).await?;
        if !there.is_some_and(|it| it.has_disk()) {
            break;
        }
        pause(cancel).await?;
    }
    Ok(())
}

/// Deletes a security group, once nothing has it any more.
async fn remove_group(
    session: &Session,
    id: &str,
    cancel: &CancellationToken,
) -> Result<(), VaultError> {
    let mut looks = 0;
    loop {
        match group::delete(session, id).await {
            Err(error) if error.code == "DependencyViolation" && looks < MOST_LOOKS => {
                looks += 1;
                pause(cancel).await?;
            }
            answer => return Ok(answer?),
        }
    }
}

async fn pause(cancel: &CancellationToken) -> Result<(), VaultError> {
    tokio::select! {
        () = tokio::time::sleep(LOOK_EVERY) => Ok(()),
        () = cancel.cancelled() => Err(VaultError::Cancelled),
    }
}

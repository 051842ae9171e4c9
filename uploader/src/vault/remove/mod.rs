//! Takes a whole vault away.

mod plan;

pub use plan::{Facts, KeyFact, Removal, Step, removal};

use super::delete::{BATCH, delete, identifier};
use super::parts::bucket::{self, Owner};
use super::parts::keys::{self, Found};
use super::parts::{optional, queues, role};
use super::{Names, VaultError, tags};
use crate::aws::{AwsError, Session};
use crate::converter::instance::Instance;
use crate::converter::{group, instances};
use crate::store::list_images;
use aws_sdk_ec2::types::Filter;
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
pub async fn look_for_removal(session: &Session, names: &Names) -> Result<Facts, VaultError> {
    let all = instances::of_vault(session, names).await?;
    let up = all.into_iter().filter(Instance::is_up);
    let mut facts = Facts {
        converters: up.map(|it| it.id).collect(),
        groups: group::all(session, names).await?,
        profile: role::roles_of(session, &names.role()).await?.is_some(),
        role: optional(
            "iam GetRole",
            session.iam.get_role().role_name(names.role()).send().await,
        )?
        .is_some(),
        ..Facts::default()
    };
    for queue in [names.queue(), names.dead_letter_queue()] {
        if queues::url(session, &queue).await?.is_some() {
            facts.queues.push(queue);
        }
    }
    match bucket::owner(session, names).await? {
        Owner::Nobody => {}
        Owner::SomebodyElse => facts.bucket = Some(false),
        Owner::Us => {
            facts.bucket = Some(true);
            facts.images = list_images(session, names, None).await?.len();
        }
    }
    let mut keys: Vec<Found> = keys::all_of(session, names).await?;
    for alias in [names.encryption_alias(), names.signing_alias()] {
        if let Some(key) = keys::find(session, names, &alias, true).await? {
            facts.aliases.push(alias);
            if !keys.iter().any(|it| it.arn == key.arn) {
                keys.push(key);
            }
        }
    }
    for key in keys {
        let pending = key.state == KeyState::PendingDeletion;
        let users = if key.ours && !pending {
            users_of(session, &key.arn).await?
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
    facts.amis = amis(session, names).await?;
    Ok(facts)
}

/// Snapshots and volumes that are encrypted with a key.
async fn users_of(session: &Session, key: &str) -> Result<Vec<String>, AwsError> {
    let encrypted = || Filter::builder().name("encrypted").values("true").build();
    let mut users = Vec::new();
    let snapshots = session.ec2.describe_snapshots().owner_ids("self");
    let mut pages = snapshots.filters(encrypted()).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new("ec2 DescribeSnapshots", error))?;
        for it in page.snapshots.unwrap_or_default() {
            if it.kms_key_id.as_deref() == Some(key) {
                users.extend(it.snapshot_id);
            }
        }
    }
    let volumes = session.ec2.describe_volumes().filters(encrypted());
    let mut pages = volumes.into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new("ec2 DescribeVolumes", error))?;
        for it in page.volumes.unwrap_or_default() {
            if it.kms_key_id.as_deref() == Some(key) {
                users.extend(it.volume_id);
            }
        }
    }
    Ok(users)
}

async fn amis(session: &Session, names: &Names) -> Result<Vec<String>, AwsError> {
    let tag = Filter::builder()
        .name(format!("tag:{}", tags::VAULT))
        .values(&names.vault)
        .build();
    let images = session.ec2.describe_images().owners("self").filters(tag);
    let mut pages = images.into_paginator().send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new("ec2 DescribeImages", error))?;
        let images = page.images.unwrap_or_default();
        all.extend(images.into_iter().filter_map(|it| it.image_id));
    }
    Ok(all)
}

/// Does it, and tells of each step before it is taken. Interrupted, another `remove` goes on.
///
/// # Errors
/// AWS refuses, or `cancel`.
pub async fn remove(
    session: &Session,
    names: &Names,
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
            Step::Converter(id) => end_converter(session, id, cancel).await?,
            Step::SecurityGroup(id) => remove_group(session, id, cancel).await?,
            Step::InstanceProfile(name) => remove_profile(session, name).await?,
            Step::Role(name) => remove_role(session, name).await?,
            Step::Queue(name) => remove_queue(session, name).await?,
            Step::Bucket(_) => remove_bucket(session, names, cancel).await?,
            Step::Key(arn) => schedule_deletion(session, arn, key_days).await?,
            Step::Alias(name) => {
                let answer = session.kms.delete_alias().alias_name(name).send().await;
                optional("kms DeleteAlias", answer)?;
            }
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

async fn remove_profile(session: &Session, name: &str) -> Result<(), AwsError> {
    let there = role::roles_of(session, name).await?;
    for role in there.map(|(roles, _)| roles).unwrap_or_default() {
        role::remove_from_profile(session, name, &role).await?;
    }
    let request = session.iam.delete_instance_profile();
    let answer = request.instance_profile_name(name).send().await;
    optional("iam DeleteInstanceProfile", answer).map(drop)
}

async fn remove_role(session: &Session, name: &str) -> Result<(), AwsError> {
    role::detach_all(session, name).await?;
    let policies = role::policy_names(session, name).await?;
    role::delete_policies(session, name, policies.iter()).await?;
    let answer = session.iam.delete_role().role_name(name).send().await;
    optional("iam DeleteRole", answer).map(drop)
}

async fn remove_queue(session: &Session, name: &str) -> Result<(), AwsError> {
    let Some(url) = queues::url(session, name).await? else {
        return Ok(());
    };
    let answer = session.sqs.delete_queue().queue_url(url).send().await;
    optional("sqs DeleteQueue", answer).map(drop)
}

async fn schedule_deletion(session: &Session, arn: &str, days: u8) -> Result<(), AwsError> {
    let request = session.kms.schedule_key_deletion().key_id(arn);
    let answer = request.pending_window_in_days(days.into()).send().await;
    optional("kms ScheduleKeyDeletion", answer).map(drop)
}

async fn remove_bucket(
    session: &Session,
    names: &Names,
    cancel: &CancellationToken,
) -> Result<(), VaultError> {
    // Somebody may still be pushing: what came while it was emptied is emptied too.
    const ROUNDS: u32 = 5;
    let mut round = 1;
    loop {
        end_uploads(session, names, cancel).await?;
        delete_versions(session, names, cancel).await?;
        let answer = session
            .s3
            .delete_bucket()
            .bucket(names.bucket())
            .expected_bucket_owner(&names.account)
            .send()
            .await;
        match optional("s3 DeleteBucket", answer) {
            Err(error) if error.code == "BucketNotEmpty" && round < ROUNDS => round += 1,
            answer => return Ok(answer.map(drop)?),
        }
    }
}

/// Ends all uploads in parts. They leave the list as they end, so the list is read from its start
/// until nothing is in it.
async fn end_uploads(
    session: &Session,
    names: &Names,
    cancel: &CancellationToken,
) -> Result<(), VaultError> {
    loop {
        let request = session.s3.list_multipart_uploads().bucket(names.bucket());
        let answer = request.expected_bucket_owner(&names.account).send().await;
        let answer = optional("s3 ListMultipartUploads", answer)?;
        let uploads = answer.and_then(|it| it.uploads).unwrap_or_default();
        if uploads.is_empty() {
            return Ok(());
        }
        for upload in uploads {
            if cancel.is_cancelled() {
                return Err(VaultError::Cancelled);
            }
            let answer = session
                .s3
                .abort_multipart_upload()
                .bucket(names.bucket())
                .expected_bucket_owner(&names.account)
                .set_key(upload.key)
                .set_upload_id(upload.upload_id)
                .send()
                .await;
            optional("s3 AbortMultipartUpload", answer)?;
        }
    }
}

/// Deletes all versions and delete markers, in the same way.
async fn delete_versions(
    session: &Session,
    names: &Names,
    cancel: &CancellationToken,
) -> Result<(), VaultError> {
    loop {
        let request = session.s3.list_object_versions().bucket(names.bucket());
        let answer = request.expected_bucket_owner(&names.account).send().await;
        let Some(answer) = optional("s3 ListObjectVersions", answer)? else {
            return Ok(());
        };
        let versions = answer
            .versions()
            .iter()
            .map(|it| (it.key(), it.version_id()));
        let markers = answer.delete_markers().iter();
        let markers = markers.map(|it| (it.key(), it.version_id()));
        let all = versions
            .chain(markers)
            .filter_map(|(key, version)| Some(identifier(key?, version)))
            .collect::<Result<Vec<_>, _>>()?;
        if all.is_empty() {
            return Ok(());
        }
        for batch in all.chunks(BATCH) {
            if cancel.is_cancelled() {
                return Err(VaultError::Cancelled);
            }
            delete(session, names, batch.to_vec()).await?.all()?;
        }
    }
}

//! The bucket.

use super::super::{Setting, Settings, Vault, VaultError, tags};
use super::{built, document, optional, our_tags, pairs};
use crate::aws::{AwsError, Owner};
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketLocationConstraint,
    BucketVersioningStatus, CreateBucketConfiguration, ExpirationStatus, LifecycleExpiration,
    LifecycleRule, LifecycleRuleFilter, NoncurrentVersionExpiration, ObjectOwnership,
    OwnershipControls, OwnershipControlsRule, PublicAccessBlockConfiguration, ServerSideEncryption,
    ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
    Tag, Tagging, VersioningConfiguration,
};
use serde_json::{Map, Value, json};

/// The bucket's settings; `None` if there is none.
pub(crate) async fn inspect(vault: &Vault) -> Result<Option<Settings>, VaultError> {
    let mut settings = Settings::new();
    match vault.bucket().owner().await? {
        Owner::Nobody => return Ok(None),
        Owner::SomebodyElse => return Ok(Some(settings)),
        Owner::Us => settings.insert(Setting::Owner, json!(vault.names.account)),
    };
    let (public, ownership, encryption, versioning, lifecycle, policy, tags) = tokio::try_join!(
        public_access(vault),
        ownership(vault),
        encryption(vault),
        versioning(vault),
        lifecycle(vault),
        policy(vault),
        all_tags(vault),
    )?;
    let read = [
        (Setting::PublicAccess, public),
        (Setting::Ownership, ownership),
        (Setting::Encryption, encryption),
        (Setting::Versioning, versioning),
        (Setting::Lifecycle, lifecycle),
        (Setting::Policy, policy),
    ];
    settings.extend(read.into_iter().filter_map(|(key, it)| Some((key, it?))));
    let tags = tags.iter().map(|it| (it.key(), it.value()));
    settings.insert(Setting::Tags, our_tags(tags));
    Ok(Some(settings))
}

/// Makes it.
pub(crate) async fn create(vault: &Vault) -> Result<(), VaultError> {
    let place = (vault.names.region != "us-east-1").then(|| {
        CreateBucketConfiguration::builder()
            .location_constraint(BucketLocationConstraint::from(vault.names.region.as_str()))
            .build()
    });
    let answer = vault
        .bucket()
        .create_bucket()
        .set_create_bucket_configuration(place)
        .object_ownership(ObjectOwnership::BucketOwnerEnforced)
        .send()
        .await
        .map_err(|error| AwsError::new("s3 CreateBucket", error));
    match answer {
        Ok(_) => Ok(()),
        // An answer was lost and the call repeated.
        Err(error) if error.code == "BucketAlreadyOwnedByYou" => Ok(()),
        Err(error) if error.code == "BucketAlreadyExists" => Err(VaultError::ForeignBucket {
            bucket: vault.names.bucket(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// Sets something of it.
pub(crate) async fn set(vault: &Vault, setting: Setting, value: &Value) -> Result<(), VaultError> {
    match setting {
        Setting::PublicAccess => set_public_access(vault, value).await?,
        Setting::Ownership => set_ownership(vault, value).await?,
        Setting::Encryption => set_encryption(vault, value).await?,
        Setting::Versioning => set_versioning(vault, value).await?,
        Setting::Lifecycle => set_lifecycle(vault, value).await?,
        Setting::Policy => set_policy(vault, value).await?,
        Setting::Tags => set_tags(vault, value).await?,
        _ => {}
    }
    Ok(())
}

async fn public_access(vault: &Vault) -> Result<Option<Value>, AwsError> {
    let answer = vault.bucket().get_public_access_block().send().await;
    let answer = optional("s3 GetPublicAccessBlock", answer)?;
    Ok(answer
        .and_then(|it| it.public_access_block_configuration)
        .map(|it| {
            json!({
                "BlockPublicAcls": it.block_public_acls() == Some(true),
                "BlockPublicPolicy": it.block_public_policy() == Some(true),
                "IgnorePublicAcls": it.ignore_public_acls() == Some(true),
                "RestrictPublicBuckets": it.restrict_public_buckets() == Some(true),
            })
        }))
}

async fn set_public_access(vault: &Vault, to: &Value) -> Result<(), AwsError> {
    let is = |key: &str| to[key] == true;
    let block = PublicAccessBlockConfiguration::builder()
        .block_public_acls(is("BlockPublicAcls"))
        .block_public_policy(is("BlockPublicPolicy"))
        .ignore_public_acls(is("IgnorePublicAcls"))
        .restrict_public_buckets(is("RestrictPublicBuckets"))
        .build();
    vault
        .bucket()
        .put_public_access_block()
        .public_access_block_configuration(block)
        .send()
        .await
        .map(drop)
        .map_err(|error| AwsError::new("s3 PutPublicAccessBlock", error))
}

async fn ownership(vault: &Vault) -> Result<Option<Value>, AwsError> {
    let answer = vault.bucket().get_bucket_ownership_controls().send().await;
    let answer = optional("s3 GetBucketOwnershipControls", answer)?;
    let rule = answer
        .and_then(|it| it.ownership_controls)
        .and_then(|it| it.rules.into_iter().next());
    Ok(rule.map(|it| json!(it.object_ownership().as_str())))
}

async fn set_ownership(vault: &Vault, to: &Value) -> Result<(), AwsError> {
    const OPERATION: &str = "s3 PutBucketOwnershipControls";
    let to = ObjectOwnership::from(to.as_str().unwrap_or_default());
    let rule = OwnershipControlsRule::builder()
        .object_ownership(to)
        .build();
    let controls = OwnershipControls::builder().rules(built(OPERATION, rule)?);
    vault
        .bucket()
        .put_bucket_ownership_controls()
        .ownership_controls(built(OPERATION, controls.build())?)
        .send()
        .await
        .map(drop)
        .map_err(|error| AwsError::new(OPERATION, error))
}

async fn encryption(vault: &Vault) -> Result<Option<Value>, AwsError> {
    let answer = vault.bucket().get_bucket_encryption().send().await;
    let answer = optional("s3 GetBucketEncryption", answer)?;
    let rule = answer
        .and_then(|it| it.server_side_encryption_configuration)
        .and_then(|it| it.rules.into_iter().next());
    Ok(rule.map(|rule| {
        let default = rule.apply_server_side_encryption_by_default();
        json!({
            "SSEAlgorithm": default.map(|it| it.sse_algorithm().as_str()),
            "KMSMasterKeyID": default.and_then(|it| it.kms_master_key_id()),
            "BucketKeyEnabled": rule.bucket_key_enabled() == Some(true),
        })
    }))
}

async fn set_encryption(vault: &Vault, to: &Value) -> Result<(), AwsError> {
    const OPERATION: &str = "s3 PutBucketEncryption";
    let text = |key: &str| to[key].as_str().unwrap_or_default();
    let default = ServerSideEncryptionByDefault::builder()
        .sse_algorithm(ServerSideEncryption::from(text("SSEAlgorithm")))
        .kms_master_key_id(text("KMSMasterKeyID"));
    let rule = ServerSideEncryptionRule::builder()
        .apply_server_side_encryption_by_default(built(OPERATION, default.build())?)
        .bucket_key_enabled(to["BucketKeyEnabled"] == true)
        .build();
    let configuration = ServerSideEncryptionConfiguration::builder().rules(rule);
    vault
        .bucket()
        .put_bucket_encryption()
        .server_side_encryption_configuration(built(OPERATION, configuration.build())?)
        .send()
        .await
        .map(drop)
        .map_err(|error| AwsError::new(OPERATION, error))
}

async fn versioning(vault: &Vault) -> Result<Option<Value>, AwsError> {
    let answer = vault.bucket().get_bucket_versioning().send().await;
    let answer = optional("s3 GetBucketVersioning", answer)?;
    Ok(answer.and_then(|it| it.status).map(|it| json!(it.as_str())))
}

async fn set_versioning(vault: &Vault, to: &Value) -> Result<(), AwsError> {
    let status = BucketVersioningStatus::from(to.as_str().unwrap_or_default());
    vault
        .bucket()
        .put_bucket_versioning()
        .versioning_configuration(VersioningConfiguration::builder().status(status).build())
        .send()
        .await
        .map(drop)
        .map_err(|error| AwsError::new("s3 PutBucketVersioning", error))
}

async fn lifecycle(vault: &Vault) -> Result<Option<Value>, AwsError> {
    let answer = vault
        .bucket()
        .get_bucket_lifecycle_configuration()
        .send()
        .await;
    let answer = optional("s3 GetBucketLifecycleConfiguration", answer)?;
    Ok(answer.map(|it| {
        let mut rules: Vec<Value> = it.rules().iter().map(rule_json).collect();
        rules.sort_by_key(|rule| rule["ID"].as_str().unwrap_or_default().to_owned());
        rules.into()
    }))
}

/// What a rule does, and on what if not on all.
fn rule_json(rule: &LifecycleRule) -> Value {
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            out.insert(key.to_owned(), value);
        }
    };
    put("ID", json!(rule.id()));
    put("Status", json!(rule.status().as_str()));
    let filter = rule.filter();
    let prefix = filter
        .and_then(|it| it.prefix())
        .filter(|it| !it.is_empty());
    put("Prefix", json!(prefix));
    let narrow = filter.is_some_and(|it| {
        it.tag().is_some()
            || it.and().is_some()
            || it.object_size_greater_than().is_some()
            || it.object_size_less_than().is_some()
    });
    if narrow {
        put("Filter", json!(format!("{filter:?}")));
    }
    let upload = rule.abort_incomplete_multipart_upload();
    put(
        "AbortIncompleteMultipartUploadDays",
        json!(upload.and_then(|it| it.days_after_initiation())),
    );
    let old = rule.noncurrent_version_expiration();
    put(
        "NoncurrentVersionExpirationDays",
        json!(old.and_then(|it| it.noncurrent_days())),
    );
    let expiration = rule.expiration();
    put(
        "ExpiredObjectDeleteMarker",
        json!(expiration.and_then(|it| it.expired_object_delete_marker())),
    );
    put(
        "ExpirationDays",
        json!(expiration.and_then(|it| it.days()).filter(|it| *it != 0)),
    );
    if let Some(date) = expiration.and_then(|it| it.date()) {
        put("ExpirationDate", json!(date.to_string()));
    }
    let transitions = rule.transitions().len() + rule.noncurrent_version_transitions().len();
    if transitions > 0 {
        put("Transitions", json!(transitions));
    }
    Value::Object(out)
}

async fn set_lifecycle(vault: &Vault, to: &Value) -> Result<(), AwsError> {
    const OPERATION: &str = "s3 PutBucketLifecycleConfiguration";
    let mut configuration = BucketLifecycleConfiguration::builder();
    for rule in to.as_array().into_iter().flatten() {
        let days = |key: &str| rule[key].as_i64().and_then(|it| i32::try_from(it).ok());
        let upload = days("AbortIncompleteMultipartUploadDays").map(|days| {
            AbortIncompleteMultipartUpload::builder()
                .days_after_initiation(days)
                .build()
        });
        let old = days("NoncurrentVersionExpirationDays").map(|days| {
            NoncurrentVersionExpiration::builder()
                .noncurrent_days(days)
                .build()
        });
        let markers = rule["ExpiredObjectDeleteMarker"].as_bool().map(|it| {
            LifecycleExpiration::builder()
                .expired_object_delete_marker(it)
                .build()
        });
        let rule = LifecycleRule::builder()
            .set_id(rule["ID"].as_str().map(str::to_owned))
            .status(ExpirationStatus::from(
                rule["Status"].as_str().unwrap_or_default(),
            ))
            .filter(LifecycleRuleFilter::builder().prefix("").build())
            .set_abort_incomplete_multipart_upload(upload)
            .set_noncurrent_version_expiration(old)
            .set_expiration(markers);
        configuration = configuration.rules(built(OPERATION, rule.build())?);
    }
    let configuration = built(OPERATION, configuration.build())?;
    vault
        .bucket()
        .put_bucket_lifecycle_configuration()
        .lifecycle_configuration(configuration)
        .send()
        .await
        .map(drop)
        .map_err(|error| AwsError::new(OPERATION, error))
}

async fn policy(vault: &Vault) -> Result<Option<Value>, AwsError> {
    let answer = vault.bucket().get_bucket_policy().send().await;
    let answer = optional("s3 GetBucketPolicy", answer)?;
    Ok(answer.and_then(|it| it.policy).map(|it| document(&it)))
}

async fn set_policy(vault: &Vault, to: &Value) -> Result<(), AwsError> {
    vault
        .bucket()
        .put_bucket_policy()
        .policy(to.to_string())
        .send()
        .await
        .map(drop)
        .map_err(|error| AwsError::new("s3 PutBucketPolicy", error))
}

async fn all_tags(vault: &Vault) -> Result<Vec<Tag>, AwsError> {
    let answer = vault.bucket().get_bucket_tagging().send().await;
    let answer = optional("s3 GetBucketTagging", answer)?;
    Ok(answer.map(|it| it.tag_set).unwrap_or_default())
}

/// A bucket's tags are put all at once: those of others are put again.
async fn set_tags(vault: &Vault, to: &Value) -> Result<(), AwsError> {
    const OPERATION: &str = "s3 PutBucketTagging";
    let mut tagging = Tagging::builder();
    for tag in all_tags(vault).await? {
        if !tag.key().starts_with(tags::PREFIX) {
            tagging = tagging.tag_set(tag);
        }
    }
    for (key, value) in pairs(to) {
        let tag = Tag::builder().key(key).value(value).build();
        tagging = tagging.tag_set(built(OPERATION, tag)?);
    }
    vault
        .bucket()
        .put_bucket_tagging()
        .tagging(built(OPERATION, tagging.build())?)
        .send()
        .await
        .map(drop)
        .map_err(|error| AwsError::new(OPERATION, error))
}

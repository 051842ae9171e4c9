//! The bucket.

use super::super::{Names, Setting, Settings, VaultError, tags};
use super::{built, document, optional, our_tags, pairs};
use crate::aws::{AwsError, Kind, Session};
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketLocationConstraint,
    BucketVersioningStatus, CreateBucketConfiguration, ExpirationStatus, LifecycleExpiration,
    LifecycleRule, LifecycleRuleFilter, NoncurrentVersionExpiration, ObjectOwnership,
    OwnershipControls, OwnershipControlsRule, PublicAccessBlockConfiguration, ServerSideEncryption,
    ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
    Tag, Tagging, VersioningConfiguration,
};
use serde_json::{Map, Value, json};

/// Whose the bucket of a vault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Nobody,
    Us,
    /// Or somebody who does not let us look.
    SomebodyElse,
}

pub(crate) async fn owner(session: &Session, names: &Names) -> Result<Owner, AwsError> {
    let answer = session
        .s3
        .head_bucket()
        .bucket(names.bucket())
        .expected_bucket_owner(&names.account)
        .send()
        .await
        .map_err(|error| AwsError::new("s3 HeadBucket", error));
    match answer {
        Ok(_) => Ok(Owner::Us),
        Err(error) if error.kind == Kind::NotFound => Ok(Owner::Nobody),
        Err(error) if error.kind == Kind::Denied => Ok(Owner::SomebodyElse),
        Err(error) => Err(error),
    }
}

/// The bucket's settings; `None` if there is none.
pub(crate) async fn inspect(
    session: &Session,
    names: &Names,
) -> Result<Option<Settings>, VaultError> {
    let mut settings = Settings::new();
    match owner(session, names).await? {
        Owner::Nobody => return Ok(None),
        Owner::SomebodyElse => return Ok(Some(settings)),
        Owner::Us => settings.insert(Setting::Owner, json!(names.account)),
    };
    let (public, ownership, encryption, versioning, lifecycle, policy, tags) = tokio::try_join!(
        public_access(session, names),
        ownership(session, names),
        encryption(session, names),
        versioning(session, names),
        lifecycle(session, names),
        policy(session, names),
        all_tags(session, names),
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
pub(crate) async fn create(session: &Session, names: &Names) -> Result<(), VaultError> {
    let place = (names.region != "us-east-1").then(|| {
        CreateBucketConfiguration::builder()
            .location_constraint(BucketLocationConstraint::from(names.region.as_str()))
            .build()
    });
    let answer = session
        .s3
        .create_bucket()
        .bucket(names.bucket())
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
            bucket: names.bucket(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// Sets something of it.
pub(crate) async fn set(
    session: &Session,
    names: &Names,
    setting: Setting,
    value: &Value,
) -> Result<(), VaultError> {
    match setting {
        Setting::PublicAccess => set_public_access(session, names, value).await?,
        Setting::Ownership => set_ownership(session, names, value).await?,
        Setting::Encryption => set_encryption(session, names, value).await?,
        Setting::Versioning => set_versioning(session, names, value).await?,
        Setting::Lifecycle => set_lifecycle(session, names, value).await?,
        Setting::Policy => set_policy(session, names, value).await?,
        Setting::Tags => set_tags(session, names, value).await?,
        _ => {}
    }
    Ok(())
}

async fn public_access(session: &Session, names: &Names) -> Result<Option<Value>, AwsError> {
    let request = session.s3.get_public_access_block();
    let request = request.bucket(names.bucket());
    let answer = request.expected_bucket_owner(&names.account).send().await;
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

async fn set_public_access(session: &Session, names: &Names, to: &Value) -> Result<(), AwsError> {
    let is = |key: &str| to[key] == true;
    let block = PublicAccessBlockConfiguration::builder()
        .block_public_acls(is("BlockPublicAcls"))
        .block_public_policy(is("BlockPublicPolicy"))
        .ignore_public_acls(is("IgnorePublicAcls"))
        .restrict_public_buckets(is("RestrictPublicBuckets"))
        .build();
    let request = session.s3.put_public_access_block();
    let request = request.bucket(names.bucket());
    request
        .expected_bucket_owner(&names.account)
        .public_access_block_configuration(block)
        .send()
        .await
        .map(drop)
        .map_err(|error| AwsError::new("s3 PutPublicAccessBlock", error))
}

async fn ownership(session: &Session, names: &Names) -> Result<Option<Value>, AwsError> {
    let request = session.s3.get_bucket_ownership_controls();
    let request = request.bucket(names.bucket());
    let answer = request.expected_bucket_owner(&names.account).send().await;
    let answer = optional("s3 GetBucketOwnershipControls", answer)?;
    let rule = answer
        .and_then(|it| it.ownership_controls)
        .and_then(|it| it.rules.into_iter().next());
    Ok(rule.map(|it| json!(it.object_ownership().as_str())))
}

async fn set_ownership(session: &Session, names: &Names, to: &Value) -> Result<(), AwsError> {
    const OPERATION: &str = "s3 PutBucketOwnershipControls";
    let to = ObjectOwnership::from(to.as_str().unwrap_or_default());
    let rule = OwnershipControlsRule::builder()
        .object_ownership(to)
        .build();
    let controls = OwnershipControls::builder().rules(built(OPERATION, rule)?);
    let request = session.s3.put_bucket_ownership_controls();
    let request = request.bucket(names.bucket());
    request
        .expected_bucket_owner(&names.account)
        .ownership_controls(built(OPERATION, controls.build())?)
        .send()
        .await
        .map(drop)
        .map_err(|error| AwsError::new(OPERATION, error))
}

async fn encryption(session: &Session, names: &Names) -> Result<Option<Value>, AwsError> {
    let request = session.s3.get_bucket_encryption();
    let request = request.bucket(names.bucket());
    let answer = request.expected_bucket_owner(&names.account).send().await;
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

async fn set_encryption(session: &Session, names: &Names, to: &Value) -> Result<(), AwsError> {
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
    let request = session.s3.put_bucket_encryption();
    let request = request.bucket(names.bucket());
    request
        .expected_bucket_owner(&names.account)
        .server_side_encryption_configuration(built(OPERATION, configuration.build())?)
        .send()
        .await
        .map(drop)
        .map_err(|error| AwsError::new(OPERATION, error))
}

async fn versioning(session: &Session, names: &Names) -> Result<Option<Value>, AwsError> {
    let request = session.s3.get_bucket_versioning();
    let request = request.bucket(names.bucket());
    let answer = request.expected_bucket_owner(&names.account).send().await;
    let answer = optional("s3 GetBucketVersioning", answer)?;
    Ok(answer.and_then(|it| it.status).map(|it| json!(it.as_str())))
}

async fn set_versioning(session: &Session, names: &Names, to: &Value) -> Result<(), AwsError> {
    let status = BucketVersioningStatus::from(to.as_str().unwrap_or_default());
    let request = session.s3.put_bucket_versioning();
    let request = request.bucket(names.bucket());
    request
        .expected_bucket_owner(&names.account)
        .versioning_configuration(VersioningConfiguration::builder().status(status).build())
        .send()
        .await
        .map(drop)
        .map_err(|error| AwsError::new("s3 PutBucketVersioning", error))
}

async fn lifecycle(session: &Session, names: &Names) -> Result<Option<Value>, AwsError> {
    let request = session.s3.get_bucket_lifecycle_configuration();
    let request = request.bucket(names.bucket());
    let answer = request.expected_bucket_owner(&names.account).send().await;
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

async fn set_lifecycle(session: &Session, names: &Names, to: &Value) -> Result<(), AwsError> {
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
    let request = session.s3.put_bucket_lifecycle_configuration();
    let request = request.bucket(names.bucket());
    request
        .expected_bucket_owner(&names.account)
        .lifecycle_configuration(configuration)
        .send()
        .await
        .map(drop)
        .map_err(|error| AwsError::new(OPERATION, error))
}

async fn policy(session: &Session, names: &Names) -> Result<Option<Value>, AwsError> {
    let request = session.s3.get_bucket_policy().bucket(names.bucket());
    let answer = request.expected_bucket_owner(&names.account).send().await;
    let answer = optional("s3 GetBucketPolicy", answer)?;
    Ok(answer.and_then(|it| it.policy).map(|it| document(&it)))
}

async fn set_policy(session: &Session, names: &Names, to: &Value) -> Result<(), AwsError> {
    let request = session.s3.put_bucket_policy().bucket(names.bucket());
    request
        .expected_bucket_owner(&names.account)
        .policy(to.to_string())
        .send()
        .await
        .map(drop)
        .map_err(|error| AwsError::new("s3 PutBucketPolicy", error))
}

async fn all_tags(session: &Session, names: &Names) -> Result<Vec<Tag>, AwsError> {
    let request = session.s3.get_bucket_tagging().bucket(names.bucket());
    let answer = request.expected_bucket_owner(&names.account).send().await;
    let answer = optional("s3 GetBucketTagging", answer)?;
    Ok(answer.map(|it| it.tag_set).unwrap_or_default())
}

/// A bucket's tags are put all at once: those of others are put again.
async fn set_tags(session: &Session, names: &Names, to: &Value) -> Result<(), AwsError> {
    const OPERATION: &str = "s3 PutBucketTagging";
    let mut tagging = Tagging::builder();
    for tag in all_tags(session, names).await? {
        if !tag.key().starts_with(tags::PREFIX) {
            tagging = tagging.tag_set(tag);
        }
    }
    for (key, value) in pairs(to) {
        let tag = Tag::builder().key(key).value(value).build();
        tagging = tagging.tag_set(built(OPERATION, tag)?);
    }
    let request = session.s3.put_bucket_tagging().bucket(names.bucket());
    request
        .expected_bucket_owner(&names.account)
        .tagging(built(OPERATION, tagging.build())?)
        .send()
        .await
        .map(drop)
        .map_err(|error| AwsError::new(OPERATION, error))
}

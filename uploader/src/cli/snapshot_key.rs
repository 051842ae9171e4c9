//! `--kms-key` of a request: which key is meant, and whether the converter may use it.

use super::Failure;
use super::aws_args::Place;
use uploader::Class;
use uploader::aws::{AwsError, Kind};
use uploader::vault::tags;

/// The ARN of a key that is called by id, alias or ARN.
///
/// # Errors
/// There is none, or the converter could not use it: better told now than by a request that fails.
pub(crate) async fn snapshot_key(place: &Place, key: &str) -> Result<String, Failure> {
    let vault = &place.vault;
    let wrong = |what: &str| Failure::new(Class::Input, format!("--kms-key {key}: {what}"));
    let missing = || wrong(&format!("no such key in {}", vault.names.region));
    let answer = vault.session.kms.describe_key().key_id(key).send().await;
    let answer = match answer.map_err(|error| AwsError::new("kms DescribeKey", error)) {
        Err(error) if matches!(error.kind, Kind::NotFound | Kind::Refused) => return Err(missing()),
        answer => answer?,
    };
    let found = answer.key_metadata.ok_or_else(missing)?;
    let arn = found.arn.clone().ok_or_else(missing)?;
    if !found.enabled() {
        return Err(wrong(&format!("the key {} is disabled", found.key_id())));
    }
    if found.aws_account_id() != Some(vault.names.account.as_str()) {
        let what = "it is another account's, and the converter's role has keys of its own only";
        return Err(wrong(what));
    }
    if is_vaults(place, &arn).await? || is_tagged(place, &arn).await? {
        return Ok(arn);
    }
    let (tag, name, region) = (tags::SNAPSHOT_KEY, &vault.names.vault, &vault.names.region);
    let what = format!("the converter may not use {arn}: it has no tag {tag}={name}");
    let hint = format!(
        "whoever owns the key allows it: aws kms tag-resource --region {region} --key-id {arn} --tags \
         TagKey={tag},TagValue={name}, which KMS may take five minutes to heed"
    );
    Err(wrong(&what).hint(hint))
}

/// Whether it is the key that the vault itself is encrypted with.
async fn is_vaults(place: &Place, arn: &str) -> Result<bool, Failure> {
    let request = place.vault.session.kms.describe_key();
    let answer = request
        .key_id(place.vault.names.encryption_alias())
        .send()
        .await;
    match answer.map_err(|error| AwsError::new("kms DescribeKey", error)) {
        Ok(answer) => Ok(answer.key_metadata.and_then(|it| it.arn).as_deref() == Some(arn)),
        Err(error) if matches!(error.kind, Kind::NotFound | Kind::Denied) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether its tags let the vault's converter use it. Whoever may not read them is believed: if they
/// do not, the request fails and says so.
async fn is_tagged(place: &Place, arn: &str) -> Result<bool, Failure> {
    let request = place.vault.session.kms.list_resource_tags();
    let answer = request.key_id(arn).send().await;
    match answer.map_err(|error| AwsError::new("kms ListResourceTags", error)) {
        Ok(answer) => Ok(answer.tags().iter().any(|it| {
            it.tag_key() == tags::SNAPSHOT_KEY && it.tag_value() == place.vault.names.vault
        })),
        Err(error) if error.kind == Kind::Denied => {
            tracing::warn!(%error, "whether the converter may use the key is not known");
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}

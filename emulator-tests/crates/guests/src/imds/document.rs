//! Documents of JSON: the instance's identity, and its role's credentials.

use super::{Facts, RoleCredentials};
use emulator_state::world::InstanceProfile;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// `/latest/dynamic/instance-identity/document`.
pub(super) fn identity(facts: &Facts) -> String {
    let it = &facts.instance;
    pretty(&json!({
        "accountId": it.owner,
        "architecture": it.architecture,
        "availabilityZone": it.interface.zone,
        "billingProducts": null,
        "devpayProductCodes": null,
        "marketplaceProductCodes": null,
        "imageId": it.image,
        "instanceId": it.id,
        "instanceType": it.instance_type,
        "kernelId": it.kernel,
        "pendingTime": seconds(it.launched),
        "privateIp": it.interface.private_ip,
        "ramdiskId": it.ramdisk,
        "region": it.region,
        "version": "2017-09-30",
    }))
}

/// `/latest/meta-data/iam/info`.
pub(super) fn profile(profile: &InstanceProfile, updated: OffsetDateTime) -> String {
    pretty(&info(profile, updated))
}

/// The same, of a profile that has no role.
pub(super) fn profile_without_role(profile: &InstanceProfile, now: OffsetDateTime) -> String {
    let mut info = info(profile, now);
    info["Message"] = "Instance Profile does not contain a role.".into();
    pretty(&info)
}

/// The same, of a profile that there is no more.
pub(super) fn profile_gone(profile: &InstanceProfile, now: OffsetDateTime) -> String {
    pretty(&json!({
        "Code": "InstanceProfileNotFound",
        "Message": format!("Instance Profile {} ({}) does not exist.", profile.arn, profile.id),
        "LastUpdated": seconds(now),
    }))
}

fn info(profile: &InstanceProfile, updated: OffsetDateTime) -> Value {
    json!({
        "Code": "Success",
        "LastUpdated": seconds(updated),
        "InstanceProfileArn": profile.arn,
        "InstanceProfileId": profile.id,
    })
}

/// `/latest/meta-data/iam/security-credentials/ROLE`.
pub(super) fn credentials(given: &RoleCredentials) -> String {
    pretty(&json!({
        "Code": "Success",
        "LastUpdated": seconds(given.updated),
        "Type": "AWS-HMAC",
        "AccessKeyId": given.access_key_id,
        "SecretAccessKey": given.secret_access_key,
        "Token": given.session_token,
        "Expiration": seconds(given.expires),
    }))
}

/// The same, of a role that can't be taken on.
pub(super) fn no_credentials(why: &str, now: OffsetDateTime) -> String {
    pretty(&json!({
        "Code": "AssumeRoleUnauthorizedAccess",
        "Message": why,
        "LastUpdated": seconds(now),
    }))
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

/// `2026-01-01T00:00:00Z`.
fn seconds(time: OffsetDateTime) -> String {
    let whole = time.replace_nanosecond(0).unwrap_or(time);
    whole.format(&Rfc3339).unwrap_or_default()
}

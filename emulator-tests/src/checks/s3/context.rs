//! The condition keys of an S3 request.

use super::bucket::Bucket;
use super::request::S3Request;
use emulator_protocol::Caller;
use http::request::Parts;
use iam_policy::{Asker, Context};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The keys that a policy of version 2012-10-17 may ask for. What a request does not say is
/// absent: a bucket's default encryption, for one, does not put in the header's key.
///
/// [S3's keys](https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html),
/// [global keys](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html).
pub fn of(
    caller: &Caller,
    asker: &Asker,
    parts: &Parts,
    request: &S3Request,
    bucket: &Bucket,
    now: OffsetDateTime,
) -> Context {
    let mut context = Context::default();
    global(&mut context, caller, asker, parts, now);
    if let Some(owner) = &bucket.owner {
        context.set("aws:ResourceAccount", owner.as_str());
        context.set("s3:ResourceAccount", owner.as_str());
    }
    let by_query = request.query.contains_key("X-Amz-Signature");
    context.set(
        "s3:authType",
        if by_query {
            "REST-QUERY-STRING"
        } else {
            "REST-HEADER"
        },
    );
    context.set("s3:signatureversion", "AWS4-HMAC-SHA256");
    if caller.secure {
        // The gateway takes nothing below.
        context.set("s3:TlsVersion", "1.2");
    }
    for (name, value) in &parts.headers {
        let name = name.as_str();
        let is_key = matches!(name, "if-match" | "if-none-match")
            || (name.starts_with("x-amz-") && name != "x-amz-tagging");
        if let Ok(value) = value.to_str()
            && is_key
        {
            context.set(&format!("s3:{name}"), value);
            if let Some(lock) = name.strip_prefix("x-amz-object-lock-") {
                context.set(&format!("s3:object-lock-{lock}"), value);
            }
        }
    }
    for name in ["prefix", "delimiter", "max-keys"] {
        if let Some(value) = request.query.get(name) {
            context.set(&format!("s3:{name}"), value.as_str());
        }
    }
    if let Some(version) = request.query.get("versionId") {
        context.set("s3:VersionId", version.as_str());
    }
    if let Some(tags) = parts
        .headers
        .get("x-amz-tagging")
        .and_then(|tags| tags.to_str().ok())
    {
        let mut keys = Vec::new();
        for (key, value) in form_urlencoded::parse(tags.as_bytes()) {
            context.set(&format!("s3:RequestObjectTag/{key}"), value);
            keys.push(key.into_owned());
        }
        context.set_many("s3:RequestObjectTagKeys", keys);
    }
    if request.action == "s3:PutObject" {
        // What makes an object, and not only a part of one.
        let creates = matches!(
            request.operation,
            "PutObject" | "CopyObject" | "PostObject" | "CompleteMultipartUpload"
        );
        context.set("s3:ObjectCreationOperation", creates.to_string());
    }
    if request.continues_upload() {
        context.inherit("s3:x-amz-server-side-encryption");
        context.inherit("s3:x-amz-server-side-encryption-aws-kms-key-id");
    }
    context
}

fn global(
    context: &mut Context,
    caller: &Caller,
    asker: &Asker,
    parts: &Parts,
    now: OffsetDateTime,
) {
    context.set("aws:SecureTransport", caller.secure.to_string());
    context.set("aws:PrincipalAccount", asker.account.as_str());
    context.set("aws:PrincipalArn", asker.principal_arn());
    context.set("aws:PrincipalIsAWSService", "false");
    context.set("aws:ViaAWSService", "false");
    let kind = if asker.role.is_some() {
        "AssumedRole"
    } else if asker.arn.ends_with(":root") {
        "Account"
    } else {
        "User"
    };
    context.set("aws:PrincipalType", kind);
    if let Some((_, user)) = asker.arn.split_once(":user/") {
        let name = user.rsplit_once('/').map_or(user, |(_, name)| name);
        context.set("aws:username", name);
    }
    context.set("aws:RequestedRegion", caller.region.as_str());
    // Everything listens on loopback.
    context.set("aws:SourceIp", "127.0.0.1");
    if let Ok(now) = now.format(&Rfc3339) {
        context.set("aws:CurrentTime", now);
    }
    context.set("aws:EpochTime", now.unix_timestamp().to_string());
    for (header, key) in [("user-agent", "aws:UserAgent"), ("referer", "aws:Referer")] {
        if let Some(value) = parts.headers.get(header).and_then(|it| it.to_str().ok()) {
            context.set(key, value);
        }
    }
}

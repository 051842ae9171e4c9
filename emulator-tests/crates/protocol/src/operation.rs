//! The operation that a request asks for, by the name that AWS gives it.
//!
//! Each protocol says it in a place of its own: a parameter (EC2, query), a header (JSON), or the
//! method, path and query together (S3, the EBS direct API).

mod ebs;

pub use ebs::EbsOperation;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, header};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// The operation's name; `None` if the request is none that its service has.
///
/// `body` is looked at for the form of the EC2 and query protocols only.
pub fn of(service: &str, request: &Parts, body: Option<&Bytes>) -> Option<String> {
    match service {
        "ebs" => EbsOperation::of(&request.method, request.uri.path())
            .map(|operation| operation.name().to_owned()),
        _ if is_s3(service) => s3(request).map(str::to_owned),
        _ => target(&request.headers)
            .map(str::to_owned)
            .or_else(|| action(request, body).map(Cow::into_owned)),
    }
}

/// Whether a signature's service is S3, in any of its guises: `s3`, `s3express`, `s3-outposts`,
/// `s3-object-lambda`, and whatever else begins with `s3-`.
///
/// AWS has no service `s3-control` or `s3-anything`, but LocalStack, which finds none either, takes
/// such a request for S3's by its path. So it must pass the same checks as S3's.
pub fn is_s3(service: &str) -> bool {
    service == "s3" || service == "s3express" || service.starts_with("s3-")
}

/// What follows the dot in `X-Amz-Target: TrentService.DescribeKey`.
fn target(headers: &HeaderMap) -> Option<&str> {
    let target = headers.get("x-amz-target")?.to_str().ok()?;
    let name = target.rsplit_once('.').map_or(target, |(_, name)| name);
    (!name.is_empty()).then_some(name)
}

/// The parameter `Action`, of the query or of a form in the body.
fn action<'a>(request: &'a Parts, body: Option<&'a Bytes>) -> Option<Cow<'a, str>> {
    let query = request.uri.query().unwrap_or_default().as_bytes();
    let form: &[u8] = if request.method == Method::POST {
        body.map_or(&[], Bytes::as_ref)
    } else {
        &[]
    };
    [form, query].into_iter().find_map(|pairs| {
        form_urlencoded::parse(pairs)
            .find(|(name, value)| name == "Action" && !value.is_empty())
            .map(|(_, value)| value)
    })
}

/// The bucket and the key that an S3 request names, decoded; the bucket may be in the host's name
/// or first in the path. Each is `None` where it is not named.
pub fn s3_target(request: &Parts) -> (Option<String>, Option<String>) {
    let host = request
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .or_else(|| request.uri.host())
        .unwrap_or_default();
    let path = percent_decode_str(request.uri.path()).decode_utf8_lossy();
    let path = path.strip_prefix('/').unwrap_or(&path);
    let named = |part: &str| (!part.is_empty()).then(|| part.to_owned());
    if let Some(bucket) = bucket_in_host(host) {
        return (named(bucket), named(path));
    }
    // LocalStack takes `//bucket/key` for `/bucket/key`.
    let path = path.trim_start_matches('/');
    match path.split_once('/') {
        Some((bucket, key)) => (named(bucket), named(key)),
        None => (named(path), None),
    }
}

/// `BUCKET` of `BUCKET.s3.…`, `BUCKET.s3-REGION.…`.
fn bucket_in_host(host: &str) -> Option<&str> {
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    let mut from = 0;
    // A bucket's name may have dots: the last label that is the service's counts.
    let mut bucket = None;
    for label in name.split('.') {
        let service = label == "s3" || label.starts_with("s3-") || label.starts_with("s3express-");
        if service && from > 0 {
            bucket = Some(&name[..from - 1]);
        }
        from += label.len() + 1;
    }
    bucket
}

/// Names a request by the parts of S3's REST API: which of the bucket and the key are there, the
/// sub-resource in the query, and for some a header.
fn s3(request: &Parts) -> Option<&'static str> {
    let (bucket, key) = s3_target(request);
    let query = request.uri.query().unwrap_or_default();
    let has = |name: &str| form_urlencoded::parse(query.as_bytes()).any(|(it, _)| it == name);
    let copies = request.headers.contains_key("x-amz-copy-source");
    let method = request.method.as_str();
    match (bucket, key) {
        (None, _) => (method == "GET").then_some("ListBuckets"),
        (Some(_), Some(_)) => match method {
            "PUT" if has("partNumber") && copies => Some("UploadPartCopy"),
            "PUT" if has("partNumber") => Some("UploadPart"),
            "POST" if has("uploads") => Some("CreateMultipartUpload"),
            "POST" if has("uploadId") => Some("CompleteMultipartUpload"),
            "DELETE" if has("uploadId") => Some("AbortMultipartUpload"),
            "GET" if has("uploadId") => Some("ListParts"),
            "POST" if has("restore") => Some("RestoreObject"),
            "POST" if has("select") => Some("SelectObjectContent"),
            "GET" if has("attributes") => Some("GetObjectAttributes"),
            "HEAD" => Some("HeadObject"),
            _ => sub_resource(OBJECT, method, has).or(match method {
                "PUT" if copies => Some("CopyObject"),
                "PUT" => Some("PutObject"),
                "GET" => Some("GetObject"),
                "DELETE" => Some("DeleteObject"),
                _ => None,
            }),
        },
        (Some(_), None) => match method {
            "HEAD" => Some("HeadBucket"),
            "POST" if has("delete") => Some("DeleteObjects"),
            "POST" => Some("PostObject"),
            "GET" if has("uploads") => Some("ListMultipartUploads"),
            "GET" if has("versions") => Some("ListObjectVersions"),
            "GET" if has("location") => Some("GetBucketLocation"),
            "GET" if has("policyStatus") => Some("GetBucketPolicyStatus"),
            _ => sub_resource(BUCKET, method, has).or(match method {
                "PUT" => Some("CreateBucket"),
                "DELETE" => Some("DeleteBucket"),
                "GET" if has("list-type") => Some("ListObjectsV2"),
                "GET" => Some("ListObjects"),
                _ => None,
            }),
        },
    }
}

/// A sub-resource and its operations for GET, PUT and DELETE, empty where there is none.
type SubResource = (&'static str, [&'static str; 3]);

const OBJECT: &[SubResource] = &[
    ("acl", ["GetObjectAcl", "PutObjectAcl", ""]),
    (
        "legal-hold",
        ["GetObjectLegalHold", "PutObjectLegalHold", ""],
    ),
    (
        "retention",
        ["GetObjectRetention", "PutObjectRetention", ""],
    ),
    (
        "tagging",
        [
            "GetObjectTagging",
            "PutObjectTagging",
            "DeleteObjectTagging",
        ],
    ),
    ("torrent", ["GetObjectTorrent", "", ""]),
];

const BUCKET: &[SubResource] = &[
    (
        "accelerate",
        [
            "GetBucketAccelerateConfiguration",
            "PutBucketAccelerateConfiguration",
            "",
        ],
    ),
    ("acl", ["GetBucketAcl", "PutBucketAcl", ""]),
    (
        "cors",
        ["GetBucketCors", "PutBucketCors", "DeleteBucketCors"],
    ),
    (
        "encryption",
        [
            "GetBucketEncryption",
            "PutBucketEncryption",
            "DeleteBucketEncryption",
        ],
    ),
    (
        "lifecycle",
        [
            "GetBucketLifecycleConfiguration",
            "PutBucketLifecycleConfiguration",
            "DeleteBucketLifecycle",
        ],
    ),
    ("logging", ["GetBucketLogging", "PutBucketLogging", ""]),
    (
        "notification",
        [
            "GetBucketNotificationConfiguration",
            "PutBucketNotificationConfiguration",
            "",
        ],
    ),
    (
        "object-lock",
        [
            "GetObjectLockConfiguration",
            "PutObjectLockConfiguration",
            "",
        ],
    ),
    (
        "ownershipControls",
        [
            "GetBucketOwnershipControls",
            "PutBucketOwnershipControls",
            "DeleteBucketOwnershipControls",
        ],
    ),
    (
        "policy",
        ["GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"],
    ),
    (
        "publicAccessBlock",
        [
            "GetPublicAccessBlock",
            "PutPublicAccessBlock",
            "DeletePublicAccessBlock",
        ],
    ),
    (
        "replication",
        [
            "GetBucketReplication",
            "PutBucketReplication",
            "DeleteBucketReplication",
        ],
    ),
    (
        "requestPayment",
        ["GetBucketRequestPayment", "PutBucketRequestPayment", ""],
    ),
    (
        "tagging",
        [
            "GetBucketTagging",
            "PutBucketTagging",
            "DeleteBucketTagging",
        ],
    ),
    (
        "versioning",
        ["GetBucketVersioning", "PutBucketVersioning", ""],
    ),
    (
        "website",
        [
            "GetBucketWebsite",
            "PutBucketWebsite",
            "DeleteBucketWebsite",
        ],
    ),
];

fn sub_resource(
    table: &[SubResource],
    method: &str,
    has: impl Fn(&str) -> bool,
) -> Option<&'static str> {
    let column = match method {
        "GET" => 0,
        "PUT" => 1,
        "DELETE" => 2,
        _ => return None,
    };
    table
        .iter()
        .find(|(name, _)| has(name))
        .map(|(_, operations)| operations[column])
        .filter(|operation| !operation.is_empty())
}

#[cfg(test)]
mod tests;

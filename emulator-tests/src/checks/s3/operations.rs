//! S3's operations, by method and target, and the actions that they take.

/// An operation by what stands in the query: `(parameter, operation, action)`.
pub(super) type Row = (&'static str, &'static str, &'static str);

/// The operations of a method, on an object or on a bucket: the first whose parameter is in the
/// query, or has none, is it.
pub(super) fn rows(method: &str, is_object: bool) -> Option<&'static [Row]> {
    Some(match (method, is_object) {
        ("GET", false) => GET_BUCKET,
        ("GET", true) => GET_OBJECT,
        ("HEAD", false) => HEAD_BUCKET,
        ("HEAD", true) => HEAD_OBJECT,
        ("PUT", false) => PUT_BUCKET,
        ("PUT", true) => PUT_OBJECT,
        ("POST", false) => POST_BUCKET,
        ("POST", true) => POST_OBJECT,
        ("DELETE", false) => DELETE_BUCKET,
        ("DELETE", true) => DELETE_OBJECT,
        _ => return None,
    })
}

const HEAD_BUCKET: &[Row] = &[("", "HeadBucket", "s3:ListBucket")];

const HEAD_OBJECT: &[Row] = &[("", "HeadObject", "s3:GetObject")];

const POST_BUCKET: &[Row] = &[
    ("delete", "DeleteObjects", "s3:DeleteObject"),
    ("", "PostObject", "s3:PutObject"),
];

const GET_BUCKET: &[Row] = &[
    (
        "accelerate",
        "GetBucketAccelerateConfiguration",
        "s3:GetAccelerateConfiguration",
    ),
    ("acl", "GetBucketAcl", "s3:GetBucketAcl"),
    (
        "analytics",
        "GetBucketAnalyticsConfiguration",
        "s3:GetAnalyticsConfiguration",
    ),
    ("cors", "GetBucketCors", "s3:GetBucketCORS"),
    (
        "encryption",
        "GetBucketEncryption",
        "s3:GetEncryptionConfiguration",
    ),
    (
        "intelligent-tiering",
        "GetBucketIntelligentTieringConfiguration",
        "s3:GetIntelligentTieringConfiguration",
    ),
    (
        "inventory",
        "GetBucketInventoryConfiguration",
        "s3:GetInventoryConfiguration",
    ),
    (
        "lifecycle",
        "GetBucketLifecycleConfiguration",
        "s3:GetLifecycleConfiguration",
    ),
    ("location", "GetBucketLocation", "s3:GetBucketLocation"),
    ("logging", "GetBucketLogging", "s3:GetBucketLogging"),
    (
        "metrics",
        "GetBucketMetricsConfiguration",
        "s3:GetMetricsConfiguration",
    ),
    (
        "notification",
        "GetBucketNotificationConfiguration",
        "s3:GetBucketNotification",
    ),
    (
        "object-lock",
        "GetObjectLockConfiguration",
        "s3:GetBucketObjectLockConfiguration",
    ),
    (
        "ownershipControls",
        "GetBucketOwnershipControls",
        "s3:GetBucketOwnershipControls",
    ),
    ("policy", "GetBucketPolicy", "s3:GetBucketPolicy"),
    (
        "policyStatus",
        "GetBucketPolicyStatus",
        "s3:GetBucketPolicyStatus",
    ),
    (
        "publicAccessBlock",
        "GetPublicAccessBlock",
        "s3:GetBucketPublicAccessBlock",
    ),
    (
        "replication",
        "GetBucketReplication",
        "s3:GetReplicationConfiguration",
    ),
    (
        "requestPayment",
        "GetBucketRequestPayment",
        "s3:GetBucketRequestPayment",
    ),
    ("tagging", "GetBucketTagging", "s3:GetBucketTagging"),
    (
        "uploads",
        "ListMultipartUploads",
        "s3:ListBucketMultipartUploads",
    ),
    (
        "versioning",
        "GetBucketVersioning",
        "s3:GetBucketVersioning",
    ),
    ("versions", "ListObjectVersions", "s3:ListBucketVersions"),
    ("website", "GetBucketWebsite", "s3:GetBucketWebsite"),
    ("", "ListObjects", "s3:ListBucket"),
];

const PUT_BUCKET: &[Row] = &[
    (
        "accelerate",
        "PutBucketAccelerateConfiguration",
        "s3:PutAccelerateConfiguration",
    ),
    ("acl", "PutBucketAcl", "s3:PutBucketAcl"),
    (
        "analytics",
        "PutBucketAnalyticsConfiguration",
        "s3:PutAnalyticsConfiguration",
    ),
    ("cors", "PutBucketCors", "s3:PutBucketCORS"),
    (
        "encryption",
        "PutBucketEncryption",
        "s3:PutEncryptionConfiguration",
    ),
    (
        "intelligent-tiering",
        "PutBucketIntelligentTieringConfiguration",
        "s3:PutIntelligentTieringConfiguration",
    ),
    (
        "inventory",
        "PutBucketInventoryConfiguration",
        "s3:PutInventoryConfiguration",
    ),
    (
        "lifecycle",
        "PutBucketLifecycleConfiguration",
        "s3:PutLifecycleConfiguration",
    ),
    ("logging", "PutBucketLogging", "s3:PutBucketLogging"),
    (
        "metrics",
        "PutBucketMetricsConfiguration",
        "s3:PutMetricsConfiguration",
    ),
    (
        "notification",
        "PutBucketNotificationConfiguration",
        "s3:PutBucketNotification",
    ),
    (
        "object-lock",
        "PutObjectLockConfiguration",
        "s3:PutBucketObjectLockConfiguration",
    ),
    (
        "ownershipControls",
        "PutBucketOwnershipControls",
        "s3:PutBucketOwnershipControls",
    ),
    ("policy", "PutBucketPolicy", "s3:PutBucketPolicy"),
    (
        "publicAccessBlock",
        "PutPublicAccessBlock",
        "s3:PutBucketPublicAccessBlock",
    ),
    (
        "replication",
        "PutBucketReplication",
        "s3:PutReplicationConfiguration",
    ),
    (
        "requestPayment",
        "PutBucketRequestPayment",
        "s3:PutBucketRequestPayment",
    ),
    ("tagging", "PutBucketTagging", "s3:PutBucketTagging"),
    (
        "versioning",
        "PutBucketVersioning",
        "s3:PutBucketVersioning",
    ),
    ("website", "PutBucketWebsite", "s3:PutBucketWebsite"),
    ("", "CreateBucket", "s3:CreateBucket"),
];

const DELETE_BUCKET: &[Row] = &[
    (
        "analytics",
        "DeleteBucketAnalyticsConfiguration",
        "s3:PutAnalyticsConfiguration",
    ),
    ("cors", "DeleteBucketCors", "s3:PutBucketCORS"),
    (
        "encryption",
        "DeleteBucketEncryption",
        "s3:PutEncryptionConfiguration",
    ),
    (
        "intelligent-tiering",
        "DeleteBucketIntelligentTieringConfiguration",
        "s3:PutIntelligentTieringConfiguration",
    ),
    (
        "inventory",
        "DeleteBucketInventoryConfiguration",
        "s3:PutInventoryConfiguration",
    ),
    (
        "lifecycle",
        "DeleteBucketLifecycle",
        "s3:PutLifecycleConfiguration",
    ),
    (
        "metrics",
        "DeleteBucketMetricsConfiguration",
        "s3:PutMetricsConfiguration",
    ),
    (
        "ownershipControls",
        "DeleteBucketOwnershipControls",
        "s3:PutBucketOwnershipControls",
    ),
    ("policy", "DeleteBucketPolicy", "s3:DeleteBucketPolicy"),
    (
        "publicAccessBlock",
        "DeletePublicAccessBlock",
        "s3:PutBucketPublicAccessBlock",
    ),
    (
        "replication",
        "DeleteBucketReplication",
        "s3:PutReplicationConfiguration",
    ),
    ("tagging", "DeleteBucketTagging", "s3:PutBucketTagging"),
    ("website", "DeleteBucketWebsite", "s3:DeleteBucketWebsite"),
    ("", "DeleteBucket", "s3:DeleteBucket"),
];

const GET_OBJECT: &[Row] = &[
    ("acl", "GetObjectAcl", "s3:GetObjectAcl"),
    (
        "attributes",
        "GetObjectAttributes",
        "s3:GetObjectAttributes",
    ),
    ("legal-hold", "GetObjectLegalHold", "s3:GetObjectLegalHold"),
    ("retention", "GetObjectRetention", "s3:GetObjectRetention"),
    ("tagging", "GetObjectTagging", "s3:GetObjectTagging"),
    ("torrent", "GetObjectTorrent", "s3:GetObjectTorrent"),
    ("uploadId", "ListParts", "s3:ListMultipartUploadParts"),
    ("", "GetObject", "s3:GetObject"),
];

const PUT_OBJECT: &[Row] = &[
    ("acl", "PutObjectAcl", "s3:PutObjectAcl"),
    ("legal-hold", "PutObjectLegalHold", "s3:PutObjectLegalHold"),
    ("retention", "PutObjectRetention", "s3:PutObjectRetention"),
    ("tagging", "PutObjectTagging", "s3:PutObjectTagging"),
    ("uploadId", "UploadPart", "s3:PutObject"),
    ("", "PutObject", "s3:PutObject"),
];

const POST_OBJECT: &[Row] = &[
    ("restore", "RestoreObject", "s3:RestoreObject"),
    ("select", "SelectObjectContent", "s3:GetObject"),
    ("uploads", "CreateMultipartUpload", "s3:PutObject"),
    ("uploadId", "CompleteMultipartUpload", "s3:PutObject"),
    ("", "PostObject", "s3:PutObject"),
];

const DELETE_OBJECT: &[Row] = &[
    ("tagging", "DeleteObjectTagging", "s3:DeleteObjectTagging"),
    (
        "uploadId",
        "AbortMultipartUpload",
        "s3:AbortMultipartUpload",
    ),
    ("", "DeleteObject", "s3:DeleteObject"),
];

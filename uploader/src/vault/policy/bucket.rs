//! The bucket's policy. It allows nothing: in its own account, identities' policies do that.

use super::{KeyArns, deny_other_accounts, deny_plain_transport, document};
use crate::vault::Names;
use serde_json::{Value, json};

const ALGORITHM: &str = "s3:x-amz-server-side-encryption";
const KEY_ID: &str = "s3:x-amz-server-side-encryption-aws-kms-key-id";
const CUSTOMER: &str = "s3:x-amz-server-side-encryption-customer-algorithm";

/// TLS only, this account only, and no object that is not encrypted with the vault's key.
///
/// A put that says nothing of encryption passes: the bucket's default is the vault's key. What it
/// does say is held against it, so every condition first asks whether the key is there at all: a
/// bare `StringNotEquals` (and `StringNotEqualsIfExists` too) holds for a key that is absent, and
/// would refuse these puts, and all parts of multipart uploads, which have no such headers.
pub fn bucket(names: &Names, keys: &KeyArns) -> Value {
    let bucket = names.bucket_arn();
    let objects = format!("{bucket}/*");
    let both = [bucket, objects.clone()];
    let deny_put = |sid: &str, condition: Value| {
        json!({
            "Sid": sid,
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": [objects],
            "Condition": condition,
        })
    };
    document(vec![
        deny_plain_transport("s3:*", &both),
        deny_other_accounts("s3:*", &both, &names.account),
        deny_put(
            "OtherEncryption",
            json!({"Null": {ALGORITHM: "false"}, "StringNotEquals": {ALGORITHM: "aws:kms"}}),
        ),
        deny_put(
            "OtherKey",
            json!({"Null": {KEY_ID: "false"}, "StringNotEquals": {KEY_ID: keys.encryption}}),
        ),
        // S3 takes the account's aws/s3 key, not the bucket's, for such a put.
        deny_put(
            "KmsWithoutKey",
            json!({"Null": {ALGORITHM: "false", KEY_ID: "true"}}),
        ),
        deny_put("CustomerKey", json!({"Null": {CUSTOMER: "false"}})),
    ])
}

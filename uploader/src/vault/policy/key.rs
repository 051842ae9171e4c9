//! The keys' policies.

use super::document;
use crate::vault::Names;
use serde_json::{Value, json};

/// Leaves it to the account's own policies who may use the key: without this statement nobody could
/// ever change the key again.
fn account_decides(names: &Names) -> Value {
    json!({
        "Sid": "AccountDecides",
        "Effect": "Allow",
        "Principal": {"AWS": format!("arn:{}:iam::{}:root", names.partition, names.account)},
        "Action": "kms:*",
        "Resource": "*",
    })
}

/// Of the key that encrypts.
pub fn encryption_key(names: &Names) -> Value {
    document(vec![account_decides(names)])
}

/// Of the key that signs requests: the converter, who obeys them, never writes one, whatever
/// somebody may attach to its role.
pub fn signing_key(names: &Names) -> Value {
    document(vec![
        account_decides(names),
        json!({
            "Sid": "ConverterNeverSigns",
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["kms:Sign"],
            "Resource": "*",
            "Condition": {"ArnEquals": {"aws:PrincipalArn": names.role_arn()}},
        }),
    ])
}

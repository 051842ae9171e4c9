//! The policies of a vault's parts, as documents. What each statement is for is in docs/security.md,
//! where a table says who may do what under all of them together.

mod bucket;
mod canonical;
mod converter;
mod key;
mod queue;

pub use bucket::bucket;
pub use canonical::canonical;
pub use converter::{converter, trust};
pub use key::{encryption_key, signing_key};
pub use queue::queue;

use serde_json::{Value, json};

/// The ARNs of a vault's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyArns {
    /// Of the key that encrypts bucket, queues and snapshots.
    pub encryption: String,
    /// Of the key that signs requests.
    pub signing: String,
}

/// The version of the policy language that has policy variables; the newest there is.
const VERSION: &str = "2012-10-17";

fn document(statements: Vec<Value>) -> Value {
    json!({"Version": VERSION, "Statement": statements})
}

/// Refuses whoever comes without TLS.
fn deny_plain_transport(actions: &str, resources: &[String]) -> Value {
    json!({
        "Sid": "PlainTransport",
        "Effect": "Deny",
        "Principal": "*",
        "Action": actions,
        "Resource": resources,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    })
}

/// Refuses whoever is not of this account: an anonymous caller, who has none, too.
fn deny_other_accounts(actions: &str, resources: &[String], account: &str) -> Value {
    json!({
        "Sid": "OtherAccounts",
        "Effect": "Deny",
        "Principal": "*",
        "Action": actions,
        "Resource": resources,
        "Condition": {"StringNotEquals": {"aws:PrincipalAccount": account}},
    })
}

//! The queues' policies.

use super::{deny_other_accounts, deny_plain_transport, document};
use crate::vault::Names;
use serde_json::Value;

/// TLS only, this account only.
pub fn queue(names: &Names, queue: &str) -> Value {
    let arn = [names.queue_arn(queue)];
    document(vec![
        deny_plain_transport("sqs:*", &arn),
        deny_other_accounts("sqs:*", &arn, &names.account),
    ])
}

//! KMS.

use async_trait::async_trait;
use emulator_backend::{Key, KeyState, Keys};
use emulator_protocol::{AwsError, Caller};

/// Knows `KEY` (enabled), `DISABLED`, and AWS's own `alias/aws/ebs`.
pub struct TestKeys;

/// The id of a key that can be used.
pub const KEY: &str = "11111111-2222-3333-4444-555555555555";
/// The id of a key that is disabled.
pub const DISABLED: &str = "99999999-2222-3333-4444-555555555555";

#[async_trait]
impl Keys for TestKeys {
    async fn find(&self, caller: &Caller, id: &str) -> Result<Option<Key>, AwsError> {
        let name = id.rsplit_once(":key/").map_or(id, |(_, name)| name);
        let state = match name {
            KEY | "alias/aws/ebs" | "ebs" => KeyState::Enabled,
            DISABLED => KeyState::Disabled,
            _ => return Ok(None),
        };
        let name = if name == "alias/aws/ebs" { "ebs" } else { name };
        Ok(Some(Key {
            arn: format!(
                "arn:aws:kms:{}:{}:key/{name}",
                caller.region, caller.account
            ),
            state,
            encrypts: true,
        }))
    }
}

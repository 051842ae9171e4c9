//! SSM: the key that a `SecureString` is encrypted with.

use super::kms::KnownKeys;
use bytes::Bytes;
use emulator_protocol::{AwsError, Caller};
use http::request::Parts;
use serde_json::Value;

/// Refuses a `PutParameter` whose key can't be used.
pub async fn before(
    keys: &KnownKeys,
    caller: &Caller,
    parts: &Parts,
    body: Option<&Bytes>,
) -> Result<(), AwsError> {
    let Some(key) = key_of(parts, body) else {
        return Ok(());
    };
    match keys.usable(caller, &key).await? {
        Ok(()) => Ok(()),
        Err(fault) => Err(fault.for_ssm()),
    }
}

/// The key that a new parameter names.
fn key_of(parts: &Parts, body: Option<&Bytes>) -> Option<String> {
    let target = parts.headers.get("x-amz-target")?.to_str().ok()?;
    if target != "AmazonSSM.PutParameter" {
        return None;
    }
    let body: Value = serde_json::from_slice(body?).ok()?;
    let secure = body.get("Type").and_then(Value::as_str) == Some("SecureString");
    secure.then(|| body.get("KeyId")?.as_str().map(String::from))?
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use emulator_testing::{KEY, TestKeys, caller};
    use std::sync::Arc;

    #[tokio::test]
    async fn secure_strings_need_their_key() {
        let keys = KnownKeys::new(Arc::new(TestKeys));
        for (kind, key, code) in [
            ("SecureString", "nonesuch", Some("InvalidKeyId")),
            ("SecureString", KEY, None),
            ("String", "nonesuch", None),
        ] {
            let (parts, ()) = http::Request::post("/")
                .header("x-amz-target", "AmazonSSM.PutParameter")
                .body(())
                .unwrap()
                .into_parts();
            let body = serde_json::json!({"Name": "p", "Type": kind, "KeyId": key}).to_string();
            let got = before(&keys, &caller(), &parts, Some(&body.into())).await;
            assert_eq!(
                got.err().map(|error| error.code.into_owned()).as_deref(),
                code,
                "{kind}"
            );
        }
    }
}

//! Whether the key of an encrypted snapshot can still be used.

use super::call::Call;
use super::error::{access_denied, validation};
use emulator_backend::{KeyFault, usable_key};
use emulator_protocol::AwsError;

/// Asks KMS, unless it said so a moment ago and `fresh_enough`.
pub async fn check(call: &Call<'_>, key: Option<&str>, fresh_enough: bool) -> Result<(), AwsError> {
    let Some(arn) = key else { return Ok(()) };
    let (state, account) = (&call.services.ebs, call.caller.account.as_str());
    if fresh_enough && state.key_is_fresh(account, arn, call.now) {
        return Ok(());
    }
    usable_key(&*call.services.keys, call.caller, arn)
        .await
        .map_err(denied)?;
    state.key_was_usable(account, arn, call.now);
    Ok(())
}

/// The fault of a key that a snapshot has.
fn denied(fault: KeyFault) -> AwsError {
    match fault {
        KeyFault::Unknown(error) => error,
        fault => access_denied("DEPENDENCY_ACCESS_DENIED", sentence(&fault)),
    }
}

/// The fault of a key that a request names.
pub fn refused(fault: KeyFault) -> AwsError {
    match fault {
        KeyFault::Unknown(error) => error,
        fault => validation("INVALID_CUSTOMER_KEY", sentence(&fault)),
    }
}

fn sentence(fault: &KeyFault) -> String {
    let text = fault.to_string();
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| format!("{}{}.", first.to_uppercase(), chars.as_str()))
        .unwrap_or_default()
}

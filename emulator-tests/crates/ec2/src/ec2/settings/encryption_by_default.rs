//! Whether what is new is encrypted, and with which key where none is named.

use super::{change, current};
use crate::ec2::call::{Answer, Call};
use crate::encryption::DEFAULT_KEY;
use emulator_backend::{KeyFault, usable_key};
use emulator_protocol::{AwsError, Xml};

/// `EnableEbsEncryptionByDefault`, `DisableEbsEncryptionByDefault`.
pub(super) fn set(call: &Call<'_>, on: bool) -> Answer {
    change(call, |settings| settings.encrypt_by_default = on)?;
    Ok(leaf("ebsEncryptionByDefault", &on.to_string()))
}

/// `GetEbsEncryptionByDefault`.
pub(super) fn get(call: &Call<'_>) -> Answer {
    let on = call
        .services
        .store
        .read(|world| current(world, call).encrypt_by_default);
    let mut xml = leaf("ebsEncryptionByDefault", &on.to_string());
    xml.leaf("sseType", if on { "sse-kms" } else { "none" });
    Ok(xml)
}

/// `GetEbsDefaultKmsKeyId`.
pub(super) fn get_key(call: &Call<'_>) -> Answer {
    let key = call
        .services
        .store
        .read(|world| current(world, call).default_key);
    Ok(leaf("kmsKeyId", key.as_deref().unwrap_or(DEFAULT_KEY)))
}

/// `ModifyEbsDefaultKmsKeyId`.
pub(super) async fn set_key(call: &Call<'_>) -> Answer {
    let id = call.params.required("KmsKeyId")?;
    // An ARN says its region, and a key works in its own only.
    let region = id
        .starts_with("arn:")
        .then(|| id.split(':').nth(3).unwrap_or_default());
    if region.is_some_and(|region| region != call.caller.region.as_str()) {
        return Err(call
            .params
            .invalid("KmsKeyId", id, "the key is in another Region"));
    }
    let key = usable_key(&*call.services.keys, call.caller, id)
        .await
        .map_err(refused)?;
    change(call, |settings| settings.default_key = Some(key.clone()))?;
    Ok(leaf("kmsKeyId", &key))
}

/// `ResetEbsDefaultKmsKeyId`.
pub(super) fn reset_key(call: &Call<'_>) -> Answer {
    change(call, |settings| settings.default_key = None)?;
    Ok(leaf("kmsKeyId", DEFAULT_KEY))
}

fn leaf(name: &str, value: &str) -> Xml {
    let mut xml = Xml::new();
    xml.leaf(name, value);
    xml
}

/// The error for a key that can't be the default.
fn refused(fault: KeyFault) -> AwsError {
    match fault {
        KeyFault::NotFound(_) => AwsError::new("InvalidParameterValue", fault.to_string()),
        KeyFault::Unusable { .. } => AwsError::new("InvalidKMSKey.InvalidState", fault.to_string()),
        KeyFault::Unknown(error) => error,
    }
}

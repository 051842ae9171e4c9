//! The API's exceptions and their reasons.

use emulator_protocol::AwsError;
use std::io;

/// The longest message that the API's model allows.
const MAX_MESSAGE: usize = 256;

/// `ValidationException`, 400.
pub fn validation(reason: &'static str, message: impl Into<String>) -> AwsError {
    new("ValidationException", message).with_reason(reason)
}

/// `ValidationException` of a parameter that breaks the model's rule for it.
pub fn parameter(message: impl Into<String>) -> AwsError {
    validation("INVALID_PARAMETER_VALUE", message)
}

/// `ResourceNotFoundException`, 404: the caller sees no such snapshot.
pub fn snapshot_not_found(id: &str) -> AwsError {
    new(
        "ResourceNotFoundException",
        format!("The snapshot '{id}' does not exist."),
    )
    .with_status(404)
    .with_reason("SNAPSHOT_NOT_FOUND")
}

/// `AccessDeniedException`, 403.
pub fn access_denied(reason: &'static str, message: impl Into<String>) -> AwsError {
    new("AccessDeniedException", message)
        .with_status(403)
        .with_reason(reason)
}

/// `ConflictException`, 409: a client token was used for another request.
pub fn conflict() -> AwsError {
    new(
        "ConflictException",
        "The client token was used for a request with other parameters.",
    )
    .with_status(409)
}

/// `SerializationException`, 400: the body is not the JSON that it should be.
pub fn serialization(message: impl Into<String>) -> AwsError {
    new("SerializationException", message)
}

/// `UnknownOperationException`, 404.
pub fn unknown_operation(method: &str, path: &str) -> AwsError {
    new("UnknownOperationException", format!("{method} {path}")).with_status(404)
}

/// The disk does not do what it should: 503, naming it.
pub fn disk(error: &io::Error) -> AwsError {
    let what = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "The disk with the emulator's data is full"
        }
        _ => "The emulator's data can't be read or written",
    };
    tracing::error!(%error, "{what}");
    AwsError::unavailable(format!("{what}: {error}"))
}

fn new(code: &'static str, message: impl Into<String>) -> AwsError {
    let mut message: String = message.into();
    if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
        message.truncate(end);
    }
    AwsError::new(code, message)
}

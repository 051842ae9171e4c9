//! Bodies, held against the digest that was signed.

use super::asked::Asked;
use crate::gateway::scope::Fault;
use base64::Engine;
use emulator_protocol::AwsError;
use sha2::{Digest, Sha256};

/// Holds a body against the digest that was signed.
pub(super) fn check_digest(asked: &Asked, body: &[u8]) -> Result<(), AwsError> {
    match signed_digest(asked)? {
        Some(signed) if signed != <[u8; 32]>::from(Sha256::digest(body)) => {
            Err(wrong_digest(asked))
        }
        _ => Ok(()),
    }
}

/// Holds a block's checksum against the digest that was signed; the handler holds the block
/// against its checksum.
pub(super) fn check_checksum(asked: &Asked) -> Result<(), AwsError> {
    let signed = signed_digest(asked)?;
    let checksum = asked
        .parts
        .headers
        .get("x-amz-checksum")
        .and_then(|value| value.to_str().ok())
        .and_then(base64_digest);
    if signed.is_some() && checksum.is_some() && signed != checksum {
        return Err(wrong_digest(asked));
    }
    Ok(())
}

/// The digest in `x-amz-content-sha256`, where it is one.
fn signed_digest(asked: &Asked) -> Result<Option<[u8; 32]>, AwsError> {
    let Some(value) = asked.parts.headers.get("x-amz-content-sha256") else {
        return Ok(None);
    };
    let text = value.as_bytes();
    if text == b"UNSIGNED-PAYLOAD" || text.starts_with(b"STREAMING-") {
        return Ok(None);
    }
    let mut digest = [0; 32];
    match hex::decode_to_slice(text, &mut digest) {
        Ok(()) => Ok(Some(digest)),
        Err(_) => Err(asked.refusal(
            Fault::Digest,
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-…, or a valid sha256 value.",
        )),
    }
}

fn base64_digest(text: &str) -> Option<[u8; 32]> {
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .ok()?
        .try_into()
        .ok()
}

fn wrong_digest(asked: &Asked) -> AwsError {
    asked.refusal(
        Fault::Digest,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    )
}

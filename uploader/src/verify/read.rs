//! One block out of a snapshot.

use super::VerifyError;
use super::listing::Listed;
use crate::aws::{AwsError, Kind};
use crate::blocks::call::{Calls, Failed, Verdict, by_kind};
use crate::pace::Fault;
use aws_sdk_ebs::operation::get_snapshot_block::{GetSnapshotBlockError, GetSnapshotBlockOutput};
use aws_sdk_ebs::types::ValidationExceptionReason;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use imgtool::pass::BLOCK_LEN;
use sha2::{Digest, Sha256};

const OPERATION: &str = "ebs GetSnapshotBlock";

/// A block as it is in the snapshot.
pub(super) struct Read {
    pub(super) sha256: [u8; 32],
    /// Its bytes, if somebody wants them.
    pub(super) bytes: Vec<u8>,
}

/// Reads a block. What came is held against the checksum that came with it: a block that was changed
/// on its way is asked for again.
pub(super) async fn block(
    ebs: &aws_sdk_ebs::Client,
    snapshot: &str,
    block: &Listed,
    calls: &Calls,
    keep: bool,
) -> Result<Read, VerifyError> {
    let index = block.index;
    calls
        .until_through(index.into(), || async move {
            let answer = ebs
                .get_snapshot_block()
                .snapshot_id(snapshot)
                .block_index(index.cast_signed())
                .block_token(&block.token)
                .send()
                .await;
            match answer {
                Ok(answer) => take(answer, index, keep).await,
                Err(error) => {
                    let reason = error.as_service_error().and_then(|it| match it {
                        GetSnapshotBlockError::ValidationException(it) => it.reason(),
                        _ => None,
                    });
                    let reason = reason.cloned();
                    Err(judged(AwsError::new(OPERATION, error), reason))
                }
            }
        })
        .await
        .map_err(|error| failed(snapshot, error))
}

/// Hashes as it comes: a block that is not to be kept is never in memory as a whole.
async fn take(
    answer: GetSnapshotBlockOutput,
    index: u32,
    keep: bool,
) -> Result<Read, (AwsError, Verdict)> {
    let mut hash = Sha256::new();
    let mut bytes = Vec::new();
    let mut len = 0;
    let mut body = answer.block_data;
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| {
            let error = broken(format!("block {index}: {error}"));
            (error, Verdict::Again(Fault::Unavailable))
        })?;
        len += piece.len();
        if len > BLOCK_LEN {
            break;
        }
        hash.update(&piece);
        if keep {
            bytes.extend_from_slice(&piece);
        }
    }
    let sha256: [u8; 32] = hash.finalize().into();
    let claimed = answer.checksum.unwrap_or_default();
    if len != BLOCK_LEN || STANDARD.encode(sha256) != claimed {
        let error = broken(format!(
            "block {index}: the bytes that came are not those of the checksum that came with them"
        ));
        return Err((error, Verdict::Again(Fault::Garbled)));
    }
    Ok(Read { sha256, bytes })
}

fn broken(message: String) -> AwsError {
    AwsError {
        operation: OPERATION,
        kind: Kind::Unavailable,
        code: String::new(),
        message,
    }
}

/// What to do about a call that failed.
pub(super) fn judged(
    error: AwsError,
    reason: Option<ValidationExceptionReason>,
) -> (AwsError, Verdict) {
    let verdict = match reason {
        Some(ValidationExceptionReason::InvalidSnapshotId) => Verdict::Gone,
        // It was made long ago, and won't come.
        _ if error.kind == Kind::NotFound => Verdict::Gone,
        _ => by_kind(error.kind),
    };
    (error, verdict)
}

/// A call that never went through.
pub(super) fn failed(snapshot: &str, failed: Failed) -> VerifyError {
    match failed {
        Failed::Gone(error) => VerifyError::Unreadable {
            snapshot: snapshot.to_owned(),
            why: error.message,
        },
        Failed::Budget(seconds, last) => VerifyError::Budget { seconds, last },
        Failed::Refused(error) => error.into(),
    }
}

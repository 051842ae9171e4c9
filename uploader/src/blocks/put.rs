//! One block into a snapshot.

use super::call::{Calls, Failed, Verdict, by_kind};
use super::decode::has_digest;
use super::error::PutError;
use crate::aws::AwsError;
use crate::pace::{Fault, Patience};
use aws_sdk_ebs::error::SdkError;
use aws_sdk_ebs::operation::put_snapshot_block::PutSnapshotBlockError;
use aws_sdk_ebs::primitives::ByteStream;
use aws_sdk_ebs::types::{ChecksumAlgorithm, ValidationExceptionReason};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use imgtool::pass::BLOCK_LEN;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What came of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// The service has the block.
    Done,
    /// The block has another digest than it should have: the service refused it.
    Wrong,
}

/// Puts blocks into one snapshot.
pub(super) struct Putter {
    ebs: aws_sdk_ebs::Client,
    snapshot: String,
    calls: Calls,
}

impl Putter {
    pub(super) fn new(
        ebs: aws_sdk_ebs::Client,
        snapshot: &str,
        workers: usize,
        patience: Patience,
    ) -> Putter {
        Putter {
            ebs,
            snapshot: snapshot.to_owned(),
            calls: Calls::new(workers, patience),
        }
    }

    /// Puts `block`, whose digest has to be `sha256`, and waits until the service has it. The service
    /// computes the digest of what arrives and refuses any other: so it is computed here only once
    /// that has happened, to tell a wrong block from one that the way there changed.
    pub(super) async fn put(
        &self,
        index: u32,
        sha256: &[u8; 32],
        block: Bytes,
    ) -> Result<Put, PutError> {
        let checksum = STANDARD.encode(sha256);
        let checksum = checksum.as_str();
        let put = self
            .calls
            .until_through(self.seed(index), || {
                let call = self.call(index, checksum, block.clone());
                let is_right = || has_digest(&block, sha256);
                async move {
                    match call.await {
                        Err((_, Verdict::Again(Fault::Garbled))) if !is_right() => Ok(Put::Wrong),
                        answer => answer.map(|()| Put::Done),
                    }
                }
            })
            .await;
        put.map_err(|failed| match failed {
            Failed::Gone(error) => PutError::SnapshotGone {
                snapshot: self.snapshot.clone(),
                why: error.message,
            },
            Failed::Budget(seconds, last) => PutError::Budget { seconds, last },
            Failed::Refused(error) => error.into(),
        })
    }

    async fn call(
        &self,
        index: u32,
        checksum: &str,
        block: Bytes,
    ) -> Result<(), (AwsError, Verdict)> {
        self.ebs
            .put_snapshot_block()
            .snapshot_id(&self.snapshot)
            .block_index(index.cast_signed())
            .data_length(BLOCK_LEN as i32)
            .checksum(checksum)
            .checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256)
            .block_data(ByteStream::from(block))
            .send()
            .await
            .map(drop)
            .map_err(judged)
    }

    /// Differs between snapshots, whose ids are random, and between blocks: that spreads the waits.
    fn seed(&self, index: u32) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.snapshot, index).hash(&mut hasher);
        hasher.finish()
    }
}

fn judged(error: SdkError<PutSnapshotBlockError, HttpResponse>) -> (AwsError, Verdict) {
    let reason = match error.as_service_error() {
        Some(PutSnapshotBlockError::ValidationException(it)) => it.reason().cloned(),
        _ => None,
    };
    let error = AwsError::new("ebs PutSnapshotBlock", error);
    let verdict = match reason {
        Some(ValidationExceptionReason::InvalidSnapshotId) => Verdict::Gone,
        // All else in the call is right, so the block is not what was sent: its checksum is wrong,
        // or it broke off.
        Some(ValidationExceptionReason::InvalidParameterValue) => Verdict::Again(Fault::Garbled),
        // A twin that is still under way puts the same.
        Some(
            ValidationExceptionReason::ConflictingBlockUpdate
            | ValidationExceptionReason::WriteRequestTimeout,
        ) => Verdict::Again(Fault::Unavailable),
        _ => by_kind(error.kind),
    };
    (error, verdict)
}

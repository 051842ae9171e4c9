//! Single requests to the vault's bucket: what is there, and what is written once.

use super::error::PushError;
use crate::aws::{AwsError, Bucket, Kind};
use crate::pace::{Calls, Failed, Fault, Patience, Verdict, by_kind};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use std::time::Duration;

/// How long one attempt to send may take: this, and for each so many bytes a second more. Slower
/// links than that are none.
const ATTEMPT: Duration = Duration::from_secs(60);
const SLOWEST: u64 = 16 << 10;
/// How long S3 may take to put the parts of an upload together.
const COMPLETION: Duration = Duration::from_secs(600);

/// Refusals of bytes that changed on their way.
const GARBLED: &[&str] = &["BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch"];
/// Of two writers of one key, one is told to come again.
const RACE: &str = "ConditionalRequestConflict";

/// The vault's bucket, to which a push sends much and for long.
pub(super) struct Target {
    /// For requests that are few and small.
    pub(super) bucket: Bucket,
    /// Does not retry: what is large is retried by `calls`.
    sender: Bucket,
    calls: Calls,
    /// Spreads the pauses between retries.
    seed: u64,
}

impl Target {
    pub(super) fn new(bucket: Bucket, seed: u64) -> Target {
        Target {
            sender: bucket.without_retries(),
            bucket,
            calls: Calls::new(1, Patience::default()),
            seed,
        }
    }

    /// The same, to which `most` requests at a time send something.
    pub(super) fn with_requests(&self, most: usize) -> Target {
        Target {
            bucket: self.bucket.clone(),
            sender: self.sender.clone(),
            calls: Calls::new(most, Patience::default()),
            seed: self.seed,
        }
    }

    /// Writes an object, if there is none of this name. Says whether it was written.
    pub(super) async fn put_once(
        &self,
        key: &str,
        bytes: Bytes,
        checksum: &str,
    ) -> Result<bool, PushError> {
        let put = || async {
            let sent = self
                .sender
                .put_object()
                .key(key)
                .body(ByteStream::from(bytes.clone()))
                .checksum_sha256(checksum)
                .if_none_match("*")
                .customize()
                // The checksum is signed, and says the same.
                .disable_payload_signing()
                .config_override(attempt(bytes.len()))
                .send()
                .await;
            sent.map_err(|error| AwsError::new("s3 PutObject", error))
        };
        match self.retried(0, put).await {
            Ok(_) => Ok(true),
            // Also after a try of ours that arrived, and whose answer did not.
            Err(PushError::Aws(error)) if error.kind == Kind::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends a part; gives its tag.
    pub(super) async fn put_part(
        &self,
        key: &str,
        upload: &str,
        number: i32,
        bytes: Bytes,
        checksum: &str,
    ) -> Result<String, PushError> {
        let put = || async {
            let sent = self
                .sender
                .upload_part()
                .key(key)
                .upload_id(upload)
                .part_number(number)
                .body(ByteStream::from(bytes.clone()))
                .checksum_sha256(checksum)
                .customize()
                .disable_payload_signing()
                .config_override(attempt(bytes.len()))
                .send()
                .await;
            sent.map_err(|error| AwsError::new("s3 UploadPart", error))
        };
        let answer = self.retried(number.unsigned_abs().into(), put).await?;
        Ok(answer.e_tag.unwrap_or_default())
    }

    /// Calls until it goes through, fails for good, or none has gone through for too long.
    async fn retried<T, F>(&self, part: u64, call: impl Fn() -> F) -> Result<T, PushError>
    where
        F: Future<Output = Result<T, AwsError>>,
    {
        let tried = || async {
            call().await.map_err(|error| {
                let verdict = judged(&error);
                (error, verdict)
            })
        };
        let through = self.calls.until_through(self.seed ^ part, tried).await;
        through.map_err(given_up)
    }
}

/// What to do about a request that failed.
fn judged(error: &AwsError) -> Verdict {
    match error.kind {
        _ if GARBLED.contains(&error.code.as_str()) => Verdict::Again(Fault::Garbled),
        _ if error.code == RACE => Verdict::Again(Fault::Unavailable),
        // A link that is too narrow for so many at a time answers none of them.
        Kind::Unavailable if error.code.is_empty() => Verdict::Again(Fault::Unanswered),
        // What is not there won't come: an upload that was ended.
        Kind::NotFound => Verdict::Refused,
        kind => by_kind(kind),
    }
}

/// Why no more requests are made.
fn given_up(failed: Failed) -> PushError {
    match failed {
        Failed::Refused(error) | Failed::Gone(error) if judged(&error) == Verdict::Refused => {
            PushError::Aws(error)
        }
        Failed::Refused(error) | Failed::Gone(error) | Failed::Budget(_, error) => {
            PushError::Budget(error)
        }
    }
}

/// The time that one attempt to send so many bytes has.
fn attempt(bytes: usize) -> aws_sdk_s3::config::Builder {
    let time = ATTEMPT + Duration::from_secs(bytes as u64 / SLOWEST);
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(time);
    aws_sdk_s3::config::Builder::new().timeout_config(timeouts.build())
}

/// For a call that may take minutes, as S3 says of the completion of an upload.
pub(super) fn patient() -> aws_sdk_s3::config::Builder {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(COMPLETION);
    aws_sdk_s3::config::Builder::new().timeout_config(timeouts.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str, kind: Kind) -> AwsError {
        AwsError {
            operation: "s3 UploadPart",
            kind,
            code: code.to_owned(),
            message: String::new(),
        }
    }

    #[test]
    fn what_may_pass_is_sent_again() {
        let again = Verdict::Again;
        for (code, kind, verdict) in [
            ("SlowDown", Kind::Throttled, again(Fault::Throttled)),
            (
                "InternalError",
                Kind::Unavailable,
                again(Fault::Unavailable),
            ),
            ("", Kind::Unavailable, again(Fault::Unanswered)),
            ("BadDigest", Kind::Refused, again(Fault::Garbled)),
            ("IncompleteBody", Kind::Refused, again(Fault::Garbled)),
            (
                "ConditionalRequestConflict",
                Kind::Conflict,
                again(Fault::Unavailable),
            ),
            ("PreconditionFailed", Kind::Conflict, Verdict::Refused),
            ("NoSuchUpload", Kind::NotFound, Verdict::Refused),
            ("AccessDenied", Kind::Denied, Verdict::Refused),
            ("ExpiredToken", Kind::Credentials, Verdict::Refused),
        ] {
            assert_eq!(judged(&error(code, kind)), verdict, "{code}");
        }
    }

    /// What passed may be sent again later: the push says so. What is refused is told as it is, for
    /// some refusals mean that another push was faster.
    #[test]
    fn who_gives_up_says_whether_to_go_on() {
        for failed in [
            Failed::Budget(120, error("InternalError", Kind::Unavailable)),
            Failed::Refused(error("BadDigest", Kind::Refused)),
        ] {
            let told = given_up(failed);
            assert!(matches!(told, PushError::Budget(_)));
            let hint = told.hint().unwrap_or_default();
            assert!(hint.contains("goes on from there"));
        }
        let refused = given_up(Failed::Refused(error("NoSuchUpload", Kind::NotFound)));
        assert!(matches!(refused, PushError::Aws(error) if error.code == "NoSuchUpload"));
    }
}

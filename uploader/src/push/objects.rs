//! Single requests to the vault's bucket: what is there, and what is written once.

use super::error::PushError;
use super::pace::{Budget, Pace};
use crate::aws::{AwsError, Kind};
use crate::vault::Names;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;
use bytes::Bytes;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// How long one attempt to send may take: this, and for each so many bytes a second more. Slower
/// links than that are none.
const ATTEMPT: Duration = Duration::from_secs(60);
const SLOWEST: u64 = 16 << 10;

/// Codes of refusals that are not final: of two writers of one key, one is told to come again; and
/// bytes may change on their way.
const AGAIN: &[&str] = &[
    "BadDigest",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "XAmzContentSHA256Mismatch",
];

/// The vault's bucket, as a push uses it.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Retries by itself: for requests that are few and small.
    pub(super) s3: Client,
    /// Does not: what is large is retried from the budget.
    sender: Client,
    pub(super) name: String,
    /// Whose it has to be.
    pub(super) owner: String,
    pub(super) gate: Arc<Gate>,
    budget: Mutex<Budget>,
    random: Mutex<fastrand::Rng>,
}

/// An object that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) len: u64,
    /// Its SHA-256 in S3's spelling, if it was given one.
    pub(super) checksum: Option<String>,
}

impl Bucket {
    pub(super) fn new(s3: &Client, names: &Names, seed: u64) -> Bucket {
        let sender = s3
            .config()
            .to_builder()
            .retry_config(RetryConfig::disabled())
            .build();
        Bucket {
            s3: s3.clone(),
            sender: Client::from_conf(sender),
            name: names.bucket(),
            owner: names.account.clone(),
            gate: Arc::new(Gate::new(1)),
            budget: Mutex::default(),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
        }
    }

    /// What is at `key`, if anything is.
    pub(super) async fn head(&self, key: &str) -> Result<Option<Stored>, AwsError> {
        let answer = self
            .s3
            .head_object()
            .bucket(&self.name)
            .key(key)
            .checksum_mode(ChecksumMode::Enabled)
            .expected_bucket_owner(&self.owner)
            .send()
            .await
            .map_err(|error| AwsError::new("s3 HeadObject", error));
        match answer {
            Ok(it) => Ok(Some(Stored {
                len: it.content_length.unwrap_or(0).max(0).cast_unsigned(),
                checksum: it.checksum_sha256,
            })),
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
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
                .bucket(&self.name)
                .key(key)
                .body(ByteStream::from(bytes.clone()))
                .checksum_sha256(checksum)
                .if_none_match("*")
                .expected_bucket_owner(&self.owner)
                .customize()
                // The checksum is signed, and says the same.
                .disable_payload_signing()
                .config_override(attempt(bytes.len()))
                .send()
                .await;
            sent.map_err(|error| AwsError::new("s3 PutObject", error))
        };
        match self.retried(put).await {
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
                .bucket(&self.name)
                .key(key)
                .upload_id(upload)
                .part_number(number)
                .body(ByteStream::from(bytes.clone()))
                .checksum_sha256(checksum)
                .expected_bucket_owner(&self.owner)
                .customize()
                .disable_payload_signing()
                .config_override(attempt(bytes.len()))
                .send()
                .await;
            sent.map_err(|error| AwsError::new("s3 UploadPart", error))
        };
        let answer = self.retried(put).await?;
        Ok(answer.e_tag.unwrap_or_default())
    }

    /// Calls until it succeeds, fails for good, or the budget is used up.
    async fn retried<T, F>(&self, call: impl Fn() -> F) -> Result<T, PushError>
    where
        F: Future<Output = Result<T, AwsError>>,
    {
        let mut attempt = 0;
        loop {
            let round = self.gate.round();
            let error = match call().await {
                Ok(answer) => {
                    lock(&self.budget).succeeded();
                    self.gate.succeeded();
                    return Ok(answer);
                }
                Err(error) if error.is_transient() || AGAIN.contains(&error.code.as_str()) => error,
                Err(error) => return Err(error.into()),
            };
            self.gate.failed(round);
            let random = lock(&self.random).f64();
            let Some(pause) = lock(&self.budget).retry(attempt, random) else {
                return Err(PushError::Budget(error));
            };
            tracing::debug!(%error, attempt, ?pause, "again");
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }
}

/// The time that one attempt to send so many bytes has.
fn attempt(bytes: usize) -> aws_sdk_s3::config::Builder {
    let time = ATTEMPT + Duration::from_secs(bytes as u64 / SLOWEST);
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(time);
    aws_sdk_s3::config::Builder::new().timeout_config(timeouts.build())
}

/// Lets so many requests through at a time as the pace allows.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    pace: Pace,
    inside: usize,
}

/// A place behind the gate.
#[derive(Debug)]
pub(super) struct Permit(Arc<Gate>);

impl Gate {
    pub(super) fn new(most: usize) -> Gate {
        Gate {
            state: Mutex::new(State {
                pace: Pace::new(most),
                inside: 0,
            }),
            changed: Notify::new(),
        }
    }

    /// Allows another number from now on.
    pub(super) fn allow(&self, most: usize) {
        lock(&self.state).pace = Pace::new(most);
    }

    /// Waits for a place.
    pub(super) async fn enter(self: &Arc<Gate>) -> Permit {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = lock(&self.state);
                if state.inside < state.pace.limit() {
                    state.inside += 1;
                    return Permit(self.clone());
                }
            }
            changed.await;
        }
    }

    fn round(&self) -> u64 {
        lock(&self.state).pace.round()
    }

    fn succeeded(&self) {
        lock(&self.state).pace.succeeded();
        self.changed.notify_one();
    }

    fn failed(&self, round: u64) {
        lock(&self.state).pace.failed(round);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.0.state).inside -= 1;
        self.0.changed.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

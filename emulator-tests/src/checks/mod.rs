//! What our security rests on and LocalStack leaves out: bucket policies, and whether a KMS key
//! exists and is enabled.

mod kms;
mod memory;
mod principal;
mod s3;
mod sqs;
mod ssm;

use bytes::Bytes;
use emulator_backend::Keys;
use emulator_localstack::Upstream;
use emulator_protocol::operation::is_s3;
use emulator_protocol::{AwsError, Caller};
use emulator_state::clock::Clock;
use http::request::Parts;
use kms::KnownKeys;
use principal::Principals;
use s3::{Around, S3};
use sqs::Sqs;
use std::sync::Arc;

pub use s3::delete;

/// Judges requests before LocalStack gets them, and answers before clients do.
pub struct Checks {
    upstream: Upstream,
    keys: KnownKeys,
    principals: Principals,
    s3: S3,
    sqs: Sqs,
}

impl Checks {
    /// Of requests to this LocalStack.
    pub fn new(upstream: Upstream, keys: Arc<dyn Keys>, clock: Arc<dyn Clock>) -> Self {
        Self {
            upstream,
            keys: KnownKeys::new(keys),
            principals: Principals::new(),
            s3: S3::new(clock),
            sqs: Sqs::new(),
        }
    }

    /// For a request whose body would be streamed (S3): how many bytes of it, at most, have to be
    /// read and given to [`Self::before`]. A longer body is refused by whoever reads it.
    pub fn body_limit(service: &str, request: &Parts) -> Option<usize> {
        (is_s3(service)).then(|| S3::body_limit(request))?
    }

    /// Refuses what AWS would refuse. `service` is from the signature's scope. `body` is there for
    /// every service but S3, whose bodies are streamed unless [`Self::body_limit`] asks for them.
    /// Gives the objects that have to be left out of the request (`DeleteObjects`).
    ///
    /// # Errors
    /// In AWS's words.
    pub async fn before(
        &self,
        caller: &Caller,
        service: &str,
        request: &Parts,
        body: Option<&Bytes>,
    ) -> Result<Vec<delete::Denied>, AwsError> {
        match service {
            _ if is_s3(service) => {
                return self.s3.before(&self.around(), caller, request, body).await;
            }
            "sqs" => {
                self.sqs
                    .before(&self.upstream, &self.keys, caller, request, body)
                    .await?;
            }
            "ssm" => ssm::before(&self.keys, caller, request, body).await?,
            _ => {}
        }
        Ok(Vec::new())
    }

    /// Is asked about every request that LocalStack answered with success, before the answer is
    /// passed on: an object whose key can't be used can't be read.
    ///
    /// # Errors
    /// In AWS's words.
    pub async fn answer(
        &self,
        caller: &Caller,
        service: &str,
        request: &Parts,
        response: &http::response::Parts,
    ) -> Result<(), AwsError> {
        if is_s3(service) {
            self.s3
                .answer(&self.around(), caller, request, response)
                .await?;
        }
        Ok(())
    }

    /// Is told of every request that LocalStack answered with success: what it changed must not be
    /// remembered as it was.
    pub fn after(&self, _caller: &Caller, service: &str, request: &Parts) {
        match service {
            _ if is_s3(service) => self.s3.after(request),
            "sqs" => self.sqs.after(request),
            "kms" if !reads(request) => self.keys.clear(),
            "iam" | "sts" => self.principals.clear(),
            _ => {}
        }
    }

    fn around(&self) -> Around<'_> {
        Around {
            upstream: &self.upstream,
            keys: &self.keys,
            principals: &self.principals,
        }
    }
}

/// Whether a request to KMS leaves all keys as they are.
fn reads(request: &Parts) -> bool {
    let target = request
        .headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
        .unwrap_or_default();
    let name = target.rsplit_once('.').map_or(target, |(_, name)| name);
    [
        "Decrypt",
        "Derive",
        "Describe",
        "Encrypt",
        "Generate",
        "Get",
        "List",
        "ReEncrypt",
        "Sign",
        "Verify",
    ]
    .iter()
    .any(|read| name.starts_with(read))
}

#[cfg(test)]
mod tests;

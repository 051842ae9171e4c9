//! Errors as AWS reports them.

use std::borrow::Cow;

/// An error that the client is told.
///
/// Codes and statuses are those of the service's API reference; a handler never answers 500.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct AwsError {
    /// HTTP status.
    pub status: u16,
    /// The code that SDKs match on: `InvalidSnapshot.NotFound`, `ValidationException`.
    pub code: Cow<'static, str>,
    /// What is wrong, naming the id or the field.
    pub message: String,
    /// The EBS direct API's `Reason` member, where the exception has one.
    pub reason: Option<&'static str>,
}

impl AwsError {
    /// The client's fault: 400.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            status: 400,
            code: code.into(),
            message: message.into(),
            reason: None,
        }
    }

    /// The same with another status.
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The same with the EBS direct API's reason.
    pub fn with_reason(self, reason: &'static str) -> Self {
        Self {
            reason: Some(reason),
            ..self
        }
    }

    /// Something of ours does not work (disk full, LocalStack gone): 503, which clients retry.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new("ServiceUnavailable", message).with_status(503)
    }
}

/// How a service writes its answers and errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// EC2's variant of the query protocol: form in, XML out.
    Ec2,
    /// The query protocol of IAM and STS: form in, XML out.
    Query,
    /// JSON with paths (EBS direct API).
    RestJson,
    /// XML with paths (S3).
    RestXml,
    /// JSON with `X-Amz-Target` (KMS, SQS, SSM).
    Json,
}

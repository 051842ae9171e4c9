//! Why a signature is no good, in the words of each protocol.

use emulator_protocol::{AwsError, Protocol};

/// Why a signature is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// There is none.
    Missing,
    /// A part of it is not there or not in form.
    Incomplete,
    /// It says something that can't be.
    Invalid,
    /// The access key is none.
    AccessKey,
    /// Its time is too far from ours.
    Skewed,
    /// A presigned URL is over.
    Expired,
    /// The body is not the one that was signed.
    Digest,
}

/// A signature refused. `service` is empty where the request did not say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) fault: Fault,
    pub(crate) service: String,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(fault: Fault, service: &str, message: impl Into<String>) -> Self {
        Self {
            fault,
            service: service.to_owned(),
            message: message.into(),
        }
    }

    /// Signature version 2, which S3 refuses for whatever is younger than 2020, and others for longer.
    pub(super) fn version_2() -> Self {
        Self::new(
            Fault::Incomplete,
            "s3",
            "The authorization mechanism you have provided is not supported. Please use \
             AWS4-HMAC-SHA256.",
        )
    }

    /// The same in the words of a protocol.
    pub(crate) fn error(&self, protocol: Protocol) -> AwsError {
        let (code, status) = match (protocol, self.fault) {
            (Protocol::Ec2, Fault::Missing) => ("MissingAuthenticationToken", 403),
            (Protocol::Ec2, Fault::Incomplete) => ("IncompleteSignature", 400),
            (Protocol::Ec2, Fault::Skewed | Fault::Expired) => ("RequestExpired", 400),
            (Protocol::Ec2, _) => ("AuthFailure", 401),
            (Protocol::RestXml, Fault::Missing | Fault::Expired) => ("AccessDenied", 403),
            (Protocol::RestXml, Fault::Incomplete | Fault::Invalid) => {
                ("AuthorizationHeaderMalformed", 400)
            }
            (Protocol::RestXml, Fault::AccessKey) => ("InvalidAccessKeyId", 403),
            (Protocol::RestXml, Fault::Skewed) => ("RequestTimeTooSkewed", 403),
            (Protocol::RestXml, Fault::Digest) => ("XAmzContentSHA256Mismatch", 400),
            (Protocol::Query, Fault::Missing) => ("MissingAuthenticationToken", 403),
            (Protocol::Query, Fault::Incomplete) => ("IncompleteSignature", 400),
            (Protocol::Query, Fault::AccessKey) => ("InvalidClientTokenId", 403),
            (Protocol::Query, _) => ("SignatureDoesNotMatch", 403),
            (Protocol::Json, Fault::Missing) => ("MissingAuthenticationTokenException", 400),
            (Protocol::Json, Fault::Incomplete) => ("IncompleteSignatureException", 400),
            (Protocol::Json, Fault::AccessKey) => ("UnrecognizedClientException", 400),
            (Protocol::Json, _) => ("InvalidSignatureException", 400),
            (Protocol::RestJson, Fault::Missing) => ("MissingAuthenticationTokenException", 403),
            (Protocol::RestJson, Fault::Incomplete) => ("IncompleteSignatureException", 403),
            (Protocol::RestJson, Fault::AccessKey) => ("UnrecognizedClientException", 403),
            (Protocol::RestJson, _) => ("InvalidSignatureException", 403),
        };
        AwsError::new(code, &*self.message).with_status(status)
    }
}

//! What an error of AWS's means for what it was part of.

use crate::aws::{AwsError, Kind};

/// A call that failed; whether it was carried out is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct FailedCall {
    /// What was called, and what came of it.
    pub text: String,
    /// Whether it may help to try again later.
    pub is_transient: bool,
    /// Whether the caller may not do this.
    pub is_denied: bool,
    /// If AWS does not take the caller's credentials: what a person can do about it. An agent waits
    /// until somebody has; a person who sits there is told at once.
    pub sign_in: Option<String>,
}

impl FailedCall {
    /// A failure that says the same each time.
    pub(crate) fn permanent(text: impl Into<String>) -> FailedCall {
        FailedCall {
            text: text.into(),
            is_transient: false,
            is_denied: false,
            sign_in: None,
        }
    }

    /// One that may pass.
    pub(crate) fn transient(text: impl Into<String>) -> FailedCall {
        FailedCall {
            is_transient: true,
            ..FailedCall::permanent(text)
        }
    }
}

impl From<AwsError> for FailedCall {
    fn from(error: AwsError) -> FailedCall {
        let mut text = error.to_string();
        if let Some(hint) = error.hint().filter(|_| error.kind == Kind::Denied) {
            text = format!("{text} ({hint})");
        }
        FailedCall {
            text,
            is_transient: may_pass(&error),
            is_denied: error.kind == Kind::Denied,
            sign_in: error.hint().filter(|_| error.kind == Kind::Credentials),
        }
    }
}

/// Whether it may help to try later: because the service may recover, or because somebody may mend
/// what is around it (credentials, quotas, the vault's own key).
pub(crate) fn may_pass(error: &AwsError) -> bool {
    error.is_transient()
        || error.kind == Kind::Credentials
        || error.code.contains("LimitExceeded")
        || error.code.contains("QuotaExceeded")
        || (error.operation.starts_with("s3 ") && error.code.starts_with("KMS."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_can_mend_is_tried_again() {
        let passes = |operation, kind, code: &str| {
            may_pass(&AwsError {
                operation,
                kind,
                code: code.to_owned(),
                message: String::new(),
            })
        };
        assert!(passes("s3 GetObject", Kind::Throttled, "SlowDown"));
        assert!(passes(
            "s3 GetObject",
            Kind::Refused,
            "KMS.DisabledException"
        ));
        assert!(passes(
            "ebs StartSnapshot",
            Kind::Refused,
            "ConcurrentLimitExceededException"
        ));
        assert!(passes(
            "ebs StartSnapshot",
            Kind::Refused,
            "ServiceQuotaExceededException"
        ));
        assert!(passes("kms Verify", Kind::Credentials, "ExpiredToken"));
        assert!(!passes(
            "ebs StartSnapshot",
            Kind::Refused,
            "ValidationException"
        ));
        assert!(!passes(
            "ec2 RegisterImage",
            Kind::Denied,
            "UnauthorizedOperation"
        ));
    }
}

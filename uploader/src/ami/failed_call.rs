//! What an error of AWS's means for a request.

use crate::agent::machine::action::{Event, Fault};
use crate::aws::{AwsError, Kind};

/// A failed call, as the machine is told of it.
pub(crate) fn of(error: &AwsError) -> Event {
    let mut text = error.to_string();
    if let Some(hint) = error.hint().filter(|_| error.kind == Kind::Denied) {
        text = format!("{text} ({hint})");
    }
    Event::Fault(Fault {
        text,
        is_transient: is_transient(error),
        is_denied: error.kind == Kind::Denied,
        sign_in: error.hint().filter(|_| error.kind == Kind::Credentials),
    })
}

/// A failure that says the same each time.
pub(crate) fn permanent(text: impl Into<String>) -> Event {
    Event::Fault(Fault {
        text: text.into(),
        is_transient: false,
        is_denied: false,
        sign_in: None,
    })
}

/// One that may not.
pub(crate) fn transient(text: impl Into<String>) -> Event {
    Event::Fault(Fault {
        text: text.into(),
        is_transient: true,
        is_denied: false,
        sign_in: None,
    })
}

/// Whether it may help to try later: because the service may recover, or because somebody may mend
/// what is around it (credentials, quotas, the vault's own key).
pub(crate) fn is_transient(error: &AwsError) -> bool {
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
        let fault = |operation, kind, code: &str| {
            is_transient(&AwsError {
                operation,
                kind,
                code: code.to_owned(),
                message: String::new(),
            })
        };
        assert!(fault("s3 GetObject", Kind::Throttled, "SlowDown"));
        assert!(fault(
            "s3 GetObject",
            Kind::Refused,
            "KMS.DisabledException"
        ));
        assert!(fault(
            "ebs StartSnapshot",
            Kind::Refused,
            "ConcurrentLimitExceededException"
        ));
        assert!(fault(
            "ebs StartSnapshot",
            Kind::Refused,
            "ServiceQuotaExceededException"
        ));
        assert!(fault("kms Verify", Kind::Credentials, "ExpiredToken"));
        assert!(!fault(
            "ebs StartSnapshot",
            Kind::Refused,
            "ValidationException"
        ));
        assert!(!fault(
            "ec2 RegisterImage",
            Kind::Denied,
            "UnauthorizedOperation"
        ));
    }
}

//! What AWS answered instead, in one type for all services.

use crate::Class;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use error_class::Chain;
use std::error::Error;

/// A call that failed.
#[derive(Debug)]
pub struct AwsError {
    /// What was called, as `s3 PutObject`.
    pub operation: &'static str,
    /// What to do about it.
    pub kind: Kind,
    /// The service's error code; empty where no service answered.
    pub code: String,
    /// What the service, or the way to it, said.
    pub message: String,
}

/// What can be done about a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Too many calls: later, and fewer at a time.
    Throttled,
    /// The service or the way to it failed: again. The call may have been carried out.
    Unavailable,
    /// Credentials are missing, expired or wrong.
    Credentials,
    /// The caller may not do this.
    Denied,
    /// What it is about is not there.
    NotFound,
    /// It is there already, or was changed meanwhile.
    Conflict,
    /// The service refuses the call, and will refuse it again.
    Refused,
}

/// Codes of throttles, of all services.
const THROTTLES: &[&str] = &[
    "BandwidthLimitExceeded",
    "KMSThrottlingException",
    "LimitExceededException",
    "OverLimit",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestThrottlingException",
    "SlowDown",
    "SnapshotCreationPerVolumeRateExceeded",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "TransactionInProgressException",
];
/// Codes that say that the credentials are no good.
const CREDENTIALS: &[&str] = &[
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "InvalidToken",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "RequestInTheFuture",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
];
const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "AllAccessDisabled",
    "Forbidden",
    "UnauthorizedOperation",
];

impl AwsError {
    /// Of a call to `operation`.
    pub fn new<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> AwsError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let (code, status) = match &error {
            SdkError::ServiceError(it) => (
                it.err().code().unwrap_or_default().to_owned(),
                it.raw().status().as_u16(),
            ),
            SdkError::ResponseError(it) => (String::new(), it.raw().status().as_u16()),
            _ => (String::new(), 0),
        };
        let message = match &error {
            SdkError::ServiceError(it) => it.err().message().map(str::to_owned),
            _ => None,
        };
        let message = message.unwrap_or_else(|| Chain(&error).to_string());
        let kind = match &error {
            SdkError::ServiceError(_) => kind_of(&code, status),
            // The chain of credential providers ran dry, or one of them failed.
            _ if is_about_credentials(&error) => Kind::Credentials,
            SdkError::ConstructionFailure(_) => Kind::Refused,
            _ => Kind::Unavailable,
        };
        AwsError {
            operation,
            kind,
            code,
            message,
        }
    }

    /// Of an answer that does not say what it has made: the call may have been carried out.
    pub(crate) fn without_id(operation: &'static str, what: &str) -> AwsError {
        AwsError {
            operation,
            kind: Kind::Unavailable,
            code: String::new(),
            message: format!("the answer names no {what}"),
        }
    }

    /// Of a call that could not even be put together.
    pub(crate) fn unsent(operation: &'static str, error: &dyn Error) -> AwsError {
        AwsError {
            operation,
            kind: Kind::Unavailable,
            code: String::new(),
            message: error.to_string(),
        }
    }

    /// The same of a call about this bucket, which is told by name if S3 refuses it: every call says
    /// whose the bucket has to be, and of one that is another's S3 says no more than "denied".
    pub(crate) fn about(mut self, bucket: &str) -> AwsError {
        if self.kind == Kind::Denied {
            let more = format!(" (bucket {bucket}, which may be another account's)");
            self.message.push_str(&more);
        }
        self
    }

    /// Whether it may help to call again.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, Kind::Throttled | Kind::Unavailable)
    }

    /// Whether there is nothing of the id that was asked for: none such is known, or none can be.
    pub fn is_no_such_id(&self) -> bool {
        self.kind == Kind::NotFound || self.code.ends_with(".Malformed")
    }

    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self.kind {
            Kind::Credentials | Kind::Denied | Kind::Unavailable => Class::Surroundings,
            Kind::Throttled | Kind::NotFound | Kind::Conflict | Kind::Refused => Class::Failed,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self.kind {
            Kind::Credentials => Some(self.sign_in()),
            Kind::Denied => Some(format!(
                "the caller lacks the permission {}",
                denied_action(&self.message).unwrap_or_else(|| permission(self.operation))
            )),
            Kind::Unavailable => {
                Some("is there a network, and is the endpoint right (AWS_ENDPOINT_URL)?".to_owned())
            }
            Kind::Throttled | Kind::NotFound | Kind::Conflict | Kind::Refused => None,
        }
    }

    /// What to do about credentials, as far as the answer tells.
    fn sign_in(&self) -> String {
        // One code says of a signature that its time is off, and that the key is another: the words
        // after it tell which.
        let says = |it: &str| self.message.contains(it);
        let is_about_time = says("Signature expired") || says("Signature not");
        match self.code.as_str() {
            "RequestTimeTooSkewed" | "RequestInTheFuture" => CLOCK.to_owned(),
            "InvalidSignatureException" | "SignatureDoesNotMatch" if is_about_time => {
                CLOCK.to_owned()
            }
            "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => EXPIRED.to_owned(),
            // EC2's word for both.
            "RequestExpired" => format!("{EXPIRED}; or {CLOCK}"),
            "" => "set AWS_PROFILE or --profile, sign in with aws sso login, or export \
                   AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                .to_owned(),
            // EC2 says no more, whatever is wrong with a signature.
            "AuthFailure" => format!("{REFUSED}; or {CLOCK}"),
            _ => REFUSED.to_owned(),
        }
    }
}

/// What to do about credentials that were good until a while ago.
const EXPIRED: &str =
    "the credentials have expired: sign in again (aws sso login), or get new keys";
/// What to do about keys that AWS never took, or takes no more.
const REFUSED: &str = "AWS does not take these keys: do access key, secret and session token belong \
                       together, and are they still there? If not, sign in again (aws sso login), or \
                       get new keys";
/// What to do about a time that AWS does not take.
const CLOCK: &str = "this machine's clock is wrong: AWS allows 5 to 15 minutes; date -u shows it";

/// An operation as policies write it: `s3 PutObject` is `s3:PutObject`. S3 has names of its own for
/// some.
fn permission(operation: &str) -> String {
    let action = match operation {
        "s3 CreateMultipartUpload" | "s3 UploadPart" | "s3 CompleteMultipartUpload" => {
            "s3 PutObject"
        }
        "s3 DeleteObjects" => "s3 DeleteObject",
        "s3 HeadBucket" | "s3 ListObjectsV2" => "s3 ListBucket",
        "s3 HeadObject" => "s3 GetObject",
        "s3 ListMultipartUploads" => "s3 ListBucketMultipartUploads",
        "s3 ListObjectVersions" => "s3 ListBucketVersions",
        "s3 ListParts" => "s3 ListMultipartUploadParts",
        same => same,
    };
    action.replacen(' ', ":", 1)
}

/// The action that a refusal names, where one call takes several: to run an instance also takes
/// `iam:PassRole` and `ec2:CreateTags`.
fn denied_action(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("not authorized to perform: ")?;
    let fits = |it: &char| it.is_ascii_alphanumeric() || matches!(it, ':' | '-');
    let action: String = rest.chars().take_while(fits).take(128).collect();
    action.contains(':').then_some(action)
}

impl std::fmt::Display for AwsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.operation)?;
        if !self.code.is_empty() {
            write!(f, "{}: ", self.code)?;
        }
        f.write_str(&self.message)
    }
}

impl Error for AwsError {}

fn kind_of(code: &str, status: u16) -> Kind {
    let is_one_of = |codes: &[&str]| codes.contains(&code);
    // The EBS direct API says why in `Reason`, with one code for all of it.
    if is_one_of(THROTTLES) || status == 429 {
        Kind::Throttled
    } else if is_one_of(CREDENTIALS) {
        Kind::Credentials
    } else if is_one_of(DENIED) || (status == 403 && code.is_empty()) {
        // An answer to HEAD has no body, and so no code.
        Kind::Denied
    } else if code.contains("NotFound")
        || code.contains("NonExistent")
        || code.starts_with("NoSuch")
        || status == 404
    {
        Kind::NotFound
    } else if code.contains("AlreadyExists")
        || code.contains("Duplicate")
        || matches!(
            code,
            "PreconditionFailed" | "ConditionalRequestConflict" | "BucketAlreadyOwnedByYou"
        )
        || matches!(status, 409 | 412)
    {
        Kind::Conflict
    } else if status >= 500 || matches!(code, "RequestTimeout" | "RequestTimeoutException") {
        Kind::Unavailable
    } else {
        Kind::Refused
    }
}

fn is_about_credentials(error: &dyn Error) -> bool {
    let text = Chain(error).to_string();
    text.contains("credential") || text.contains("identity")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_say_what_to_do() {
        for (code, status, kind) in [
            ("SlowDown", 503, Kind::Throttled),
            ("", 403, Kind::Denied),
            ("RequestThrottledException", 400, Kind::Throttled),
            ("RequestLimitExceeded", 503, Kind::Throttled),
            ("ExpiredToken", 400, Kind::Credentials),
            ("AuthFailure", 401, Kind::Credentials),
            ("UnauthorizedOperation", 403, Kind::Denied),
            ("NoSuchKey", 404, Kind::NotFound),
            ("InvalidSnapshot.NotFound", 400, Kind::NotFound),
            ("QueueDoesNotExist", 404, Kind::NotFound),
            ("PreconditionFailed", 412, Kind::Conflict),
            ("InvalidAMIName.Duplicate", 400, Kind::Conflict),
            ("InternalError", 500, Kind::Unavailable),
            ("", 502, Kind::Unavailable),
            ("ValidationException", 400, Kind::Refused),
        ] {
            assert_eq!(kind_of(code, status), kind, "{code} {status}");
        }
    }

    #[test]
    fn an_id_that_is_unknown_or_none_is_no_such_id() {
        for (code, expected) in [
            ("InvalidAMIID.NotFound", true),
            ("InvalidAMIID.Malformed", true),
            ("InvalidSubnetID.NotFound", true),
            ("InvalidSubnetId.Malformed", true),
            ("InvalidAMIID.Unavailable", false),
            ("UnauthorizedOperation", false),
        ] {
            let error = AwsError {
                operation: "ec2 DescribeImages",
                kind: kind_of(code, 400),
                code: code.to_owned(),
                message: String::new(),
            };
            assert_eq!(error.is_no_such_id(), expected, "{code}");
        }
    }

    #[test]
    fn a_denied_call_names_the_permission() {
        let error = AwsError {
            operation: "ec2 RegisterImage",
            kind: Kind::Denied,
            code: "UnauthorizedOperation".into(),
            message: "no".into(),
        };
        assert_eq!(
            error.hint().as_deref(),
            Some("the caller lacks the permission ec2:RegisterImage")
        );
        assert_eq!(
            error.to_string(),
            "ec2 RegisterImage: UnauthorizedOperation: no"
        );
        let error = AwsError {
            operation: "ec2 RunInstances",
            message: "You are not authorized to perform this operation. User: arn:aws:iam::1:user/x \
                      is not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/y \
                      because no identity-based policy allows the iam:PassRole action. Encoded \
                      authorization failure message: AbC"
                .into(),
            ..error
        };
        assert_eq!(
            error.hint().as_deref(),
            Some("the caller lacks the permission iam:PassRole")
        );
    }
}

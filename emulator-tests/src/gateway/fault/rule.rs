//! Rules: which requests something happens to, and what.

use emulator_protocol::AwsError;
use serde::{Deserialize, Serialize};

/// What a rule says: the requests it is about, which of them it fires for, and what happens then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The service of the signature's scope: `ebs`, `ec2`, `s3`, `kms`.
    pub service: String,
    /// The operation, `PutSnapshotBlock`; all of the service's if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Only requests of this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Only requests with this text in their path, query or form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Which of the requests that match it fires for.
    #[serde(default)]
    pub when: When,
    /// How often it fires at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// What happens.
    pub fault: Fault,
}

/// Which of the requests that match, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// All of them.
    #[default]
    Always,
    /// Those whose number is a multiple.
    Every(u64),
    /// Just the one with this number.
    Nth(u64),
    /// Each with this probability. The same seed chooses the same numbers.
    Chance {
        /// From 0 to 1.
        probability: f64,
        /// Any number.
        #[serde(default)]
        seed: u64,
    },
}

impl When {
    /// Whether the request with this number is chosen.
    pub(crate) fn chooses(self, number: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Every(step) => number.is_multiple_of(step),
            Self::Nth(only) => number == only,
            Self::Chance { probability, seed } => {
                // The multiplier is 2^64 over the golden ratio: numbers in a row end up far apart.
                let mixed = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                fastrand::Rng::with_seed(mixed).f64() < probability
            }
        }
    }
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It is refused, and not performed.
    Error(Refused),
    /// The connection is cut: while the request's body comes in (then nothing is performed), or
    /// while the answer's goes out.
    Cut {
        /// Which body.
        side: Side,
        /// Bytes of it that still pass.
        #[serde(default)]
        after_bytes: u64,
    },
    /// A body passes slowly.
    Slow {
        /// Which body.
        side: Side,
        /// How fast.
        bytes_per_second: u64,
    },
    /// The request waits before it is performed.
    Delay {
        /// How long.
        milliseconds: u64,
    },
    /// One byte of a body is another.
    Corrupt {
        /// Which body.
        side: Side,
        /// Which byte, counted from 0, modulo the body's length where that is known.
        #[serde(default)]
        offset: u64,
    },
    /// The request is performed, and the connection cut without an answer.
    Lose,
}

/// The body of the request or that of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// What the client sends.
    Request,
    /// What the client gets.
    Answer,
}

/// How a request is refused. What is not given is what the service says in such a case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Refused {
    /// HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The error's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The EBS direct API's reason: `ACCOUNT_THROTTLED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The error's message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Reasons of the EBS direct API (service model 2019-11-02), with their exceptions and statuses.
const REASONS: &[(&str, &str, u16)] = &[
    ("ACCOUNT_THROTTLED", "RequestThrottledException", 400),
    (
        "DEPENDENCY_REQUEST_THROTTLED",
        "RequestThrottledException",
        400,
    ),
    ("RESOURCE_LEVEL_THROTTLE", "RequestThrottledException", 400),
    ("UNAUTHORIZED_ACCOUNT", "AccessDeniedException", 403),
    ("DEPENDENCY_ACCESS_DENIED", "AccessDeniedException", 403),
    ("SNAPSHOT_NOT_FOUND", "ResourceNotFoundException", 404),
    ("GRANT_NOT_FOUND", "ResourceNotFoundException", 404),
    (
        "DEPENDENCY_RESOURCE_NOT_FOUND",
        "ResourceNotFoundException",
        404,
    ),
    ("IMAGE_NOT_FOUND", "ResourceNotFoundException", 404),
    (
        "DEPENDENCY_SERVICE_QUOTA_EXCEEDED",
        "ServiceQuotaExceededException",
        402,
    ),
    ("INVALID_CUSTOMER_KEY", "ValidationException", 400),
    ("INVALID_BLOCK_TOKEN", "ValidationException", 400),
    ("INVALID_SNAPSHOT_ID", "ValidationException", 400),
    ("INVALID_BLOCK", "ValidationException", 400),
    ("CONFLICTING_BLOCK_UPDATE", "ValidationException", 400),
    ("WRITE_REQUEST_TIMEOUT", "ValidationException", 400),
];

impl Refused {
    /// The error that a service's client is told.
    pub(crate) fn error(&self, service: &str) -> AwsError {
        let reason = self
            .reason
            .as_deref()
            .and_then(|reason| REASONS.iter().find(|(name, ..)| *name == reason));
        let (code, status) = match (reason, self.status) {
            (Some(&(_, code, status)), given) => (code, given.unwrap_or(status)),
            (None, given) => {
                let status = given.unwrap_or(503);
                (usual_code(service, status), status)
            }
        };
        let code = self.code.clone().unwrap_or_else(|| code.to_owned());
        let message = self
            .message
            .clone()
            .unwrap_or_else(|| "The emulator was told to fail here".to_owned());
        let error = AwsError::new(code, message).with_status(status);
        match reason {
            Some((reason, ..)) => error.with_reason(reason),
            None => error,
        }
    }
}

/// What a service calls a status.
fn usual_code(service: &str, status: u16) -> &'static str {
    match (service, status) {
        ("ebs", 500) => "InternalServerException",
        ("ebs", 400 | 429) => "RequestThrottledException",
        ("ebs", 403) => "AccessDeniedException",
        ("ebs", 404) => "ResourceNotFoundException",
        ("ec2", 500) => "InternalError",
        ("ec2", 400 | 429 | 503) => "RequestLimitExceeded",
        ("ec2", 403) => "UnauthorizedOperation",
        ("s3", 500) => "InternalError",
        ("s3", 403) => "AccessDenied",
        ("s3", 429 | 503) => "SlowDown",
        ("kms", 500) => "KMSInternalException",
        ("iam" | "sts", 400 | 429) => "Throttling",
        (_, 400 | 429) => "ThrottlingException",
        (_, 403) => "AccessDeniedException",
        (_, 500) => "InternalFailure",
        _ => "ServiceUnavailable",
    }
}

impl Rule {
    /// Why it can't be a rule, if it can't.
    pub(crate) fn problem(&self) -> Option<String> {
        let fine = |text: &str| !text.is_empty() && text.len() <= 256;
        let texts = [&self.operation, &self.account, &self.resource];
        if !fine(&self.service) || texts.into_iter().flatten().any(|text| !fine(text)) {
            return Some("a name is empty or longer than 256 bytes".to_owned());
        }
        match self.when {
            When::Every(0) | When::Nth(0) => {
                return Some("requests are counted from 1".to_owned());
            }
            When::Chance { probability, .. } if !(0.0..=1.0).contains(&probability) => {
                return Some(format!("{probability} is no probability from 0 to 1"));
            }
            _ => {}
        }
        match &self.fault {
            Fault::Error(refused) => refused.problem(),
            Fault::Slow {
                bytes_per_second: 0,
                ..
            } => Some("0 bytes per second never end: cut the connection instead".to_owned()),
            _ => None,
        }
    }
}

impl Refused {
    fn problem(&self) -> Option<String> {
        if let Some(status) = self.status
            && !(400..=599).contains(&status)
        {
            return Some(format!("{status} is no status of an error: 400 to 599"));
        }
        if let Some(code) = &self.code
            && (code.is_empty() || !code.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Some(format!("{code:?} is no error code"));
        }
        if let Some(reason) = &self.reason
            && !REASONS.iter().any(|(name, ..)| name == reason)
        {
            let known: Vec<&str> = REASONS.iter().map(|(name, ..)| *name).collect();
            return Some(format!(
                "{reason:?} is no reason of the EBS direct API; those are {}",
                known.join(", ")
            ));
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_chosen_by_their_number() {
        let chosen = |when: When| (1..=10).filter(|&n| when.chooses(n)).collect::<Vec<u64>>();
        assert_eq!(chosen(When::Every(4)), [4, 8]);
        assert_eq!(chosen(When::Nth(3)), [3]);
        assert_eq!(chosen(When::Always).len(), 10);
        let chance = |probability, seed| When::Chance { probability, seed };
        assert_eq!(chosen(chance(0.5, 7)), chosen(chance(0.5, 7)));
        assert_ne!(chosen(chance(0.5, 7)), chosen(chance(0.5, 8)));
        assert!(chosen(chance(0.0, 1)).is_empty());
        assert_eq!(chosen(chance(1.0, 1)).len(), 10);
        let many = (1..=10_000).filter(|&n| chance(0.1, 3).chooses(n)).count();
        assert!((900..=1100).contains(&many), "{many}");
    }

    #[test]
    fn errors_are_those_that_the_service_has() {
        let error = |service, status, reason: Option<&str>| {
            let refused = Refused {
                status,
                reason: reason.map(str::to_owned),
                ..Refused::default()
            };
            let error = refused.error(service);
            (error.code.into_owned(), error.status, error.reason)
        };
        for (service, status, reason, code, told) in [
            (
                "ebs",
                None,
                Some("ACCOUNT_THROTTLED"),
                "RequestThrottledException",
                400,
            ),
            ("ebs", Some(500), None, "InternalServerException", 500),
            ("ebs", Some(503), None, "ServiceUnavailable", 503),
            ("ec2", None, None, "RequestLimitExceeded", 503),
            ("s3", Some(503), None, "SlowDown", 503),
            ("s3", Some(500), None, "InternalError", 500),
            ("kms", Some(400), None, "ThrottlingException", 400),
        ] {
            let (got_code, got_status, got_reason) = error(service, status, reason);
            assert_eq!(
                (got_code.as_str(), got_status, got_reason),
                (code, told, reason)
            );
        }
    }

    #[test]
    fn what_can_not_be_a_rule_is_refused() {
        let good: Rule = serde_json::from_str(
            r#"{"service":"ebs","operation":"PutSnapshotBlock","when":{"every":7},
                "fault":{"error":{"status":503}}}"#,
        )
        .unwrap();
        assert_eq!(good.problem(), None);
        for bad in [
            Rule {
                service: String::new(),
                ..good.clone()
            },
            Rule {
                when: When::Every(0),
                ..good.clone()
            },
            Rule {
                when: When::Chance {
                    probability: f64::NAN,
                    seed: 0,
                },
                ..good.clone()
            },
            Rule {
                operation: Some("x".repeat(300)),
                ..good.clone()
            },
            Rule {
                fault: Fault::Slow {
                    side: Side::Answer,
                    bytes_per_second: 0,
                },
                ..good.clone()
            },
            Rule {
                fault: Fault::Error(Refused {
                    status: Some(200),
                    ..Refused::default()
                }),
                ..good.clone()
            },
            Rule {
                fault: Fault::Error(Refused {
                    code: Some("a b".into()),
                    ..Refused::default()
                }),
                ..good.clone()
            },
            Rule {
                fault: Fault::Error(Refused {
                    reason: Some("TIRED".into()),
                    ..Refused::default()
                }),
                ..good
            },
        ] {
            assert!(bad.problem().is_some(), "{bad:?}");
        }
    }
}

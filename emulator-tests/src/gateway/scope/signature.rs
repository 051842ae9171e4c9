//! What a signature is good for, and when.

use super::refusal::{Fault, Refusal};
use super::times::basic;
use emulator_protocol::operation::is_s3;
use emulator_protocol::{Account, Region};
use time::{Duration, OffsetDateTime};

/// How far a signature's time may be from ours.
pub(super) const SKEW: Duration = Duration::minutes(15);

/// A signature's scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) access_key: String,
    pub(crate) account: Account,
    pub(crate) region: Region,
    pub(crate) service: String,
    /// When it was signed.
    pub(super) time: OffsetDateTime,
    /// How long it is good for, where the signature is in the URL.
    pub(super) presigned: Option<Duration>,
}

impl Scope {
    /// Whether it was signed about now, or is still good.
    pub(crate) fn check_time(&self, now: OffsetDateTime) -> Result<(), Refusal> {
        let refuse = |fault, message: String| Err(Refusal::new(fault, &self.service, message));
        if let Some(lifetime) = self.presigned {
            if self.time - now > SKEW {
                return refuse(Fault::Expired, "Request is not yet valid".to_owned());
            }
            if now > self.time + lifetime {
                return refuse(Fault::Expired, "Request has expired".to_owned());
            }
            return Ok(());
        }
        if (self.time - now).abs() <= SKEW {
            return Ok(());
        }
        if is_s3(&self.service) {
            let message = "The difference between the request time and the current time is too \
                           large.";
            return refuse(Fault::Skewed, message.to_owned());
        }
        let relation = if self.time < now { "earlier" } else { "later" };
        refuse(
            Fault::Skewed,
            format!(
                "Signature not current: {} is more than 15 minutes {relation} than {}",
                basic(self.time),
                basic(now)
            ),
        )
    }
}

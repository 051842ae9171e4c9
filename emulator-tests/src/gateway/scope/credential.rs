//! What a signature says of itself: who signed, for which day, region and service.

use super::refusal::{Fault, Refusal};
use super::signature::Scope;
use super::times::basic;
use crate::gateway::access_key::account_of;
use emulator_protocol::{Region, known_region};
use time::{Duration, OffsetDateTime};

/// The region of a request that names none, as in LocalStack.
const DEFAULT_REGION: &str = "us-east-1";

/// `KEY/DATE/REGION/SERVICE/aws4_request`; without the region in signatures for several.
pub(super) struct Credential<'a> {
    access_key: &'a str,
    date: &'a str,
    region: Region,
    pub(super) service: &'a str,
}

impl<'a> Credential<'a> {
    pub(super) fn parse(text: &'a str, algorithm: &str, regions: &str) -> Result<Self, Refusal> {
        if text.is_empty() {
            return Err(Refusal::new(
                Fault::Incomplete,
                "",
                "Authorization header requires 'Credential' parameter.",
            ));
        }
        let parts: Vec<&str> = text.split('/').collect();
        let (access_key, date, region, service, end) = match (algorithm, parts.as_slice()) {
            ("AWS4-ECDSA-P256-SHA256", &[key, date, service, end]) => {
                let first = regions.split(',').next().unwrap_or_default().trim();
                let region = if first.is_empty() || first.contains('*') {
                    DEFAULT_REGION
                } else {
                    first
                };
                (key, date, region, service, end)
            }
            ("AWS4-HMAC-SHA256", &[key, date, region, service, end]) => {
                (key, date, region, service, end)
            }
            _ => {
                let message = format!(
                    "Credential must have exactly 5 slash-delimited elements, e.g. \
                     keyid/date/region/service/term, got '{}'",
                    text.chars().take(200).collect::<String>()
                );
                return Err(Refusal::new(Fault::Incomplete, "", message));
            }
        };
        let invalid = |message: String| Err(Refusal::new(Fault::Invalid, service, message));
        if !is_name(service) {
            let message = "Credential should be scoped to correct service.";
            return Err(Refusal::new(Fault::Invalid, "", message));
        }
        if end != "aws4_request" {
            return invalid(
                "Credential should be scoped with a valid terminator: 'aws4_request'.".to_owned(),
            );
        }
        let Some(region) = Region::parse(region).filter(|_| known_region(region)) else {
            return invalid("Credential should be scoped to a valid region.".to_owned());
        };
        Ok(Self {
            access_key,
            date,
            region,
            service,
        })
    }

    /// The scope, once the time that was signed is known.
    pub(super) fn at(
        &self,
        time: OffsetDateTime,
        presigned: Option<Duration>,
    ) -> Result<Scope, Refusal> {
        if basic(time).split('T').next() != Some(self.date) {
            let message = "Date in Credential scope does not match YYYYMMDD from ISO-8601 version \
                           of date from HTTP";
            return Err(Refusal::new(Fault::Invalid, self.service, message));
        }
        let account = account_of(self.access_key)
            .filter(|_| !self.access_key.is_empty())
            .ok_or_else(|| {
                let message = "The access key is neither an account's number nor a key.";
                Refusal::new(Fault::AccessKey, self.service, message)
            })?;
        Ok(Scope {
            access_key: self.access_key.to_owned(),
            account,
            region: self.region.clone(),
            service: self.service.to_owned(),
            time,
            presigned,
        })
    }
}

/// A service's signing name.
fn is_name(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !text.is_empty() && text.len() <= 64 && text.bytes().all(fine)
}

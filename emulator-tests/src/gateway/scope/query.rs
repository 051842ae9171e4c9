//! A signature in the URL.

use super::credential::Credential;
use super::refusal::{Fault, Refusal};
use super::signature::{SKEW, Scope};
use super::times::basic_time;
use emulator_protocol::operation::is_s3;
use http::request::Parts;
use time::Duration;

/// The longest that a presigned URL can be good for.
const LONGEST: i64 = 7 * 24 * 3600;

/// A signature in the URL.
#[derive(Default)]
pub(super) struct Query {
    algorithm: Option<String>,
    credential: Option<String>,
    date: Option<String>,
    expires: Option<String>,
    signed_headers: Option<String>,
    signature: Option<String>,
    regions: Option<String>,
    twice: bool,
    version_2: bool,
}

impl Query {
    /// `None` if the URL has none.
    pub(super) fn of(request: &Parts) -> Option<Self> {
        let mut query = Self::default();
        let mut version_2 = 0;
        for (name, value) in form_urlencoded::parse(request.uri.query()?.as_bytes()) {
            let place = match &*name {
                "X-Amz-Algorithm" => &mut query.algorithm,
                "X-Amz-Credential" => &mut query.credential,
                "X-Amz-Date" => &mut query.date,
                "X-Amz-Expires" => &mut query.expires,
                "X-Amz-SignedHeaders" => &mut query.signed_headers,
                "X-Amz-Signature" => &mut query.signature,
                "X-Amz-Region-Set" => &mut query.regions,
                "AWSAccessKeyId" | "Signature" => {
                    version_2 += 1;
                    continue;
                }
                _ => continue,
            };
            query.twice |= place.replace(value.into_owned()).is_some();
        }
        query.version_2 = version_2 >= 2;
        let any = query.algorithm.is_some()
            || query.credential.is_some()
            || query.signature.is_some()
            || query.version_2;
        any.then_some(query)
    }

    pub(super) fn scope(&self) -> Result<Scope, Refusal> {
        if self.version_2 {
            return Err(Refusal::version_2());
        }
        let credential = Credential::parse(
            self.credential.as_deref().unwrap_or_default(),
            self.algorithm.as_deref().unwrap_or_default(),
            self.regions.as_deref().unwrap_or_default(),
        )?;
        let refuse =
            |message: &str| Err(Refusal::new(Fault::Incomplete, credential.service, message));
        let missing = [&self.algorithm, &self.signed_headers, &self.signature]
            .iter()
            .any(|it| it.as_deref().is_none_or(str::is_empty));
        if missing || self.twice {
            return refuse(
                "Query-string authentication requires the X-Amz-Algorithm, X-Amz-Credential, \
                 X-Amz-Signature, X-Amz-Date and X-Amz-SignedHeaders parameters, each once.",
            );
        }
        let Some(time) = self.date.as_deref().and_then(basic_time) else {
            return refuse(
                "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
            );
        };
        let lifetime = match self.expires.as_deref() {
            // Only S3 has it; elsewhere a URL is good for as long as a header would be.
            None if is_s3(credential.service) => {
                return refuse("Query-string authentication requires the X-Amz-Expires parameter.");
            }
            None => SKEW,
            Some(text) => match text.parse() {
                Ok(seconds @ 1..=LONGEST) => Duration::seconds(seconds),
                _ => {
                    return refuse(
                        "X-Amz-Expires must be a number from 1 to 604800 (a week, in seconds)",
                    );
                }
            },
        };
        credential.at(time, Some(lifetime))
    }
}

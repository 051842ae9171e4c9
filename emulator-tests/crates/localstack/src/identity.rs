//! Whose an access key is, as LocalStack's STS has it.

use super::Upstream;
use emulator_protocol::http::read_at_most;
use emulator_protocol::{AwsError, Caller, xml_text};
use http::header::CONTENT_TYPE;

/// Most bytes of an answer.
const MOST_ANSWER: usize = 1 << 20;

impl Upstream {
    /// The ARN of the user or the session that the caller's access key was given to, if there is
    /// one.
    ///
    /// # Errors
    /// [`AwsError::unavailable`] if LocalStack does not answer.
    pub async fn caller_arn(&self, caller: &Caller) -> Result<Option<String>, AwsError> {
        let request =
            http::Request::post("/").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let body = "Action=GetCallerIdentity&Version=2011-06-15";
        let answer = self
            .send_as(&caller.access_key, caller, "sts", request, body)
            .await?;
        let body = read_at_most(answer.into_body(), MOST_ANSWER)
            .await
            .map_err(|error| AwsError::unavailable(format!("LocalStack's answer: {error}")))?;
        Ok(xml_text::text(&body, "Arn"))
    }
}

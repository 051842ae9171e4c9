//! Queues, as LocalStack's SQS has them.

use super::Upstream;
use emulator_protocol::{AwsError, Caller};
use serde_json::{Value, json};

impl Upstream {
    /// The KMS key of the queue at this URL, if it has one; the outer `None` if there is no such
    /// queue.
    ///
    /// # Errors
    /// [`AwsError::unavailable`] if LocalStack does not answer.
    pub async fn queue_key(
        &self,
        caller: &Caller,
        url: &str,
    ) -> Result<Option<Option<String>>, AwsError> {
        let request = http::Request::post("/")
            .header("x-amz-target", "AmazonSQS.GetQueueAttributes")
            .header(http::header::CONTENT_TYPE, "application/x-amz-json-1.0");
        let body = json!({"QueueUrl": url, "AttributeNames": ["KmsMasterKeyId"]}).to_string();
        let (status, body) = self.ask(caller, "sqs", request, body).await?;
        if !status.is_success() {
            return Ok(None);
        }
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let key = body["Attributes"]["KmsMasterKeyId"]
            .as_str()
            .filter(|key| !key.is_empty());
        Ok(Some(key.map(String::from)))
    }
}

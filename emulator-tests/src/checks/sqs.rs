//! SQS: the key that a queue is encrypted with.

use super::kms::KnownKeys;
use super::memory::Memory;
use bytes::Bytes;
use emulator_localstack::Upstream;
use emulator_protocol::{AwsError, Caller};
use http::request::Parts;
use serde_json::Value;

/// A queue: its region, and the last two parts of its URL.
type Queue = (String, String);

/// Judges requests to SQS.
pub struct Sqs {
    keys_of: Memory<Queue, Option<String>>,
}

/// An operation on a queue, by either protocol.
struct Operation {
    name: String,
    url: String,
    json: bool,
}

impl Sqs {
    pub fn new() -> Self {
        Self {
            keys_of: Memory::new(),
        }
    }

    pub async fn before(
        &self,
        upstream: &Upstream,
        keys: &KnownKeys,
        caller: &Caller,
        parts: &Parts,
        body: Option<&Bytes>,
    ) -> Result<(), AwsError> {
        let Some(operation) = Operation::read(parts, body) else {
            return Ok(());
        };
        if !matches!(
            operation.name.as_str(),
            "SendMessage" | "SendMessageBatch" | "ReceiveMessage"
        ) {
            return Ok(());
        }
        let Some(path) = last_two(&operation.url) else {
            return Ok(());
        };
        let queue = (caller.region.to_string(), path);
        let key = match self.keys_of.get(&queue) {
            Ok(key) => key,
            Err(asked) => {
                // LocalStack says so itself if there is no such queue.
                let Some(key) = upstream.queue_key(caller, &operation.url).await? else {
                    return Ok(());
                };
                self.keys_of.put(asked, queue, key.clone());
                key
            }
        };
        let Some(key) = key else {
            return Ok(());
        };
        match keys.usable(caller, &key).await? {
            Ok(()) => Ok(()),
            Err(fault) => Err(fault.for_sqs(operation.json)),
        }
    }

    /// Forgets what a request changed. Bodies are not at hand here: any change of a queue forgets
    /// all of them.
    pub fn after(&self, parts: &Parts) {
        let reads = target(parts).is_some_and(|name| {
            name.starts_with("Get") || name.starts_with("List") || name.contains("Message")
        });
        // By the query protocol, the action is in the body; such clients are few.
        if !reads {
            self.keys_of.clear();
        }
    }
}

fn target(parts: &Parts) -> Option<&str> {
    parts
        .headers
        .get("x-amz-target")?
        .to_str()
        .ok()?
        .strip_prefix("AmazonSQS.")
}

impl Operation {
    fn read(parts: &Parts, body: Option<&Bytes>) -> Option<Self> {
        let body = body.map(|body| &body[..]).unwrap_or_default();
        if let Some(name) = target(parts) {
            let body: Value = serde_json::from_slice(body).ok()?;
            return Some(Self {
                name: name.to_owned(),
                url: body.get("QueueUrl")?.as_str()?.to_owned(),
                json: true,
            });
        }
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        let find = |wanted: &str| {
            form_urlencoded::parse(body)
                .chain(form_urlencoded::parse(query))
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.into_owned())
        };
        Some(Self {
            name: find("Action")?,
            url: find("QueueUrl").unwrap_or_else(|| parts.uri.path().to_owned()),
            json: false,
        })
    }
}

/// `ACCOUNT/NAME` of a queue's URL.
fn last_two(url: &str) -> Option<String> {
    let (rest, name) = url.trim_end_matches('/').rsplit_once('/')?;
    let account = rest.rsplit_once('/').map_or(rest, |(_, account)| account);
    Some(format!("{account}/{name}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn operations_by_both_protocols() {
        let json = http::Request::post("/").header("x-amz-target", "AmazonSQS.SendMessage");
        let form = http::Request::post("/111111111111/q");
        for (request, body, name, url) in [
            (
                json,
                "{\"QueueUrl\":\"http://h/1/q\"}",
                "SendMessage",
                "1/q",
            ),
            (
                form,
                "Action=ReceiveMessage",
                "ReceiveMessage",
                "111111111111/q",
            ),
        ] {
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let got = Operation::read(&parts, Some(&Bytes::from_static(body.as_bytes()))).unwrap();
            assert_eq!(got.name, name);
            assert_eq!(last_two(&got.url).unwrap(), url);
        }
    }
}

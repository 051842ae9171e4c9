//! A client of the API, for tests.

use crate::testing::{World, world};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use emulator_protocol::http::{Body, Response, empty, full};
use emulator_protocol::{AwsError, Caller};
use emulator_state::layers::BLOCK_LEN;
use emulator_testing::caller;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::Duration;

/// A world and who calls.
pub struct Api {
    pub world: World,
    pub caller: Caller,
}

/// Status, headers and body.
pub struct Answered {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Vec<u8>,
}

impl Answered {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A block that no other number gives.
pub fn block(number: u64) -> Vec<u8> {
    let mut block = vec![0x5a; BLOCK_LEN];
    block[..8].copy_from_slice(&number.to_le_bytes());
    block
}

pub fn sha(data: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(data))
}

/// The LINEAR checksum of these blocks.
pub fn linear(blocks: &[Vec<u8>]) -> String {
    let digests: Vec<u8> = blocks.iter().flat_map(Sha256::digest).collect();
    sha(&digests)
}

/// What an error says: status, code, reason.
pub fn fault(error: AwsError) -> (u16, String, Option<&'static str>) {
    (error.status, error.code.into_owned(), error.reason)
}

/// `ValidationException` for this reason.
pub fn invalid(reason: &'static str) -> (u16, String, Option<&'static str>) {
    (400, "ValidationException".to_owned(), Some(reason))
}

/// Headers of a put of this block.
pub fn put_headers(block: &[u8]) -> Vec<(&'static str, String)> {
    vec![
        ("x-amz-data-length", block.len().to_string()),
        ("x-amz-checksum", sha(block)),
        ("x-amz-checksum-algorithm", "SHA256".to_owned()),
    ]
}

impl Api {
    pub fn new() -> Self {
        Self {
            world: world(),
            caller: caller(),
        }
    }

    pub async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: Body,
    ) -> Result<Answered, AwsError> {
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(body).unwrap();
        let response: Response = super::handle(&self.world.services, &self.caller, request).await?;
        let (head, body) = response.into_parts();
        Ok(Answered {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        })
    }

    pub async fn start(&self, input: Value) -> Result<Value, AwsError> {
        let body = full(serde_json::to_vec(&input).unwrap());
        let answered = self.call("POST", "/snapshots", &[], body).await?;
        assert_eq!(answered.status, 201);
        Ok(answered.json())
    }

    /// Starts one of 1 GiB, and gives its id.
    pub async fn started(&self, more: Value) -> String {
        let mut input = json!({"VolumeSize": 1});
        for (name, value) in more.as_object().unwrap() {
            input[name] = value.clone();
        }
        id(&self.start(input).await.unwrap())
    }

    pub async fn put(&self, id: &str, index: u32, block: Vec<u8>) -> Result<Answered, AwsError> {
        let headers = put_headers(&block);
        let path = format!("/snapshots/{id}/blocks/{index}");
        self.call("PUT", &path, &headers, full(block)).await
    }

    pub async fn complete(
        &self,
        id: &str,
        count: u32,
        checksum: Option<String>,
    ) -> Result<Answered, AwsError> {
        let mut headers = vec![("x-amz-changedblockscount", count.to_string())];
        if let Some(checksum) = checksum {
            headers.push(("x-amz-checksum", checksum));
            headers.push(("x-amz-checksum-algorithm", "SHA256".to_owned()));
            headers.push(("x-amz-checksum-aggregation-method", "LINEAR".to_owned()));
        }
        let path = format!("/snapshots/completion/{id}");
        self.call("POST", &path, &headers, empty()).await
    }

    pub async fn get_json(&self, path: &str) -> Result<Value, AwsError> {
        let answered = self.call("GET", path, &[], empty()).await?;
        assert_eq!(answered.status, 200);
        Ok(answered.json())
    }

    pub async fn get(&self, id: &str, index: u32, token: &str) -> Result<Answered, AwsError> {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("blockToken", token)
            .finish();
        let path = format!("/snapshots/{id}/blocks/{index}?{query}");
        self.call("GET", &path, &[], empty()).await
    }

    /// Index and token of every block.
    pub async fn blocks(&self, id: &str) -> Vec<(u32, String)> {
        let listed = self
            .get_json(&format!("/snapshots/{id}/blocks"))
            .await
            .unwrap();
        listed["Blocks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| {
                let index = it["BlockIndex"].as_u64().unwrap();
                let token = it["BlockToken"].as_str().unwrap();
                (u32::try_from(index).unwrap(), token.to_owned())
            })
            .collect()
    }

    /// A completed snapshot with these blocks.
    pub async fn completed(&self, more: Value, blocks: &[(u32, u64)]) -> String {
        let id = self.started(more).await;
        for (index, number) in blocks {
            self.put(&id, *index, block(*number)).await.unwrap();
        }
        let count = u32::try_from(blocks.len()).unwrap();
        self.complete(&id, count, None).await.unwrap();
        self.world.clock.advance(Duration::seconds(2));
        id
    }

    /// Changes a snapshot's record.
    pub fn edit(&self, id: &str, edit: impl FnOnce(&mut emulator_state::world::Snapshot)) {
        self.world
            .services
            .store
            .write(|world, changes| {
                let mut snapshot = world.snapshots[id].clone();
                edit(&mut snapshot);
                changes.push(emulator_state::world::Change::Snapshot(snapshot));
                Ok(())
            })
            .unwrap();
    }
}

pub fn id(answer: &Value) -> String {
    answer["SnapshotId"].as_str().unwrap().to_owned()
}

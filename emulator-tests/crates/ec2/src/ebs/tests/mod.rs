//! Every rule of the API, through [`super::handle`].

mod model;
mod read;
mod start;
mod write;

use super::testing::*;
use serde_json::json;

#[tokio::test]
async fn what_is_no_operation_is_said_to_be_none() {
    let api = Api::new();
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/snapshots"),
        ("DELETE", "/snapshots/snap-0"),
        ("POST", "/snapshots/snap-0/blocks/1"),
        ("PUT", "/snapshots/snap-0/blocks/1/2"),
    ] {
        let error = api
            .call(method, path, &[], emulator_protocol::http::empty())
            .await
            .err()
            .unwrap();
        assert_eq!(error.code, "UnknownOperationException", "{method} {path}");
        assert_eq!(error.status, 404);
    }
}

#[tokio::test]
async fn from_start_to_the_bytes() {
    let api = Api::new();
    let id = api.started(json!({})).await;
    for index in [2047, 0, 5] {
        let answered = api.put(&id, index, block(index.into())).await.unwrap();
        assert_eq!(answered.status, 201);
        assert_eq!(
            answered.headers["x-amz-checksum"],
            sha(&block(index.into())).as_str()
        );
        assert_eq!(answered.headers["x-amz-checksum-algorithm"], "SHA256");
    }
    let checksum = linear(&[block(0), block(5), block(2047)]);
    let answered = api.complete(&id, 3, Some(checksum)).await.unwrap();
    assert_eq!(answered.status, 202);
    assert_eq!(answered.json(), json!({"Status": "pending"}));
    // Not readable until it says completed.
    let early = api.get_json(&format!("/snapshots/{id}/blocks")).await;
    assert_eq!(fault(early.err().unwrap()), invalid("INVALID_SNAPSHOT_ID"));
    api.world.clock.advance(time::Duration::seconds(1));

    let blocks = api.blocks(&id).await;
    let indexes: Vec<u32> = blocks.iter().map(|(index, _)| *index).collect();
    assert_eq!(indexes, [0, 5, 2047]);
    for (index, token) in blocks {
        let got = api.get(&id, index, &token).await.unwrap();
        assert_eq!(got.status, 200);
        assert_eq!(got.body, block(index.into()));
        assert_eq!(got.headers["x-amz-data-length"], "524288");
        assert_eq!(
            got.headers["x-amz-checksum"],
            sha(&block(index.into())).as_str()
        );
    }
}

use crate::ebs::testing::*;
use bytes::Bytes;
use emulator_protocol::AwsError;
use emulator_protocol::http::{Body, BodyError, empty, full};
use emulator_state::layers::BLOCK_LEN;
use emulator_testing::{DISABLED, caller_of};
use http_body::Frame;
use http_body_util::BodyExt;
use serde_json::json;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// A body of pieces, which may end in an error, and does not say how long it is.
struct Pieces {
    left: usize,
    polled: Arc<AtomicUsize>,
    breaks: bool,
}

const PIECE: usize = 4096;

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.left == 0 {
            return Poll::Ready(self.breaks.then(|| Err("cut".into())));
        }
        self.left -= 1;
        self.polled.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0x5a; PIECE])))))
    }
}

fn pieces(left: usize, breaks: bool) -> (Body, Arc<AtomicUsize>) {
    let polled = Arc::new(AtomicUsize::new(0));
    let body = Pieces {
        left,
        polled: polled.clone(),
        breaks,
    };
    (BodyExt::boxed(body), polled)
}

fn error<T>(result: Result<T, AwsError>) -> (u16, String, Option<&'static str>) {
    fault(result.err().unwrap())
}

/// The count that a completion would have to name.
async fn written(api: &Api, id: &str) -> u32 {
    for count in 0..10 {
        if api.complete(id, count, None).await.is_ok() {
            return count;
        }
    }
    unreachable!("more than 10")
}

#[tokio::test]
async fn headers_are_checked() {
    let api = Api::new();
    let id = api.started(json!({})).await;
    let good = block(1);
    for (name, value, reason) in [
        ("x-amz-data-length", "524287", "INVALID_PARAMETER_VALUE"),
        ("x-amz-data-length", "512", "INVALID_PARAMETER_VALUE"),
        ("x-amz-data-length", "", "INVALID_PARAMETER_VALUE"),
        (
            "x-amz-checksum-algorithm",
            "SHA1",
            "INVALID_PARAMETER_VALUE",
        ),
        (
            "x-amz-checksum-algorithm",
            "sha256",
            "INVALID_PARAMETER_VALUE",
        ),
        ("x-amz-checksum", "AAAA", "INVALID_PARAMETER_VALUE"),
        ("x-amz-checksum", "?", "INVALID_PARAMETER_VALUE"),
        ("x-amz-progress", "101", "INVALID_PARAMETER_VALUE"),
        ("x-amz-progress", "-1", "INVALID_PARAMETER_VALUE"),
        (
            "content-encoding",
            "aws-chunked",
            "INVALID_CONTENT_ENCODING",
        ),
    ] {
        let mut headers = put_headers(&good);
        headers.retain(|(it, _)| *it != name);
        if !matches!(name, "x-amz-progress" | "content-encoding") {
            // Left out altogether.
            let path = format!("/snapshots/{id}/blocks/0");
            let put = api.call("PUT", &path, &headers, full(good.clone())).await;
            assert_eq!(error(put), invalid(reason), "without {name}");
        }
        headers.push((name, value.to_owned()));
        let path = format!("/snapshots/{id}/blocks/0");
        let put = api.call("PUT", &path, &headers, full(good.clone())).await;
        assert_eq!(error(put), invalid(reason), "{name}: {value}");
    }
    assert_eq!(written(&api, &id).await, 0);
}

#[tokio::test]
async fn a_bad_checksum_leaves_the_earlier_block() {
    let api = Api::new();
    let id = api.started(json!({})).await;
    api.put(&id, 3, block(1)).await.unwrap();
    let path = format!("/snapshots/{id}/blocks/3");
    let bad = api
        .call("PUT", &path, &put_headers(&block(2)), full(block(3)))
        .await;
    assert_eq!(error(bad), invalid("INVALID_PARAMETER_VALUE"));
    api.complete(&id, 1, Some(linear(&[block(1)])))
        .await
        .unwrap();
    api.world.clock.advance(time::Duration::seconds(2));
    let (index, token) = api.blocks(&id).await.remove(0);
    assert_eq!(api.get(&id, index, &token).await.unwrap().body, block(1));
}

#[tokio::test]
async fn a_body_is_a_block_exactly() {
    let api = Api::new();
    let id = api.started(json!({})).await;
    let path = format!("/snapshots/{id}/blocks/0");
    let whole = [0x5a; BLOCK_LEN];
    let count = BLOCK_LEN / PIECE;
    for (name, (body, polled), read) in [
        ("short", pieces(count - 1, false), count - 1),
        ("broken", pieces(count - 1, true), count - 1),
        ("broken at the end", pieces(count, true), count),
        // Refused at the first byte too many: the rest of a terabyte stays where it is.
        ("endless", pieces(1 << 28, false), count + 1),
    ] {
        let put = api.call("PUT", &path, &put_headers(&whole), body).await;
        assert_eq!(error(put), invalid("INVALID_PARAMETER_VALUE"), "{name}");
        assert_eq!(polled.load(Ordering::Relaxed), read, "{name}");
    }
    for length in [0, 1, BLOCK_LEN - 1, BLOCK_LEN + 1] {
        let body = full(vec![0x5a; length]);
        let put = api.call("PUT", &path, &put_headers(&whole), body).await;
        assert_eq!(error(put), invalid("INVALID_PARAMETER_VALUE"), "{length}");
    }
    let (body, _) = pieces(count, false);
    api.call("PUT", &path, &put_headers(&whole), body)
        .await
        .unwrap();
    assert_eq!(written(&api, &id).await, 1);
}

#[tokio::test]
async fn an_index_is_inside_of_the_volume() {
    let api = Api::new();
    let id = api.started(json!({"VolumeSize": 2})).await;
    for (index, reason) in [
        ("4096", "INVALID_BLOCK"),
        ("2147483647", "INVALID_BLOCK"),
        ("2147483648", "INVALID_BLOCK"),
        ("99999999999999999999", "INVALID_BLOCK"),
        ("-1", "INVALID_BLOCK"),
        ("+1", "INVALID_BLOCK"),
        ("1.0", "INVALID_BLOCK"),
        ("", "INVALID_BLOCK"),
    ] {
        let path = format!("/snapshots/{id}/blocks/{index}");
        let put = api
            .call("PUT", &path, &put_headers(&block(1)), full(block(1)))
            .await;
        assert_eq!(error(put), invalid(reason), "{index}");
    }
    api.put(&id, 4095, block(1)).await.unwrap();
}

#[tokio::test]
async fn only_the_owner_writes_and_only_while_it_is_pending() {
    let api = Api::new();
    let id = api.started(json!({})).await;
    api.put(&id, 0, block(1)).await.unwrap();
    let not_found = (
        404,
        "ResourceNotFoundException".to_owned(),
        Some("SNAPSHOT_NOT_FOUND"),
    );
    for (other, expected) in [
        ("snap-00000000000000000", not_found.clone()),
        ("snap-", invalid("INVALID_SNAPSHOT_ID")),
        ("snap-XYZ", invalid("INVALID_SNAPSHOT_ID")),
        ("ami-00000000000000000", invalid("INVALID_SNAPSHOT_ID")),
    ] {
        assert_eq!(
            error(api.put(other, 0, block(1)).await),
            expected,
            "{other}"
        );
        assert_eq!(
            error(api.complete(other, 0, None).await),
            expected,
            "{other}"
        );
    }
    let api = Api {
        caller: caller_of("222222222222", "us-east-1"),
        ..api
    };
    assert_eq!(error(api.put(&id, 0, block(1)).await), not_found);
    api.edit(&id, |it| it.permissions.public = true);
    let denied = (
        403,
        "AccessDeniedException".to_owned(),
        Some("UNAUTHORIZED_ACCOUNT"),
    );
    assert_eq!(error(api.put(&id, 0, block(1)).await), denied);
    assert_eq!(error(api.complete(&id, 1, None).await), denied);

    let api = Api {
        caller: caller_of("111111111111", "us-east-1"),
        ..api
    };
    api.complete(&id, 1, None).await.unwrap();
    for _ in 0..2 {
        // While it still says pending, and after.
        assert_eq!(
            error(api.put(&id, 1, block(1)).await),
            invalid("INVALID_SNAPSHOT_ID")
        );
        assert_eq!(
            error(api.complete(&id, 1, None).await),
            invalid("INVALID_SNAPSHOT_ID")
        );
        api.world.clock.advance(time::Duration::seconds(5));
    }
}

#[tokio::test]
async fn the_key_has_to_be_usable_for_puts() {
    let api = Api::new();
    let id = api.started(json!({"Encrypted": true})).await;
    api.put(&id, 0, block(1)).await.unwrap();
    api.edit(&id, |it| {
        it.kms_key = Some(format!("arn:aws:kms:us-east-1:111111111111:key/{DISABLED}"));
    });
    let denied = (
        403,
        "AccessDeniedException".to_owned(),
        Some("DEPENDENCY_ACCESS_DENIED"),
    );
    assert_eq!(error(api.put(&id, 1, block(1)).await), denied);
    assert_eq!(error(api.complete(&id, 1, None).await), denied);
}

#[tokio::test]
async fn a_completion_says_what_was_written() {
    let api = Api::new();
    let id = api.started(json!({})).await;
    api.put(&id, 9, block(1)).await.unwrap();
    api.put(&id, 4, block(2)).await.unwrap();
    api.put(&id, 9, block(3)).await.unwrap();
    let right = linear(&[block(2), block(3)]);
    let path = format!("/snapshots/completion/{id}");
    let with = |headers: &[(&'static str, &str)]| {
        headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect::<Vec<_>>()
    };
    for headers in [
        with(&[]),
        with(&[("x-amz-changedblockscount", "")]),
        with(&[("x-amz-changedblockscount", "-1")]),
        with(&[("x-amz-changedblockscount", "3")]),
        with(&[("x-amz-changedblockscount", "1")]),
        with(&[
            ("x-amz-changedblockscount", "2"),
            ("x-amz-checksum", &right),
        ]),
        with(&[
            ("x-amz-changedblockscount", "2"),
            ("x-amz-checksum", &right),
            ("x-amz-checksum-algorithm", "SHA256"),
            ("x-amz-checksum-aggregation-method", "TREE"),
        ]),
        with(&[
            ("x-amz-changedblockscount", "2"),
            ("x-amz-checksum-algorithm", "MD5"),
        ]),
    ] {
        let completed = api.call("POST", &path, &headers, empty()).await;
        assert_eq!(
            error(completed),
            invalid("INVALID_PARAMETER_VALUE"),
            "{headers:?}"
        );
    }
    let wrong = linear(&[block(3), block(2)]);
    assert_eq!(
        error(api.complete(&id, 2, Some(wrong)).await),
        invalid("INVALID_PARAMETER_VALUE")
    );
    // All of which changed nothing.
    api.complete(&id, 2, Some(right)).await.unwrap();
}

#[tokio::test]
async fn an_empty_snapshot_can_be_completed() {
    let api = Api::new();
    let id = api.completed(json!({}), &[]).await;
    assert_eq!(api.blocks(&id).await, []);
}

#[tokio::test]
async fn a_full_disk_is_said_and_harms_nothing() {
    let api = Api::new();
    let id = api.started(json!({})).await;
    let layer = api
        .world
        .services
        .store
        .read(|world| world.snapshots[&id].layers[0].clone());
    let data = api.world.dir.path().join(format!("layers/{layer}.data"));
    std::fs::remove_file(&data).unwrap();
    std::os::unix::fs::symlink("/dev/full", &data).unwrap();
    let full = api.put(&id, 0, block(1)).await.err().unwrap();
    assert_eq!(full.status, 503);
    assert!(
        full.message
            .contains("disk with the emulator's data is full"),
        "{full}"
    );
    assert_eq!(written(&api, &id).await, 0);
}

#[tokio::test]
async fn a_put_that_a_completion_overtakes_is_refused() {
    let api = Api::new();
    let id = api.started(json!({})).await;
    // The body ends only after the completion.
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    let late = later(async move {
        let _ = receiver.await;
        Bytes::from(block(1))
    });
    let path = format!("/snapshots/{id}/blocks/0");
    let headers = put_headers(&block(1));
    let put = api.call("PUT", &path, &headers, late);
    let complete = async {
        tokio::task::yield_now().await;
        api.complete(&id, 0, None).await.unwrap();
        sender.send(()).unwrap();
    };
    let (put, ()) = tokio::join!(put, complete);
    assert_eq!(error(put), invalid("INVALID_SNAPSHOT_ID"));
    api.world.clock.advance(time::Duration::seconds(2));
    assert_eq!(api.blocks(&id).await, []);
}

/// A body whose only piece comes when it comes.
struct Later<F>(Option<Pin<Box<F>>>);

impl<F: Future<Output = Bytes>> http_body::Body for Later<F> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(future) = self.0.as_mut() else {
            return Poll::Ready(None);
        };
        let Poll::Ready(bytes) = future.as_mut().poll(context) else {
            return Poll::Pending;
        };
        self.0 = None;
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

fn later(future: impl Future<Output = Bytes> + Send + Sync + 'static) -> Body {
    BodyExt::boxed(Later(Some(Box::pin(future))))
}

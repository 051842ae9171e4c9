//! `ListSnapshotBlocks`.

use super::error::disk;
use super::request::Query;
use super::token::{BLOCK_TOKEN_LIFE, Listing};
use super::{Call, answer, snapshots};
use crate::aws::AwsError;
use crate::http::Response;
use crate::layers::{BLOCK_LEN, Block};
use serde::Serialize;
use std::io;
use time::OffsetDateTime;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    blocks: Vec<Listed>,
    #[serde(serialize_with = "answer::time")]
    expiry_time: OffsetDateTime,
    volume_size: u32,
    block_size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    block_index: u32,
    block_token: String,
}

pub async fn handle(call: &Call<'_>, id: &str, query: &Query) -> Result<Response, AwsError> {
    let limit = query.max_results()?;
    let snapshot = snapshots::readable(call, id, false).await?;
    let listing = Listing {
        operation: "ListSnapshotBlocks",
        first: None,
        second: id,
    };
    let from = starting(call, query, &listing)?;
    let (layers, stack) = (call.services.layers.clone(), snapshot.layers.clone());
    let (blocks, next) =
        scan(move || cut(layers.written(&stack, from), limit, |it| it.index)).await?;
    let expiry_time = call.now + BLOCK_TOKEN_LIFE;
    let tokens = &call.services.ebs.tokens;
    let listed = |it: Block| Listed {
        block_index: it.index,
        block_token: tokens.block(
            id,
            snapshot.layers.get(it.layer).map_or("", String::as_str),
            it.index,
            &it.digest,
            expiry_time,
        ),
    };
    answer::json(
        200,
        &Answer {
            blocks: blocks.into_iter().map(listed).collect(),
            expiry_time,
            volume_size: snapshot.volume_size,
            block_size: BLOCK_LEN,
            next_token: next.map(|from| tokens.page(&listing, from, call.now)),
        },
    )
}

/// Where a listing starts: `StartingBlockIndex` is ignored where there is a `NextToken`.
pub fn starting(call: &Call<'_>, query: &Query, listing: &Listing<'_>) -> Result<u32, AwsError> {
    match query.get("pageToken") {
        Some(token) => call
            .services
            .ebs
            .tokens
            .check_page(token, listing, call.now),
        None => query.starting_block_index(),
    }
}

/// At most `limit` items, and the index of the one after them.
pub fn cut<T>(
    items: impl Iterator<Item = io::Result<T>>,
    limit: usize,
    index: impl Fn(&T) -> u32,
) -> io::Result<(Vec<T>, Option<u32>)> {
    let mut page = Vec::new();
    for item in items {
        let item = item?;
        if page.len() == limit {
            return Ok((page, Some(index(&item))));
        }
        page.push(item);
    }
    Ok((page, None))
}

/// Reads indexes where it does not keep others waiting.
pub async fn scan<T: Send + 'static>(
    read: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, AwsError> {
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| AwsError::unavailable(format!("The blocks were not listed: {error}")))?
        .map_err(|error| disk(&error))
}

//! What both listings have: where a page starts, how it is cut, and the answer around it.

use super::answer;
use super::call::Call;
use super::error::disk;
use super::request::Query;
use super::token::{BLOCK_TOKEN_LIFE, Listing};
use emulator_protocol::AwsError;
use emulator_protocol::http::Response;
use emulator_state::layers::{BLOCK_LEN, Block};
use emulator_state::world::Snapshot;
use serde::Serialize;
use std::io;
use time::OffsetDateTime;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<T> {
    /// The list, by its name.
    #[serde(flatten)]
    listed: T,
    #[serde(serialize_with = "answer::time")]
    expiry_time: OffsetDateTime,
    volume_size: u32,
    block_size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// One page of a listing.
pub struct Page<'a> {
    call: &'a Call<'a>,
    listing: Listing<'a>,
    /// The first block that may be on it.
    pub from: u32,
    /// When the tokens of its blocks expire.
    expiry_time: OffsetDateTime,
}

impl<'a> Page<'a> {
    /// The page that is asked for: `StartingBlockIndex` is ignored where there is a `NextToken`.
    pub fn new(call: &'a Call<'a>, query: &Query, listing: Listing<'a>) -> Result<Self, AwsError> {
        let tokens = &call.services.ebs.tokens;
        let from = match query.get("pageToken") {
            Some(token) => tokens.check_page(token, &listing, call.now)?,
            None => query.starting_block_index()?,
        };
        Ok(Self {
            call,
            listing,
            from,
            expiry_time: call.now + BLOCK_TOKEN_LIFE,
        })
    }

    /// The token that reads a snapshot's block.
    pub fn token(&self, snapshot: &Snapshot, block: &Block) -> String {
        self.call.services.ebs.tokens.block(
            &snapshot.id,
            snapshot.layers.get(block.layer).map_or("", String::as_str),
            block.index,
            &block.digest,
            self.expiry_time,
        )
    }

    /// The answer with what is listed of this snapshot; another page begins at `next`.
    pub fn answer(
        &self,
        snapshot: &Snapshot,
        listed: impl Serialize,
        next: Option<u32>,
    ) -> Result<Response, AwsError> {
        let tokens = &self.call.services.ebs.tokens;
        let answer = Answer {
            listed,
            expiry_time: self.expiry_time,
            volume_size: snapshot.volume_size,
            block_size: BLOCK_LEN,
            next_token: next.map(|from| tokens.page(&self.listing, from, self.call.now)),
        };
        answer::json(200, &answer)
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

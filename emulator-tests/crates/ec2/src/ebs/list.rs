//! `ListSnapshotBlocks`.

use super::call::Call;
use super::page::{Page, cut, scan};
use super::request::Query;
use super::snapshots;
use super::token::Listing;
use emulator_protocol::AwsError;
use emulator_protocol::http::Response;
use emulator_state::layers::Block;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Blocks {
    blocks: Vec<Listed>,
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
    let page = Page::new(call, query, listing)?;
    let (layers, stack, from) = (
        call.services.layers.clone(),
        snapshot.layers.clone(),
        page.from,
    );
    let (blocks, next) =
        scan(move || cut(layers.written(&stack, from), limit, |it| it.index)).await?;
    let listed = |it: &Block| Listed {
        block_index: it.index,
        block_token: page.token(&snapshot, it),
    };
    let blocks = blocks.iter().map(listed).collect();
    page.answer(&snapshot, Blocks { blocks }, next)
}

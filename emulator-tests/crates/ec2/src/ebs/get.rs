//! `GetSnapshotBlock`.

use super::call::Call;
use super::error::{disk, parameter};
use super::request::Query;
use super::{answer, request, snapshots, token};
use emulator_protocol::AwsError;
use emulator_protocol::http::Response;
use std::io;

pub async fn handle(
    call: &Call<'_>,
    id: &str,
    index: &str,
    query: &Query,
) -> Result<Response, AwsError> {
    let index = request::block_index(index)?;
    let given = query
        .get("blockToken")
        .ok_or_else(|| parameter("The parameter blockToken is missing."))?;
    let snapshot = snapshots::readable(call, id, true).await?;
    snapshots::check_index(&snapshot, index)?;

    let layers = call.services.layers.clone();
    let stack = snapshot.layers;
    let found = layers.find(&stack, index).map_err(|error| disk(&error))?;
    // No token is given out for a block that was never put.
    let (layer, digest) = found.ok_or_else(token::invalid_block_token)?;
    call.services
        .ebs
        .tokens
        .check_block(given, id, layer, index, &digest, call.now)?;
    let layer = layers.layer(layer).map_err(|error| disk(&error))?;
    let block = tokio::task::spawn_blocking(move || layer.read(index))
        .await
        .map_err(|error| AwsError::unavailable(format!("The block was not read: {error}")))?
        .and_then(|block| block.ok_or_else(|| io::ErrorKind::NotFound.into()))
        .map_err(|error| disk(&error))?;
    answer::block(&digest, block)
}

//! `PutSnapshotBlock`.

use super::call::Call;
use super::error::{disk, parameter, validation};
use super::{answer, keys, request, snapshots};
use bytes::Bytes;
use emulator_protocol::AwsError;
use emulator_protocol::http::{Body, ReadError, Response, empty, read_pieces};
use emulator_state::layers::{BLOCK_LEN, Digest};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use sha2::{Digest as _, Sha256};

pub async fn handle(
    call: &Call<'_>,
    id: &str,
    index: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, AwsError> {
    let expected = check_headers(headers)?;
    let index = request::block_index(index)?;
    let snapshot = snapshots::pending(call, id)?;
    snapshots::check_index(&snapshot, index)?;
    keys::check(call, snapshot.kms_key.as_deref(), true).await?;
    let length = http_body::Body::size_hint(&body);
    if length.lower() > BLOCK_LEN as u64 || length.upper().is_some_and(|it| it < BLOCK_LEN as u64) {
        return Err(wrong_length(&length.lower().to_string()));
    }

    // Each piece is hashed as it comes, while it is in the processor's cache.
    let mut hasher = Sha256::new();
    let pieces = read_pieces(body, BLOCK_LEN, |piece| hasher.update(piece))
        .await
        .map_err(|error| match error {
            ReadError::TooLong(_) => wrong_length("more"),
            ReadError::Broken { .. } => parameter("Failed to read block data"),
        })?;
    let length: usize = pieces.iter().map(Bytes::len).sum();
    if length != BLOCK_LEN {
        return Err(wrong_length(&length.to_string()));
    }
    let digest: Digest = hasher.finalize().into();
    if digest != expected {
        return Err(parameter(
            "The value of x-amz-Checksum is not the SHA-256 of the block data.",
        ));
    }

    // From here on whoever completes the snapshot has to seal this very layer: the snapshot is
    // looked at again while it is held.
    let layer = match snapshot.layers.first() {
        Some(layer) => call.services.layers.layer(layer),
        None => Err(std::io::ErrorKind::NotFound.into()),
    };
    snapshots::pending(call, id)?;
    let layer = layer.map_err(|error| disk(&error))?;
    let put =
        tokio::task::spawn_blocking(move || layer.put_unless_sealed(index, &digest, &pieces)).await;
    put.map_err(|error| AwsError::unavailable(format!("The block was not written: {error}")))?
        .map_err(|error| disk(&error))?
        .map_err(|_sealed| snapshots::not_pending(id, "completed"))?;
    call.services.ebs.touch(id, call.services.clock.now());
    answer::checksum(201, &digest, empty())
}

/// Refuses what can be refused before the body is read, and gives the checksum.
fn check_headers(headers: &HeaderMap) -> Result<Digest, AwsError> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING)
        && encoding != "identity"
    {
        return Err(validation(
            "INVALID_CONTENT_ENCODING",
            "The content encoding of block data has to be identity.",
        ));
    }
    let length = request::required_header(headers, "x-amz-Data-Length")?;
    request::only("x-amz-Data-Length", length, "524288")?;
    let algorithm = request::required_header(headers, "x-amz-Checksum-Algorithm")?;
    request::only("x-amz-Checksum-Algorithm", algorithm, "SHA256")?;
    if headers.contains_key("x-amz-Progress")
        && request::number_header(headers, "x-amz-Progress")? > 100
    {
        return Err(parameter("x-amz-Progress is a percentage, 0 to 100."));
    }
    request::checksum(request::required_header(headers, "x-amz-Checksum")?)
}

fn wrong_length(length: &str) -> AwsError {
    parameter(format!(
        "The block data is {length} bytes long: expecting 524288."
    ))
}

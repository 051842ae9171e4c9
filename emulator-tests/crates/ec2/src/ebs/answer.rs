//! Answers: JSON, or a block.

use super::error;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use emulator_protocol::AwsError;
use emulator_protocol::http::{Body, Response, full};
use emulator_state::layers::{BLOCK_LEN, Digest};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;

/// A structure as JSON.
pub fn json(status: u16, value: &impl Serialize) -> Result<Response, AwsError> {
    let text = serde_json::to_vec(value).map_err(|error| error::disk(&error.into()))?;
    let mut response = with_status(status, full(text));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// A block, or no body but a block's checksum.
pub fn checksum(status: u16, digest: &Digest, body: Body) -> Result<Response, AwsError> {
    let mut response = with_status(status, body);
    let headers = response.headers_mut();
    let value = HeaderValue::from_str(&STANDARD.encode(digest))
        .map_err(|error| AwsError::unavailable(error.to_string()))?;
    headers.insert("x-amz-checksum", value);
    headers.insert(
        "x-amz-checksum-algorithm",
        HeaderValue::from_static("SHA256"),
    );
    Ok(response)
}

/// The block's own headers.
pub fn block(digest: &Digest, data: Vec<u8>) -> Result<Response, AwsError> {
    let mut response = checksum(200, digest, full(data))?;
    let headers = response.headers_mut();
    headers.insert("x-amz-data-length", HeaderValue::from(BLOCK_LEN));
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    Ok(response)
}

fn with_status(status: u16, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::NOT_IMPLEMENTED);
    response
}

/// A time as the protocol writes it in JSON: seconds since 1970, with milliseconds.
pub fn time<S: Serializer>(time: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    let milliseconds = time.unix_timestamp_nanos() / 1_000_000;
    // Exact up to the year 280,000.
    serializer.serialize_f64(milliseconds as f64 / 1000.0)
}

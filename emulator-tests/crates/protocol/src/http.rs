//! Bodies, whole and streamed.

use crate::AwsError;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use std::time::Duration;

/// Why a body broke off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// A body, of a request or an answer.
pub type Body = BoxBody<Bytes, BodyError>;
/// A request as the handlers get it.
pub type Request = http::Request<Body>;
/// An answer as the handlers give it.
pub type Response = http::Response<Body>;

/// No body.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

/// A body that is there already.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

/// Nothing of a body came for this long.
#[derive(Debug, thiserror::Error)]
#[error("the client sent nothing of its body for {} s", .0.as_secs_f32())]
pub struct Stalled(pub Duration);

impl Stalled {
    /// The error that the client is told.
    pub fn to_aws(&self) -> AwsError {
        AwsError::new(
            "RequestTimeout",
            "Your socket connection to the server was not read from or written to within the \
             timeout period.",
        )
    }
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Longer than the limit, in bytes; the rest was not read.
    #[error("the body is longer than {0} bytes")]
    TooLong(usize),
    /// The connection broke or the sender stopped.
    #[error("the body broke off after {read} bytes")]
    Broken {
        /// Bytes that did arrive.
        read: usize,
        /// What happened.
        #[source]
        cause: BodyError,
    },
}

/// Pieces below this are gathered: a body of single bytes is not to be half a million of them.
const SMALL: usize = 16 << 10;

/// Reads a body of at most `limit` bytes, telling `each` of every piece as it comes, and gives the
/// pieces as they came, without copying what is large.
///
/// # Errors
/// The body is longer, or breaks off.
pub async fn read_pieces(
    mut body: Body,
    limit: usize,
    mut each: impl FnMut(&[u8]),
) -> Result<Vec<Bytes>, ReadError> {
    let (mut pieces, mut read) = (Vec::new(), 0);
    let mut small = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|cause| ReadError::Broken { read, cause })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if data.len() > limit - read {
            return Err(ReadError::TooLong(limit));
        }
        read += data.len();
        each(&data);
        if data.len() < SMALL {
            small.extend_from_slice(&data);
            continue;
        }
        if !small.is_empty() {
            pieces.push(std::mem::take(&mut small).into());
        }
        pieces.push(data);
    }
    if !small.is_empty() {
        pieces.push(small.into());
    }
    Ok(pieces)
}

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// The body is longer, or breaks off.
pub async fn read_at_most(body: Body, limit: usize) -> Result<Bytes, ReadError> {
    let mut pieces = read_pieces(body, limit, |_| {}).await?;
    Ok(match pieces.len() {
        0 => Bytes::new(),
        1 => pieces.remove(0),
        _ => pieces.concat().into(),
    })
}

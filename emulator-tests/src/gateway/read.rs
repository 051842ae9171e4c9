//! Bodies that are read whole.

use bytes::Bytes;
use emulator_protocol::AwsError;
use emulator_protocol::http::{Body, ReadError, Stalled, read_at_most};

/// Most bytes of a body that is read whole: of every service but S3, and of EBS but for blocks.
const MOST_WHOLE: usize = 4 << 20;

/// Reads a body that is not too long.
pub(super) async fn read(body: Body) -> Result<Bytes, AwsError> {
    read_up_to(body, MOST_WHOLE).await
}

pub(super) async fn read_up_to(body: Body, most: usize) -> Result<Bytes, AwsError> {
    let too_long = || {
        let message = format!("The request's body is longer than {most} bytes");
        AwsError::new("RequestEntityTooLarge", message).with_status(413)
    };
    if http_body::Body::size_hint(&body).lower() > most as u64 {
        return Err(too_long());
    }
    match read_at_most(body, most).await {
        Ok(body) => Ok(body),
        Err(ReadError::TooLong(_)) => Err(too_long()),
        Err(error @ ReadError::Broken { .. }) => Err(broken(&error)),
    }
}

/// A body that did not come to its end.
fn broken(error: &ReadError) -> AwsError {
    let ReadError::Broken { read, cause } = error else {
        return AwsError::unavailable(error.to_string());
    };
    if let Some(stalled) = cause.downcast_ref::<Stalled>() {
        return stalled.to_aws();
    }
    AwsError::new(
        "IncompleteBody",
        format!("The body broke off after {read} bytes: {cause}"),
    )
}

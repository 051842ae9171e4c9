//! What a fault rule does to a request and to its answer.

use super::Failed;
use super::asked::Asked;
use crate::gateway::fault::{self, Side};
use emulator_protocol::http::{Body, Response};
use http_body_util::BodyExt;
use std::time::Duration;

/// What a rule does to a request before it is performed.
pub(super) async fn request(
    fault: Option<&fault::Fault>,
    asked: &Asked,
    body: Body,
) -> Result<Body, Failed> {
    use fault::Fault::{Corrupt, Cut, Delay, Error, Slow};
    match fault {
        Some(Error(refused)) => Err(refused.error(&asked.service).into()),
        Some(Cut {
            side: Side::Request,
            after_bytes,
        }) => {
            let mut body = fault::cut(body, *after_bytes);
            while let Some(Ok(_)) = body.frame().await {}
            Err(Failed::Cut)
        }
        Some(Delay { milliseconds }) => {
            tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
            Ok(body)
        }
        Some(Slow {
            side: Side::Request,
            bytes_per_second,
        }) => Ok(fault::slow(body, *bytes_per_second)),
        Some(Corrupt {
            side: Side::Request,
            offset,
        }) => Ok(fault::corrupt(body, *offset)),
        _ => Ok(body),
    }
}

/// What a rule does to the answer of a request that was performed.
pub(super) fn answer(fault: Option<&fault::Fault>, answer: Response) -> Result<Response, Failed> {
    use fault::Fault::{Corrupt, Cut, Lose, Slow};
    match fault {
        Some(Lose) => Err(Failed::Cut),
        Some(Cut {
            side: Side::Answer,
            after_bytes,
        }) if *after_bytes == 0 || http_body::Body::is_end_stream(answer.body()) => {
            Err(Failed::Cut)
        }
        Some(Cut {
            side: Side::Answer,
            after_bytes,
        }) => Ok(answer.map(|body| fault::cut(body, *after_bytes))),
        Some(Slow {
            side: Side::Answer,
            bytes_per_second,
        }) => Ok(answer.map(|body| fault::slow(body, *bytes_per_second))),
        Some(Corrupt {
            side: Side::Answer,
            offset,
        }) => Ok(answer.map(|body| fault::corrupt(body, *offset))),
        _ => Ok(answer),
    }
}

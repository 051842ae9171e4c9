//! S3: bodies of any length pass as they come.

use super::asked::Asked;
use super::{Failed, Router, upset};
use crate::checks::Checks;
use crate::checks::delete::{self, Denied};
use crate::gateway::answer;
use crate::gateway::read::{read, read_up_to};
use bytes::Bytes;
use emulator_protocol::AwsError;
use emulator_protocol::http::{Body, Response, full};
use http::header;

/// The answer of S3, checked.
pub(super) async fn answer(router: &Router, asked: &Asked, body: Body) -> Result<Response, Failed> {
    let fault = router.fault(asked, &Bytes::new());
    let mut body = upset::request(fault.as_ref(), asked, body).await?;
    let looked_at = match Checks::body_limit(&asked.service, &asked.parts) {
        None => None,
        Some(limit) => {
            let read = read_up_to(body, limit).await?;
            body = full(read.clone());
            Some(read)
        }
    };
    let denied = router
        .checks
        .before(
            &asked.caller,
            &asked.service,
            &asked.parts,
            looked_at.as_ref(),
        )
        .await?;
    let answer = if denied.is_empty() {
        let _turn = router.writers.turn(&asked.parts).await;
        router.pass(asked, body).await?
    } else {
        let body = looked_at.unwrap_or_default();
        without_denied(router, asked, &body, &denied).await?
    };
    upset::answer(fault.as_ref(), answer)
}

/// `DeleteObjects` without the objects that are denied, which the answer tells.
async fn without_denied(
    router: &Router,
    asked: &Asked,
    body: &Bytes,
    denied: &[Denied],
) -> Result<Response, AwsError> {
    let Some(rest) = delete::rest(body, denied) else {
        let told = delete::answer(None, denied).unwrap_or_default();
        return Ok(answer::s3(told, &asked.id));
    };
    let response = router.pass(&asked.with_content(&rest), full(rest)).await?;
    if !response.status().is_success() {
        return Ok(response);
    }
    let (mut head, body) = response.into_parts();
    let body = read(body).await?;
    let told = delete::answer(Some(&body), denied).ok_or_else(|| {
        AwsError::unavailable("LocalStack's answer to DeleteObjects can't be read")
    })?;
    head.headers.remove(header::CONTENT_LENGTH);
    Ok(Response::from_parts(head, full(told)))
}

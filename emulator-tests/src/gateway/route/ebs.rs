//! The EBS direct API: its handler reads blocks itself.

use super::asked::Asked;
use super::digest::{check_checksum, check_digest};
use super::{Failed, Router, upset};
use crate::gateway::answer;
use crate::gateway::read::read;
use bytes::Bytes;
use emulator_protocol::http::{Body, Response, full};
use http::Method;

/// The answer of the EBS direct API.
pub(super) async fn answer(router: &Router, asked: &Asked, body: Body) -> Result<Response, Failed> {
    let is_block = asked.parts.method == Method::PUT;
    let (body, seen) = if is_block {
        (body, Bytes::new())
    } else {
        let whole = read(body).await?;
        (full(whole.clone()), whole)
    };
    let fault = router.fault(asked, &seen);
    let mut body = upset::request(fault.as_ref(), asked, body).await?;
    if is_block {
        check_checksum(asked)?;
    } else {
        let whole = read(body).await?;
        check_digest(asked, &whole)?;
        body = full(whole);
    }
    let answer =
        emulator_ec2::ebs::handle(&router.services, &asked.caller, asked.with_body(body)).await?;
    upset::answer(fault.as_ref(), answer::with_request_id(answer, &asked.id))
}

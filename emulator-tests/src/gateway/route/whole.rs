//! Every service but S3 and the EBS direct API: the body is read, and looked at.

use super::asked::Asked;
use super::digest::check_digest;
use super::{Failed, Router, upset};
use crate::gateway::answer;
use crate::gateway::client::Client;
use crate::gateway::read::read;
use crate::gateway::scope::{Fault, Refusal, is_unsigned_ec2_form};
use bytes::Bytes;
use emulator_protocol::http::{Body, Response, full};
use emulator_protocol::model::check_ec2;
use emulator_protocol::{AwsError, Params, Protocol, operation};
use http::Method;
use http::request::Parts;

/// The answer of a service.
pub(super) async fn answer(
    router: &Router,
    asked: &Asked,
    body: Body,
    client: Client,
) -> Result<Response, Failed> {
    let mut body = read(body).await?;
    let fault = router.fault(asked, &body);
    if fault.is_some() {
        body = read(upset::request(fault.as_ref(), asked, full(body)).await?).await?;
    }
    check_digest(asked, &body)?;
    let answer = if asked.service == "ec2" {
        ec2(router, asked, body, client).await?
    } else {
        elsewhere(router, asked, body, client).await?
    };
    upset::answer(fault.as_ref(), answer)
}

/// EC2: what is ours of it, and LocalStack's rest.
async fn ec2(
    router: &Router,
    asked: &Asked,
    body: Bytes,
    client: Client,
) -> Result<Response, AwsError> {
    let params = ec2_params(&asked.parts, &body)?;
    let action = params.get("Action").filter(|action| !action.is_empty());
    let Some(action) = action else {
        let message = "The request must contain the parameter Action";
        return Err(AwsError::new("MissingAction", message));
    };
    check_ec2(action, &params)?;
    if let Some(answer) = emulator_ec2::ec2::handle(&router.services, &asked.caller, &params).await
    {
        return Ok(answer::ec2(action, &answer?, &asked.id));
    }
    elsewhere(router, asked, body, client).await
}

/// LocalStack's, checked.
async fn elsewhere(
    router: &Router,
    asked: &Asked,
    body: Bytes,
    mut client: Client,
) -> Result<Response, AwsError> {
    if asked.caller.access_key.is_empty() && is_unsigned_ec2_form(&asked.parts, &body) {
        let message = "Request is missing Authentication Token";
        return Err(Refusal::new(Fault::Missing, "ec2", message).error(Protocol::Ec2));
    }
    // S3's bodies alone have anything to leave out.
    router
        .checks
        .before(&asked.caller, &asked.service, &asked.parts, Some(&body))
        .await
        .map(drop)?;
    if !takes_for_the_client(asked, &body) {
        return router.pass(asked, full(body)).await;
    }
    tokio::select! {
        biased;
        () = client.gone() => Err(AwsError::unavailable("the client has gone")),
        answer = router.pass(asked, full(body)) => answer,
    }
}

/// Whether what is done for a client that has gone is worse than nothing: a message that it waited
/// for would be hidden from all others.
fn takes_for_the_client(asked: &Asked, body: &Bytes) -> bool {
    asked.service == "sqs"
        && operation::of("sqs", &asked.parts, Some(body)).as_deref() == Some("ReceiveMessage")
}

/// The parameters of an EC2 call: a form, in the body of a POST or in the URL of a GET.
fn ec2_params(parts: &Parts, body: &[u8]) -> Result<Params, AwsError> {
    if parts.method == Method::POST {
        return Params::parse(body);
    }
    // A signature in the URL is none of the action's parameters.
    let query = parts.uri.query().unwrap_or_default();
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(
            form_urlencoded::parse(query.as_bytes())
                .filter(|(name, _)| !name.starts_with("X-Amz-")),
        )
        .finish();
    Params::parse(form.as_bytes())
}

//! What becomes of a request, by its service.

use super::asked::Asked;
use super::digest::{check_checksum, check_digest};
use super::read::{read, read_up_to};
use super::{Failed, Shared, upset};
use crate::checks::Checks;
use crate::checks::delete::{self, Denied};
use crate::gateway::answer;
use crate::gateway::client::Client;
use crate::gateway::scope::{Fault, Refusal, is_unsigned_ec2_form};
use bytes::Bytes;
use emulator_ec2::ebs;
use emulator_ec2::ec2;
use emulator_protocol::http::{Body, Response, full};
use emulator_protocol::model::check_ec2;
use emulator_protocol::operation;
use emulator_protocol::{AwsError, Params, Protocol};
use http::request::Parts;
use http::{Method, header};

impl Shared {
    /// S3: bodies of any length pass as they come.
    pub(super) async fn stream(&self, asked: &Asked, body: Body) -> Result<Response, Failed> {
        let fault = self.fault(asked, &Bytes::new());
        let mut body = upset::request(fault.as_ref(), asked, body).await?;
        let looked_at = match Checks::body_limit(&asked.service, &asked.parts) {
            None => None,
            Some(limit) => {
                let read = read_up_to(body, limit).await?;
                body = full(read.clone());
                Some(read)
            }
        };
        let denied = self
            .checks
            .before(
                &asked.caller,
                &asked.service,
                &asked.parts,
                looked_at.as_ref(),
            )
            .await?;
        let answer = if denied.is_empty() {
            let _turn = self.writers.turn(&asked.parts).await;
            self.pass(asked, body).await?
        } else {
            let body = looked_at.unwrap_or_default();
            self.pass_rest(asked, &body, &denied).await?
        };
        upset::answer(fault.as_ref(), answer)
    }

    /// `DeleteObjects` without the objects that are denied, which the answer tells.
    async fn pass_rest(
        &self,
        asked: &Asked,
        body: &Bytes,
        denied: &[Denied],
    ) -> Result<Response, AwsError> {
        let Some(rest) = delete::rest(body, denied) else {
            let told = delete::answer(None, denied).unwrap_or_default();
            return Ok(answer::s3(told, &asked.id));
        };
        let response = self.pass(&asked.with_content(&rest), full(rest)).await?;
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

    /// The EBS direct API: its handler reads blocks itself.
    pub(super) async fn ebs(&self, asked: &Asked, body: Body) -> Result<Response, Failed> {
        let is_block = asked.parts.method == Method::PUT;
        let (body, read) = if is_block {
            (body, Bytes::new())
        } else {
            let read = read(body).await?;
            (full(read.clone()), read)
        };
        let fault = self.fault(asked, &read);
        let mut body = upset::request(fault.as_ref(), asked, body).await?;
        if is_block {
            check_checksum(asked)?;
        } else {
            let read = self::read(body).await?;
            check_digest(asked, &read)?;
            body = full(read);
        }
        let answer = ebs::handle(&self.services, &asked.caller, asked.with_body(body)).await?;
        upset::answer(fault.as_ref(), answer::with_request_id(answer, &asked.id))
    }

    /// Every other service: the body is read, and looked at.
    pub(super) async fn whole(
        &self,
        asked: &Asked,
        body: Body,
        client: Client,
    ) -> Result<Response, Failed> {
        let mut body = read(body).await?;
        let fault = self.fault(asked, &body);
        if fault.is_some() {
            body = read(upset::request(fault.as_ref(), asked, full(body)).await?).await?;
        }
        check_digest(asked, &body)?;
        let answer = if asked.service == "ec2" {
            self.ec2(asked, body, client).await?
        } else {
            self.elsewhere(asked, body, client).await?
        };
        upset::answer(fault.as_ref(), answer)
    }

    /// EC2: what is ours of it, and LocalStack's rest.
    async fn ec2(&self, asked: &Asked, body: Bytes, client: Client) -> Result<Response, AwsError> {
        let params = ec2_params(&asked.parts, &body)?;
        let action = params.get("Action").filter(|action| !action.is_empty());
        let Some(action) = action else {
            let message = "The request must contain the parameter Action";
            return Err(AwsError::new("MissingAction", message));
        };
        check_ec2(action, &params)?;
        if let Some(answer) = ec2::handle(&self.services, &asked.caller, &params).await {
            return Ok(answer::ec2(action, &answer?, &asked.id));
        }
        self.elsewhere(asked, body, client).await
    }

    /// LocalStack's, checked.
    async fn elsewhere(
        &self,
        asked: &Asked,
        body: Bytes,
        mut client: Client,
    ) -> Result<Response, AwsError> {
        if asked.caller.access_key.is_empty() && is_unsigned_ec2_form(&asked.parts, &body) {
            let message = "Request is missing Authentication Token";
            return Err(Refusal::new(Fault::Missing, "ec2", message).error(Protocol::Ec2));
        }
        // S3's bodies alone have anything to leave out.
        self.checks
            .before(&asked.caller, &asked.service, &asked.parts, Some(&body))
            .await
            .map(drop)?;
        if !takes_for_the_client(asked, &body) {
            return self.pass(asked, full(body)).await;
        }
        tokio::select! {
            biased;
            () = client.gone() => Err(AwsError::unavailable("the client has gone")),
            answer = self.pass(asked, full(body)) => answer,
        }
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

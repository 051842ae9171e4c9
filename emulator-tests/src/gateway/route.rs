//! From a request to its answer: who asks, for what, and who knows.

mod asked;
mod digest;
mod ebs;
mod recognize;
mod s3;
mod upset;
mod whole;

use super::at_work::AtWork;
use super::client::Client;
use super::fault::{self, Book, Cut, Subject};
use super::proxy::Proxy;
use super::writers::Writers;
use crate::checks::Checks;
use asked::Asked;
use bytes::Bytes;
use emulator_ec2::Services;
use emulator_protocol::AwsError;
use emulator_protocol::http::{Body, Response};
use emulator_protocol::operation::{self, is_s3};
use emulator_state::clock::Clock;
use http::request::Parts;
use recognize::recognize;
use std::sync::Arc;

/// Why a request has no answer but an error, or none at all.
enum Failed {
    Refused(AwsError),
    Cut,
}

impl From<AwsError> for Failed {
    fn from(error: AwsError) -> Self {
        Self::Refused(error)
    }
}

/// Answers requests to AWS: by services of our own, or by LocalStack, with checks before it.
pub(super) struct Router {
    pub(super) services: Services,
    pub(super) checks: Checks,
    pub(super) proxy: Proxy,
    pub(super) faults: Arc<Book>,
    pub(super) writers: Writers,
    pub(super) at_work: Arc<AtWork>,
    /// The host's clock, which signatures are held against.
    pub(super) host_clock: Arc<dyn Clock>,
}

impl Router {
    /// Answers a request, or cuts its connection.
    pub(super) async fn answer(
        &self,
        parts: Parts,
        body: Body,
        secure: bool,
        client: Client,
    ) -> Result<Response, Cut> {
        let asked = match self.recognize(parts, secure) {
            Ok(asked) => asked,
            Err(refused) => return Ok(*refused),
        };
        let _work = self.at_work.begin(asked.caller.account.as_str());
        let answer = if is_s3(&asked.service) {
            s3::answer(self, &asked, body).await
        } else if asked.service == "ebs" {
            ebs::answer(self, &asked, body).await
        } else {
            whole::answer(self, &asked, body, client).await
        };
        match answer {
            Ok(answer) => Ok(answer),
            Err(Failed::Refused(error)) => Ok(asked.refuse(&error)),
            Err(Failed::Cut) => Err(Cut),
        }
    }

    /// The answer to a request at which the emulator panicked.
    pub(super) fn failed_at(&self, parts: Parts) -> Response {
        let error = AwsError::unavailable(
            "the emulator failed at this request, which is a bug of its own: see its log",
        );
        match self.recognize(parts, false) {
            Ok(asked) => asked.refuse(&error),
            Err(refused) => *refused,
        }
    }

    /// Who asks, for which service.
    fn recognize(&self, parts: Parts, secure: bool) -> Result<Asked, Box<Response>> {
        let id = self.services.ids.request();
        recognize(parts, secure, self.host_clock.now(), id)
    }

    /// What a rule does to a request.
    fn fault(&self, asked: &Asked, body: &Bytes) -> Option<fault::Fault> {
        if self.faults.is_empty() {
            return None;
        }
        let operation = operation::of(&asked.service, &asked.parts, Some(body));
        let path = asked.parts.uri.path_and_query();
        self.faults.pick(&Subject {
            service: &asked.service,
            operation: operation.as_deref(),
            account: asked.caller.account.as_str(),
            path: path.map_or("/", |path| path.as_str()),
            body,
        })
    }

    /// LocalStack's answer. Whoever asked may be gone by now: requests run in tasks of their own,
    /// so that what is remembered of what they changed is forgotten all the same.
    async fn pass(&self, asked: &Asked, body: Body) -> Result<Response, AwsError> {
        let answer = self.proxy.pass(asked.with_body(body)).await;
        // Without an answer, nobody knows what LocalStack did.
        if answer.as_ref().map_or(true, |it| it.status().is_success()) {
            self.checks
                .after(&asked.caller, &asked.service, &asked.parts);
        }
        let (head, body) = answer?.into_parts();
        if head.status.is_success() {
            self.checks
                .answer(&asked.caller, &asked.service, &asked.parts, &head)
                .await?;
        }
        Ok(Response::from_parts(head, body))
    }
}

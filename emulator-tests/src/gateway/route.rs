//! From a request to its answer: who asks, for what, and who knows.

mod asked;
mod digest;
mod handle;
mod read;
mod recognize;
mod upset;

pub(super) use read::read;

use super::at_work::AtWork;
use super::body;
use super::client::Client;
use super::fault::{self, Book, Subject};
use super::state::State;
use super::writers::Writers;
use super::{Limits, admin, proxy};
use crate::checks::Checks;
use asked::Asked;
use bytes::Bytes;
use emulator_ec2::Services;
use emulator_guests::Guests;
use emulator_localstack::Upstream;
use emulator_protocol::AwsError;
use emulator_protocol::http::{Body, Response};
use emulator_protocol::operation::{self, is_s3};
use emulator_state::clock::{Clock, SystemClock};
use http::header;
use hyper::body::Incoming;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// The connection is cut, on purpose.
#[derive(Debug, thiserror::Error)]
#[error("cut by a fault rule")]
pub(crate) struct Cut;

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

/// By which way a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entrance {
    /// From this host.
    Host,
    /// From an instance: it finds AWS, and nothing of what is behind.
    Guests,
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) services: Services,
    pub(super) checks: Checks,
    pub(super) upstream: Upstream,
    /// The host's clock, which signatures are held against.
    pub(super) host_clock: Arc<dyn Clock>,
    /// The services' clock, which can be put forward.
    pub(super) clock: Arc<SystemClock>,
    pub(super) state: State,
    pub(super) faults: Book,
    pub(super) writers: Writers,
    pub(super) at_work: AtWork,
    pub(super) limits: Limits,
    pub(super) address: SocketAddr,
    pub(super) ca_bundle: PathBuf,
    /// Instances that are booted, if any are.
    pub(super) guests: Option<Guests>,
    /// Whether the data are kept.
    pub(super) keep: bool,
}

impl Shared {
    /// Answers a request, or cuts its connection.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: hyper::Request<Incoming>,
        entrance: Entrance,
        secure: bool,
        client: Client,
    ) -> Result<Response, Cut> {
        let (parts, body) = request.into_parts();
        if entrance == Entrance::Guests && admin::is_of_this_host(&parts) {
            return Ok(admin::refuse_guest());
        }
        if admin::is_for(&parts) {
            let body = body::of_client(body, self.limits.stall, false);
            return Ok(admin::answer(&self, &parts, body).await);
        }
        let expects = parts.headers.contains_key(header::EXPECT);
        let body = body::of_client(body, self.limits.stall, expects);
        let id = self.services.ids.request();
        match self.recognize(parts, secure, id) {
            Ok(asked) => {
                let _work = self.at_work.begin(asked.caller.account.as_str());
                self.dispatch(asked, body, client).await
            }
            Err(refused) => Ok(*refused),
        }
    }

    /// What to answer if the answering of this request panics.
    pub(super) fn after_panic(
        self: &Arc<Self>,
        request: &hyper::Request<Incoming>,
    ) -> impl FnOnce() -> Response + use<> {
        let mut head = http::Request::new(());
        *head.method_mut() = request.method().clone();
        *head.uri_mut() = request.uri().clone();
        *head.headers_mut() = request.headers().clone();
        let shared = Arc::clone(self);
        move || {
            let (parts, ()) = head.into_parts();
            let error = AwsError::unavailable(
                "the emulator failed at this request, which is a bug of its own: see its log",
            );
            match shared.recognize(parts, false, shared.services.ids.request()) {
                Ok(asked) => asked.refuse(&error),
                Err(refused) => *refused,
            }
        }
    }

    async fn dispatch(&self, asked: Asked, body: Body, client: Client) -> Result<Response, Cut> {
        let answer = if is_s3(&asked.service) {
            self.stream(&asked, body).await
        } else if asked.service == "ebs" {
            self.ebs(&asked, body).await
        } else {
            self.whole(&asked, body, client).await
        };
        match answer {
            Ok(answer) => Ok(answer),
            Err(Failed::Refused(error)) => Ok(asked.refuse(&error)),
            Err(Failed::Cut) => Err(Cut),
        }
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
        let answer = proxy::pass(self, asked.with_body(body)).await;
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

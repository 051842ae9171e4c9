//! From a request to its answer: who asks, for what, and who knows.

mod asked;
mod digest;
mod upset;

use super::answer::{self, Context};
use super::body::{self, Stalled};
use super::fault::{self, Book, Subject};
use super::operation::{self, is_s3};
use super::scope::{Fault, Identity, Refusal, Scope, identify, is_unsigned_ec2_form};
use super::state::State;
use super::writers::Writers;
use super::{Limits, admin, proxy};
use crate::aws::model::check_ec2;
use crate::aws::{Account, AwsError, Caller, Params, Protocol, Region};
use crate::checks::Checks;
use crate::checks::delete::{self, Denied};
use crate::clock::{Clock, SystemClock};
use crate::guests::Guests;
use crate::http::{Body, ReadError, Response, full, read_at_most};
use crate::services::Services;
use crate::upstream::Upstream;
use crate::{ebs, ec2};
use asked::Asked;
use bytes::Bytes;
use digest::{check_checksum, check_digest};
use http::request::Parts;
use http::{Method, header};
use hyper::body::Incoming;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// Most bytes of a body that is read whole: of every service but S3, and of EBS but for blocks.
const MOST_WHOLE: usize = 4 << 20;

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
        secure: bool,
    ) -> Result<Response, Cut> {
        let (parts, body) = request.into_parts();
        if admin::is_for(&parts) {
            let body = body::of_client(body, self.limits.stall, false);
            return Ok(admin::answer(&self, &parts, body).await);
        }
        let expects = parts.headers.contains_key(header::EXPECT);
        let body = body::of_client(body, self.limits.stall, expects);
        let id = self.services.ids.request();
        match self.recognize(parts, secure, id) {
            Ok(asked) => self.dispatch(asked, body).await,
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

    /// Who asks, for which service.
    fn recognize(&self, parts: Parts, secure: bool, id: String) -> Result<Asked, Box<Response>> {
        let checked = identify(&parts).and_then(|identity| {
            if let Identity::Signed(scope) = &identity {
                scope.check_time(self.host_clock.now())?;
            }
            Ok(identity)
        });
        let (caller, service) = match checked {
            Ok(Identity::Signed(scope)) => signed(scope, secure),
            Ok(Identity::Anonymous) => anonymous(&parts, secure),
            Err(refusal) => {
                let service = if refusal.service.is_empty() {
                    "s3"
                } else {
                    &refusal.service
                };
                let protocol = answer::protocol(service, &parts);
                let context = Context {
                    protocol,
                    service,
                    request: &parts,
                    request_id: &id,
                };
                return Err(Box::new(answer::error(&refusal.error(protocol), &context)));
            }
        };
        Ok(Asked {
            protocol: answer::protocol(&service, &parts),
            parts,
            caller,
            service,
            id,
        })
    }

    async fn dispatch(&self, asked: Asked, body: Body) -> Result<Response, Cut> {
        let answer = if is_s3(&asked.service) {
            self.stream(&asked, body).await
        } else if asked.service == "ebs" {
            self.ebs(&asked, body).await
        } else {
            self.whole(&asked, body).await
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

    /// S3: bodies of any length pass as they come.
    async fn stream(&self, asked: &Asked, body: Body) -> Result<Response, Failed> {
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
    async fn ebs(&self, asked: &Asked, body: Body) -> Result<Response, Failed> {
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
    async fn whole(&self, asked: &Asked, body: Body) -> Result<Response, Failed> {
        let mut body = read(body).await?;
        let fault = self.fault(asked, &body);
        if fault.is_some() {
            body = read(upset::request(fault.as_ref(), asked, full(body)).await?).await?;
        }
        check_digest(asked, &body)?;
        let answer = if asked.service == "ec2" {
            self.ec2(asked, body).await?
        } else {
            self.elsewhere(asked, body).await?
        };
        upset::answer(fault.as_ref(), answer)
    }

    /// EC2: what is ours of it, and LocalStack's rest.
    async fn ec2(&self, asked: &Asked, body: Bytes) -> Result<Response, AwsError> {
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
        self.elsewhere(asked, body).await
    }

    /// LocalStack's, checked.
    async fn elsewhere(&self, asked: &Asked, body: Bytes) -> Result<Response, AwsError> {
        if asked.caller.access_key.is_empty() && is_unsigned_ec2_form(&asked.parts, &body) {
            let message = "Request is missing Authentication Token";
            return Err(Refusal::new(Fault::Missing, "ec2", message).error(Protocol::Ec2));
        }
        // S3's bodies alone have anything to leave out.
        self.checks
            .before(&asked.caller, &asked.service, &asked.parts, Some(&body))
            .await
            .map(drop)?;
        self.pass(asked, full(body)).await
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

/// Reads a body that is not too long.
pub(super) async fn read(body: Body) -> Result<Bytes, AwsError> {
    read_up_to(body, MOST_WHOLE).await
}

async fn read_up_to(body: Body, most: usize) -> Result<Bytes, AwsError> {
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

fn signed(scope: Scope, secure: bool) -> (Caller, String) {
    let caller = Caller {
        account: scope.account,
        region: scope.region,
        access_key: scope.access_key,
        secure,
    };
    (caller, scope.service)
}

/// Nobody: LocalStack takes such a request for the default account's. It is S3's, unless it is
/// LocalStack's own or a form of another service.
fn anonymous(parts: &Parts, secure: bool) -> (Caller, String) {
    let caller = Caller {
        account: Account::default_account(),
        region: Region::default_region(),
        access_key: String::new(),
        secure,
    };
    let form = parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    });
    let service = match parts.uri.path() {
        "/" if parts.method == Method::POST && form => "sts",
        path if path.starts_with("/_localstack/") => "localstack",
        _ if parts.headers.contains_key("x-amz-target") => "json",
        _ => "s3",
    };
    (caller, service.to_owned())
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

/// A body of which nothing came for too long.
pub(crate) fn stalled() -> AwsError {
    AwsError::new(
        "RequestTimeout",
        "Your socket connection to the server was not read from or written to within the timeout \
         period.",
    )
}

/// A body that did not come to its end.
fn broken(error: &ReadError) -> AwsError {
    let ReadError::Broken { read, cause } = error else {
        return AwsError::unavailable(error.to_string());
    };
    if cause.is::<Stalled>() {
        return stalled();
    }
    AwsError::new(
        "IncompleteBody",
        format!("The body broke off after {read} bytes: {cause}"),
    )
}

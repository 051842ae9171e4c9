//! LocalStack, as its clients see it.

use bytes::Bytes;
use emulator_protocol::http::{Body, Request, Response, Stalled, full, read_at_most};
use emulator_protocol::{AwsError, Caller};
use error_class::Chain;
use http::StatusCode;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

/// Most bytes of an answer to a question of our own.
const MOST_ANSWER: usize = 64 << 20;
/// How often LocalStack is asked for what it fails to tell.
const LOOKS: usize = 3;

/// A client of LocalStack with a pool of connections.
#[derive(Clone)]
pub struct Upstream {
    client: Client<HttpConnector, Body>,
    address: SocketAddr,
}

impl Upstream {
    /// Of the LocalStack at this address.
    pub fn new(address: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            client: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                // LocalStack's server closes idle connections after 5 s: be first, or a request
                // meets the closing.
                .pool_idle_timeout(Duration::from_secs(2))
                .build(connector),
            address,
        }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a request on; only the address in its URI is changed.
    ///
    /// # Errors
    /// [`AwsError::unavailable`] if LocalStack does not answer.
    pub async fn send(&self, mut request: Request) -> Result<Response, AwsError> {
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str());
        *request.uri_mut() = format!("http://{}{path}", self.address)
            .parse()
            .map_err(|error| AwsError::new("InvalidURI", format!("{path}: {error}")))?;
        *request.version_mut() = http::Version::HTTP_11;
        let answer = self
            .client
            .request(request)
            .await
            .map_err(|error| self.failed(&error))?;
        Ok(answer.map(|body| body.map_err(Into::into).boxed()))
    }

    /// Whose fault it is that there is no answer.
    fn failed(&self, error: &(dyn Error + 'static)) -> AwsError {
        let causes = std::iter::successors(Some(error), |&cause| cause.source());
        match client_failed(causes) {
            Some(error) => error,
            None => AwsError::unavailable(format!(
                "LocalStack at {} does not answer: {}",
                self.address,
                Chain(error)
            )),
        }
    }

    /// Asks something in a caller's name: the request gets a signature's scope (LocalStack looks
    /// at nothing else of it), and the answer is read whole.
    ///
    /// # Errors
    /// [`AwsError::unavailable`] if LocalStack does not answer.
    pub(super) async fn ask(
        &self,
        caller: &Caller,
        service: &str,
        request: http::request::Builder,
        body: impl Into<Bytes>,
    ) -> Result<(StatusCode, Bytes), AwsError> {
        let answer = self
            .send_as(caller.account.as_str(), caller, service, request, body)
            .await?;
        let (parts, body) = answer.into_parts();
        let body = read_at_most(body, MOST_ANSWER)
            .await
            .map_err(|error| AwsError::unavailable(format!("LocalStack's answer: {error}")))?;
        Ok((parts.status, body))
    }

    /// Asks for something that the asking does not change. LocalStack sometimes fails where requests
    /// come at the same time: then it is asked again.
    ///
    /// # Errors
    /// [`AwsError::unavailable`] if LocalStack does not answer.
    pub(super) async fn look(
        &self,
        caller: &Caller,
        service: &str,
        uri: &str,
    ) -> Result<(StatusCode, Bytes), AwsError> {
        let ask = || self.ask(caller, service, http::Request::get(uri), Bytes::new());
        for _ in 1..LOOKS {
            let answer = ask().await?;
            if !answer.0.is_server_error() {
                return Ok(answer);
            }
        }
        ask().await
    }

    /// Asks something in a caller's name, of which the answer's headers are of use.
    ///
    /// # Errors
    /// [`AwsError::unavailable`] if LocalStack does not answer.
    pub(super) async fn head(
        &self,
        caller: &Caller,
        service: &str,
        request: http::request::Builder,
    ) -> Result<http::HeaderMap, AwsError> {
        let answer = self
            .send_as(
                caller.account.as_str(),
                caller,
                service,
                request,
                Bytes::new(),
            )
            .await?;
        Ok(answer.into_parts().0.headers)
    }

    /// Sends a request of our own, with the scope of a signature by this access key in the caller's
    /// region.
    pub(super) async fn send_as(
        &self,
        access_key: &str,
        caller: &Caller,
        service: &str,
        request: http::request::Builder,
        body: impl Into<Bytes>,
    ) -> Result<Response, AwsError> {
        let request = request
            .header(http::header::HOST, self.address.to_string())
            .header(
                http::header::AUTHORIZATION,
                format!(
                    "AWS4-HMAC-SHA256 Credential={access_key}/20260101/{}/{service}/aws4_request, \
                     SignedHeaders=host, Signature=0",
                    caller.region
                ),
            )
            .body(full(body))
            .map_err(|error| AwsError::unavailable(format!("a request of ours: {error}")))?;
        self.send(request).await
    }
}

/// What to tell a client whose own body is why LocalStack did not answer.
fn client_failed<'a>(causes: impl Iterator<Item = &'a (dyn Error + 'static)>) -> Option<AwsError> {
    let mut broken = None;
    for cause in causes {
        if let Some(stalled) = cause.downcast_ref::<Stalled>() {
            return Some(stalled.to_aws());
        }
        // What hyper calls the user's fault is that of whoever feeds it the body.
        if let Some(error) = cause.downcast_ref::<hyper::Error>()
            && (error.is_user() || broken.is_some())
        {
            broken = Some(error);
        }
    }
    broken.map(|error| AwsError::new("IncompleteBody", format!("The body broke off: {error}")))
}

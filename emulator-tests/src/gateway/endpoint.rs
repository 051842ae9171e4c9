//! What a connection's request is for: AWS, or the emulator itself.

use super::body;
use super::client::Client;
use super::config::Limits;
use super::control::{self, Control};
use super::fault::Cut;
use super::route::Router;
use emulator_protocol::http::Response;
use http::header;
use hyper::body::Incoming;
use std::sync::Arc;

/// By which way a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entrance {
    /// From this host.
    Host,
    /// From an instance: it finds AWS, and nothing of what is behind.
    Guests,
}

/// What all connections share.
pub(super) struct Endpoint {
    pub(super) router: Router,
    pub(super) control: Control,
    pub(super) limits: Limits,
}

impl Endpoint {
    /// Answers a request, or cuts its connection.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: hyper::Request<Incoming>,
        entrance: Entrance,
        secure: bool,
        client: Client,
    ) -> Result<Response, Cut> {
        let (parts, body) = request.into_parts();
        if entrance == Entrance::Guests && control::is_of_this_host(&parts) {
            return Ok(control::refuse_guest());
        }
        if control::is_for(&parts) {
            let body = body::of_client(body, self.limits.stall, false);
            return Ok(self.control.answer(&parts, body).await);
        }
        let expects = parts.headers.contains_key(header::EXPECT);
        let body = body::of_client(body, self.limits.stall, expects);
        self.router.answer(parts, body, secure, client).await
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
        let endpoint = Arc::clone(self);
        move || endpoint.router.failed_at(head.into_parts().0)
    }
}

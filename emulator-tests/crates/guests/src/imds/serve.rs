//! Requests, from the connection to the answer.

use super::answer::{self, Answer};
use super::token::{LIFETIMES, Tokens};
use super::tree::tree;
use super::{Facts, Metadata, RoleStatus, document};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use emulator_state::clock::Clock;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long a connection waits for a request.
const IDLE: Duration = Duration::from_secs(30);
/// Most bytes of a request's head.
const HEAD: usize = 16 << 10;
/// The token of a session, and how long a new one is to be good for.
const TOKEN: &str = "x-aws-ec2-metadata-token";
const LIFETIME: &str = "x-aws-ec2-metadata-token-ttl-seconds";
/// Whoever passes on requests of others writes this.
const FORWARDED: &str = "x-forwarded-for";

/// Versions of the tree that the service has had; all have the same contents here.
const VERSIONS: &[&str] = &[
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "2011-01-01",
    "2011-05-01",
    "2012-01-12",
    "2014-02-25",
    "2014-11-05",
    "2015-10-20",
    "2016-04-19",
    "2016-06-30",
    "2016-09-02",
    "2018-03-28",
    "2018-08-17",
    "2018-09-24",
    "2019-10-01",
    "2020-10-27",
    "2021-01-03",
    "2021-03-23",
    "2021-07-15",
    "2022-09-24",
    "2024-04-11",
    "latest",
];

/// The service of one instance.
pub struct Imds {
    metadata: Arc<dyn Metadata>,
    clock: Arc<dyn Clock>,
    tokens: Tokens,
}

/// A connection whose packets pass a number of routers at most.
pub(crate) trait Hops {
    /// From now on.
    fn set_hop_limit(&self, hops: u8);
}

/// An answer, and how many routers it passes at most, if it is one that is not to be passed on.
struct Answered {
    answer: Answer,
    hops: Option<u8>,
}

impl From<Answer> for Answered {
    fn from(answer: Answer) -> Self {
        Self { answer, hops: None }
    }
}

impl Imds {
    /// Tells what `metadata` knows, with tokens from this seed.
    pub fn new(metadata: Arc<dyn Metadata>, clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self {
            metadata,
            clock,
            tokens: Tokens::new(seed),
        }
    }

    async fn answer(&self, request: &Parts) -> Answered {
        let Some(facts) = self.metadata.facts() else {
            return answer::refusal(StatusCode::NOT_FOUND).into();
        };
        let options = &facts.instance.metadata;
        if options.http_endpoint == "disabled" {
            return answer::refusal(StatusCode::FORBIDDEN).into();
        }
        let path = segments(request.uri.path());
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let reads = request.method == Method::GET || request.method == Method::HEAD;
        match (&*path, reads) {
            (["latest", "api", "token"], _) if request.method == Method::PUT => Answered {
                answer: self.token(&request.headers),
                hops: Some(options.hop_limit),
            },
            (["latest", "api", "token"], _) => answer::only("OPTIONS, PUT").into(),
            (_, false) => answer::only("OPTIONS, GET, HEAD").into(),
            (path, true) => match self.admits(&request.headers, &options.http_tokens) {
                Ok(()) => self.tell(&facts, path).await.into(),
                Err(status) => answer::refusal(status).into(),
            },
        }
    }

    /// A new session.
    fn token(&self, headers: &HeaderMap) -> Answer {
        if headers.contains_key(FORWARDED) {
            return answer::refusal(StatusCode::FORBIDDEN);
        }
        let seconds = headers
            .get(LIFETIME)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .filter(|seconds| LIFETIMES.contains(seconds));
        let Some(seconds) = seconds else {
            return answer::refusal(StatusCode::BAD_REQUEST);
        };
        let mut answer = answer::text(self.tokens.give(self.clock.now(), seconds));
        answer
            .headers_mut()
            .insert(LIFETIME, HeaderValue::from(seconds));
        answer
    }

    /// Whether a request may be answered: with a token that is good, or without one where that is
    /// allowed.
    fn admits(&self, headers: &HeaderMap, tokens: &str) -> Result<(), StatusCode> {
        let good = match headers.get(TOKEN) {
            Some(token) => self.tokens.knows(self.clock.now(), token.as_bytes()),
            None => tokens != "required",
        };
        good.then_some(()).ok_or(StatusCode::UNAUTHORIZED)
    }

    async fn tell(&self, facts: &Facts, path: &[&str]) -> Answer {
        let Some((version, path)) = path.split_first() else {
            return answer::text(VERSIONS.join("\n"));
        };
        if !VERSIONS.contains(version) {
            return answer::refusal(StatusCode::NOT_FOUND);
        }
        match path {
            [] if facts.instance.user_data.is_some() => {
                answer::text("dynamic\nmeta-data\nuser-data")
            }
            [] => answer::text("dynamic\nmeta-data"),
            ["dynamic"] => answer::text("instance-identity/"),
            ["dynamic", "instance-identity"] => answer::text("document"),
            ["dynamic", "instance-identity", "document"] => answer::text(document::identity(facts)),
            ["user-data"] => user_data(facts),
            ["meta-data", "iam", rest @ ..] if !rest.is_empty() => self.iam(facts, rest).await,
            ["meta-data", rest @ ..] => match tree(facts).find(&rest.join("/")) {
                Some(node) => answer::text(node.text()),
                None => answer::refusal(StatusCode::NOT_FOUND),
            },
            _ => answer::refusal(StatusCode::NOT_FOUND),
        }
    }

    /// What is below `iam/`.
    async fn iam(&self, facts: &Facts, path: &[&str]) -> Answer {
        let absent = || answer::refusal(StatusCode::NOT_FOUND);
        let Some(profile) = &facts.instance.profile else {
            return absent();
        };
        let status = match self.metadata.role().await {
            Ok(status) => status,
            Err(error) if path == ["info"] => {
                tracing::warn!(%error, "an instance's profile can't be looked up");
                return answer::text(document::profile(profile, facts.instance.launched));
            }
            Err(error) => {
                tracing::warn!(%error, "an instance gets no credentials");
                return answer::refusal(StatusCode::SERVICE_UNAVAILABLE);
            }
        };
        let now = self.clock.now();
        let role = match &status {
            RoleStatus::Given(given) => Some(given.role.as_str()),
            RoleStatus::Refused { role, .. } => Some(role.as_str()),
            RoleStatus::NoProfile | RoleStatus::ProfileGone | RoleStatus::NoRole => None,
        };
        match (path, &status) {
            (["info"], RoleStatus::Given(given)) => {
                answer::text(document::profile(profile, given.updated))
            }
            (["info"], RoleStatus::Refused { .. }) => answer::text(document::profile(profile, now)),
            (["info"], RoleStatus::NoRole) => {
                answer::text(document::profile_without_role(profile, now))
            }
            (["info"], RoleStatus::ProfileGone) => {
                answer::text(document::profile_gone(profile, now))
            }
            (["security-credentials"], _) => match role {
                Some(role) => answer::text(role.to_owned()),
                None => absent(),
            },
            (["security-credentials", name], _) if role != Some(*name) => absent(),
            (["security-credentials", _], RoleStatus::Given(given)) => {
                answer::text(document::credentials(given))
            }
            (["security-credentials", _], RoleStatus::Refused { why, .. }) => {
                answer::text(document::no_credentials(&why.to_string(), now))
            }
            _ => absent(),
        }
    }
}

/// The names in a path.
fn segments(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|name| !name.is_empty())
        .map(|name| percent_decode_str(name).decode_utf8_lossy().into_owned())
        .collect()
}

fn user_data(facts: &Facts) -> Answer {
    let data = facts.instance.user_data.as_ref();
    match data.and_then(|data| STANDARD.decode(data.trim()).ok()) {
        Some(data) => answer::bytes(data),
        None => answer::refusal(StatusCode::NOT_FOUND),
    }
}

/// Answers the requests of a connection.
pub(crate) async fn serve<S>(stream: S, imds: Arc<Imds>)
where
    S: AsyncRead + AsyncWrite + Hops + Unpin,
{
    let hops = Arc::new(AtomicU8::new(0));
    let stream = Limited {
        stream,
        hops: Arc::clone(&hops),
        set: 0,
    };
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let (imds, hops) = (Arc::clone(&imds), Arc::clone(&hops));
        async move {
            let (request, _) = request.into_parts();
            let answered = imds.answer(&request).await;
            if let Some(limit) = answered.hops {
                // For the rest of the connection: nobody is to guess which packet has the token.
                hops.store(limit, Ordering::Relaxed);
            }
            Ok::<_, Infallible>(answered.answer)
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection for metadata ended early");
    }
}

/// Sets the hop limit before what is written after it was decided.
struct Limited<S> {
    stream: S,
    hops: Arc<AtomicU8>,
    set: u8,
}

impl<S: AsyncRead + Unpin> AsyncRead for Limited<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Hops + Unpin> AsyncWrite for Limited<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let hops = self.hops.load(Ordering::Relaxed);
        if hops != self.set {
            self.stream.set_hop_limit(hops);
            self.set = hops;
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

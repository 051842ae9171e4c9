//! Connections: accepted, told apart by their first byte, and served until they end or time out.

use super::client::connected;
use super::config::Limits;
use super::endpoint::{Endpoint, Entrance};
use super::fault::Cut;
use super::watch::Watched;
use emulator_protocol::http::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// The first byte of a TLS handshake: a record of type 22 (RFC 8446 section 5.1). No HTTP method
/// begins with it.
const HANDSHAKE: u8 = 0x16;
/// Most bytes that a connection reads at once, and of a request's head.
const READ_BUFFER: usize = 256 << 10;
/// How long to wait after a connection could not be accepted (no file descriptor is free).
const AFTER_FAILURE: Duration = Duration::from_millis(50);

/// Where connections come in.
pub(super) struct Listeners {
    pub(super) host: TcpListener,
    /// For the guests, if there are any.
    pub(super) guests: Option<TcpListener>,
}

impl Listeners {
    async fn accept(&self) -> io::Result<(TcpStream, Entrance)> {
        let guests = async {
            match &self.guests {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = self.host.accept() => Ok((accepted?.0, Entrance::Host)),
            accepted = guests => Ok((accepted?.0, Entrance::Guests)),
        }
    }
}

/// Serves until `stop`, then finishes what runs, for `limits.drain` at most.
pub(super) async fn serve(
    listeners: Listeners,
    tls: TlsAcceptor,
    endpoint: Arc<Endpoint>,
    stop: impl Future<Output = ()> + Send,
) {
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listeners.accept() => accepted,
        };
        match accepted {
            Ok((stream, entrance)) => {
                let endpoint = Arc::clone(&endpoint);
                let connection =
                    connect(stream, entrance, tls.clone(), endpoint, graceful.watcher());
                tokio::spawn(connection);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::select! {
                    () = &mut stop => break,
                    () = sleep(AFTER_FAILURE) => {}
                }
            }
        }
    }
    drop(listeners);
    if timeout(endpoint.limits.drain, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests that did not end in time are cut off");
    }
}

async fn connect(
    stream: TcpStream,
    entrance: Entrance,
    tls: TlsAcceptor,
    endpoint: Arc<Endpoint>,
    watcher: Watcher,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let limits = endpoint.limits.clone();
    let mut first = [0];
    match timeout(limits.header, stream.peek(&mut first)).await {
        Ok(Ok(1)) => {}
        // Gone, or silent for too long.
        _ => return,
    }
    let stream = Watched::new(stream, limits.stall);
    if first[0] != HANDSHAKE {
        return talk(stream, entrance, false, endpoint, watcher).await;
    }
    match timeout(limits.header, tls.accept(stream)).await {
        Ok(Ok(stream)) => talk(stream, entrance, true, endpoint, watcher).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn talk<S>(
    stream: S,
    entrance: Entrance,
    secure: bool,
    endpoint: Arc<Endpoint>,
    watcher: Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let endpoint = Arc::clone(&endpoint);
        async move { isolated(endpoint, request, entrance, secure).await }
    });
    let limits: &Limits = &endpoint.limits;
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(READ_BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Answers in a task of its own: a panic ends this request and nothing else, and what a client
/// asked for is done whether or not it waits, but for what is done only so that it gets it.
async fn isolated(
    endpoint: Arc<Endpoint>,
    request: hyper::Request<Incoming>,
    entrance: Entrance,
    secure: bool,
) -> Result<Response, Cut> {
    let panicked = endpoint.after_panic(&request);
    // hyper drops this future, and with it our end, when the client closes the connection.
    let (_connected, client) = connected();
    match tokio::spawn(endpoint.answer(request, entrance, secure, client)).await {
        Ok(answer) => answer,
        Err(_) => Ok(panicked()),
    }
}

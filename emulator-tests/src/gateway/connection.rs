//! Connections: accepted, told apart by their first byte, and served until they end or time out.

use super::Limits;
use super::client::connected;
use super::route::{Cut, Shared};
use super::watch::Watched;
use crate::http::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::future::Future;
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

/// Serves until `stop`, then finishes what runs, for `limits.drain` at most.
pub(super) async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    shared: Arc<Shared>,
    stop: impl Future<Output = ()> + Send,
) {
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection =
                    connect(stream, tls.clone(), Arc::clone(&shared), graceful.watcher());
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
    drop(listener);
    if timeout(shared.limits.drain, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests that did not end in time are cut off");
    }
}

async fn connect(stream: TcpStream, tls: TlsAcceptor, shared: Arc<Shared>, watcher: Watcher) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let limits = shared.limits.clone();
    let mut first = [0];
    match timeout(limits.header, stream.peek(&mut first)).await {
        Ok(Ok(1)) => {}
        // Gone, or silent for too long.
        _ => return,
    }
    let stream = Watched::new(stream, limits.stall);
    if first[0] != HANDSHAKE {
        return talk(stream, false, &limits, shared, watcher).await;
    }
    match timeout(limits.header, tls.accept(stream)).await {
        Ok(Ok(stream)) => talk(stream, true, &limits, shared, watcher).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn talk<S>(stream: S, secure: bool, limits: &Limits, shared: Arc<Shared>, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move { isolated(shared, request, secure).await }
    });
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
    shared: Arc<Shared>,
    request: hyper::Request<Incoming>,
    secure: bool,
) -> Result<Response, Cut> {
    let panicked = shared.after_panic(&request);
    // hyper drops this future, and with it our end, when the client closes the connection.
    let (_connected, client) = connected();
    match tokio::spawn(shared.answer(request, secure, client)).await {
        Ok(answer) => answer,
        Err(_) => Ok(panicked()),
    }
}

//! Ctrl-C: once to end in good order, twice to end at once.

use super::Failure;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use uploader::Class;

/// Runs `work`, whose token is cancelled by the first of SIGINT, SIGTERM and SIGHUP. The second does
/// not wait for it.
pub(crate) async fn interruptible<T>(
    work: impl AsyncFnOnce(CancellationToken) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let failed = |error| Failure::new(Class::Failed, format!("signals can't be caught: {error}"));
    let mut signals = Vec::new();
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        signals.push(signal(kind).map_err(failed)?);
    }
    let cancel = CancellationToken::new();
    let twice = async {
        next(&mut signals).await;
        cancel.cancel();
        next(&mut signals).await;
    };
    tokio::select! {
        done = work(cancel.clone()) => done,
        () = twice => Err(Failure::interrupted()),
    }
}

/// Waits for any of them.
async fn next(signals: &mut [Signal]) {
    std::future::poll_fn(|context| {
        match signals
            .iter_mut()
            .any(|it| it.poll_recv(context).is_ready())
        {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}

//! Request bodies from the network: a sender that stalls is noticed, one that is not listened to
//! still gets its answer.

use bytes::Bytes;
use emulator_protocol::http::{Body, BodyError, Stalled};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep, timeout};

/// Bytes that are read and thrown away of a body that nobody wanted.
const MOST_DRAINED: u64 = 64 << 20;

/// What a body has next.
pub(crate) type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// A body made of another.
pub(crate) trait Through: Send + Sync + Unpin + 'static {
    fn next(&mut self, context: &mut Context<'_>) -> Polled;
    fn is_over(&self) -> bool;
    fn size(&self) -> SizeHint;

    /// As any body.
    fn into_body(self) -> Body
    where
        Self: Sized,
    {
        Passing(self).boxed()
    }
}

struct Passing<T>(T);

impl<T: Through> hyper::body::Body for Passing<T> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        self.0.next(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size()
    }
}

/// A request's body.
pub(crate) fn of_client(body: Incoming, stall: Duration, expects_continue: bool) -> Body {
    if body.is_end_stream() {
        return emulator_protocol::http::empty();
    }
    FromClient {
        inner: Some(body),
        stall,
        timer: Box::pin(sleep(stall)),
        waiting: false,
        untouched: expects_continue,
    }
    .into_body()
}

/// A body that can be taken away from whoever sends it on, and the hold on it.
pub(crate) fn held(body: Body) -> (Body, Hold) {
    let hold = Hold(Arc::new(Mutex::new(Some(body))));
    (Held(Hold(Arc::clone(&hold.0))).into_body(), hold)
}

/// Takes a body away. An answer may come before all of a body is read, from a server that then reads
/// no more and does not close either: whoever sends it would hold the body for good, and the client
/// would be stuck with the rest of it.
pub(crate) struct Hold(Arc<Mutex<Option<Body>>>);

impl Hold {
    /// Nobody gets more of it.
    pub(crate) fn take_away(self) {
        drop(self.body().take());
    }

    fn body(&self) -> MutexGuard<'_, Option<Body>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Held(Hold);

impl Through for Held {
    fn next(&mut self, context: &mut Context<'_>) -> Polled {
        match self.0.body().as_mut() {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(Some(Err(BodyError::from("the answer is there already")))),
        }
    }

    fn is_over(&self) -> bool {
        self.0.body().as_ref().is_some_and(Body::is_end_stream)
    }

    fn size(&self) -> SizeHint {
        self.0
            .body()
            .as_ref()
            .map_or_else(SizeHint::new, Body::size_hint)
    }
}

struct FromClient {
    /// `None` when it is over.
    inner: Option<Incoming>,
    stall: Duration,
    timer: Pin<Box<Sleep>>,
    /// Whether the timer is running.
    waiting: bool,
    /// The client waits for a `100 Continue`, which the first poll sends.
    untouched: bool,
}

impl Through for FromClient {
    fn next(&mut self, context: &mut Context<'_>) -> Polled {
        self.untouched = false;
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        match Pin::new(inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                self.waiting = false;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.inner = None;
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                self.inner = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                if !self.waiting {
                    self.waiting = true;
                    self.timer.as_mut().reset(Instant::now() + self.stall);
                }
                match self.timer.as_mut().poll(context) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(()) => {
                        self.inner = None;
                        Poll::Ready(Some(Err(Box::new(Stalled(self.stall)))))
                    }
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        self.inner.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl Drop for FromClient {
    /// Reads on for a while: closing on a client that still writes makes it miss its answer.
    fn drop(&mut self) {
        let Some(mut body) = self.inner.take() else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.untouched || body.is_end_stream() || body.size_hint().lower() > MOST_DRAINED {
            return;
        }
        let stall = self.stall;
        runtime.spawn(async move {
            let mut read = 0;
            while let Ok(Some(Ok(frame))) = timeout(stall, body.frame()).await {
                read += frame.data_ref().map_or(0, |data| data.len() as u64);
                if read > MOST_DRAINED {
                    break;
                }
            }
        });
    }
}

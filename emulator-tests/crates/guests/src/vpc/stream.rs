//! A connection with the guest, as the host's tasks read and write it.

use super::lan::Shared;
use crate::imds::Hops;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{RecvError, State};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection with the guest. Dropped without being shut down, it is reset.
pub struct GuestStream {
    shared: Arc<Shared>,
    handle: SocketHandle,
    /// The guest has sent all.
    read_all: bool,
    /// We have sent all.
    shut_down: bool,
}

impl std::fmt::Debug for GuestStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuestStream")
            .field("read_all", &self.read_all)
            .field("shut_down", &self.shut_down)
            .finish_non_exhaustive()
    }
}

impl GuestStream {
    pub(super) fn new(shared: Arc<Shared>, handle: SocketHandle) -> Self {
        Self {
            shared,
            handle,
            read_all: false,
            shut_down: false,
        }
    }

    /// Waits until the guest has answered.
    pub(super) async fn connected(&self) -> io::Result<()> {
        poll_fn(|cx| {
            let mut stack = self.shared.stack();
            let socket = stack.tcp(self.handle);
            match socket.state() {
                State::SynSent | State::SynReceived | State::Listen => {
                    socket.register_recv_waker(cx.waker());
                    Poll::Pending
                }
                State::Closed => Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into())),
                _ => Poll::Ready(Ok(())),
            }
        })
        .await
    }
}

impl Hops for GuestStream {
    fn set_hop_limit(&self, hops: u8) {
        let mut stack = self.shared.stack();
        stack.tcp(self.handle).set_hop_limit(Some(hops.max(1)));
    }
}

/// Whether data can't pass yet.
fn is_beginning(state: State) -> bool {
    matches!(state, State::Listen | State::SynSent | State::SynReceived)
}

impl AsyncRead for GuestStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read_all || buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let read = {
            let mut stack = self.shared.stack();
            let socket = stack.tcp(self.handle);
            let read = socket.recv(|data| {
                let length = data.len().min(buf.remaining());
                buf.put_slice(&data[..length]);
                (length, length)
            });
            let waits = match read {
                Ok(length) => length == 0,
                Err(_) => is_beginning(socket.state()),
            };
            if waits {
                socket.register_recv_waker(cx.waker());
                return Poll::Pending;
            }
            read
        };
        match read {
            Ok(_) => {
                // The guest may send more.
                self.shared.wake();
                Poll::Ready(Ok(()))
            }
            Err(RecvError::Finished) => {
                self.read_all = true;
                Poll::Ready(Ok(()))
            }
            Err(RecvError::InvalidState) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }
}

impl AsyncWrite for GuestStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.shut_down {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let written = {
            let mut stack = self.shared.stack();
            let socket = stack.tcp(self.handle);
            let written = socket.send_slice(buf);
            let waits = match written {
                Ok(length) => length == 0,
                Err(_) => is_beginning(socket.state()),
            };
            if waits {
                socket.register_send_waker(cx.waker());
                return Poll::Pending;
            }
            written
        };
        self.shared.wake();
        Poll::Ready(written.map_err(|_| io::ErrorKind::ConnectionReset.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut_down {
            let mut stack = self.shared.stack();
            let socket = stack.tcp(self.handle);
            // A connection that has not begun would never have been.
            if is_beginning(socket.state()) {
                socket.register_send_waker(cx.waker());
                return Poll::Pending;
            }
            socket.close();
        }
        self.shut_down = true;
        self.shared.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for GuestStream {
    fn drop(&mut self) {
        self.shared
            .stack()
            .leave(self.shared.now(), self.handle, self.shut_down);
        self.shared.wake();
    }
}

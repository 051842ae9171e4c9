//! A disk for QEMU on a Unix socket, by the NBD protocol (fixed newstyle, simple replies).
//!
//! Our own, because of the crates that serve NBD none does what a guest's disk has to: `nbd` ignores
//! FUA, can't write zeros, and loses its place in the stream when a write fails.

mod format;
mod handshake;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod transmission;

use rustix::net::Shutdown;
use std::io::{self, ErrorKind};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// The export's name.
pub const NAME: &str = "volume";
/// Most bytes of one request: what a client may expect of any server.
const MOST_BYTES: u32 = 32 << 20;

/// What is exported.
pub trait Export: Send + Sync {
    /// Bytes.
    fn size(&self) -> u64;

    /// Reads what is inside.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes what is inside.
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Writes zeros.
    fn zero(&self, offset: u64, length: u64) -> io::Result<()>;

    /// Makes what was written last.
    fn flush(&self) -> io::Result<()>;
}

/// A server, which ends when it is dropped.
pub struct Server {
    listener: Arc<UnixListener>,
    client: Arc<Client>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves one client after the other, on a thread of its own.
    ///
    /// # Errors
    /// There can be no more threads.
    pub fn start(listener: UnixListener, export: Arc<dyn Export>) -> io::Result<Self> {
        let listener = Arc::new(listener);
        let client = Arc::new(Client::default());
        let thread = std::thread::Builder::new().name("nbd".to_owned()).spawn({
            let (listener, client) = (Arc::clone(&listener), Arc::clone(&client));
            move || serve(&listener, &client, &*export)
        })?;
        Ok(Self {
            listener,
            client,
            thread: Some(thread),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both end what the thread waits for; that there is nobody any more is no error.
        self.client.close();
        let _ = rustix::net::shutdown(&*self.listener, Shutdown::Both);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of a guest's disk panicked");
        }
    }
}

/// The connection that is served now, so that it can be ended.
#[derive(Default)]
struct Client(Mutex<Served>);

#[derive(Default)]
struct Served {
    closed: bool,
    stream: Option<UnixStream>,
}

impl Client {
    /// Remembers a connection; `false` if there are to be no more.
    fn set(&self, stream: Option<UnixStream>) -> bool {
        let mut served = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        served.stream = stream;
        !served.closed
    }

    fn close(&self) {
        let mut served = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        served.closed = true;
        if let Some(stream) = &served.stream {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn serve(listener: &UnixListener, client: &Client, export: &dyn Export) {
    // An error is the shutdown of the listener.
    while let Ok((mut stream, _)) = listener.accept() {
        let Ok(other) = stream.try_clone() else {
            continue;
        };
        if !client.set(Some(other)) {
            return;
        }
        let served = handshake::handshake(&mut stream, export.size()).and_then(|goes_on| {
            if goes_on {
                transmission::transmission(&mut stream, export)
            } else {
                Ok(())
            }
        });
        client.set(None);
        match served {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                tracing::warn!(%error, "a client of a guest's disk is hung up on");
            }
            Err(error) => tracing::debug!(%error, "a client of a guest's disk is gone"),
        }
    }
}

/// The client does not keep to the protocol.
fn broken(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

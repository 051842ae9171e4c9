//! A port of the host that leads into a guest.

use super::Dialer;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Listens on loopback, and leads what connects to a port of the guest, until it is dropped.
#[derive(Debug)]
pub struct Forward {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Forward {
    /// Listens on this port of 127.0.0.1; 0 takes a free one.
    ///
    /// # Errors
    /// The port is taken.
    pub async fn start(dialer: Dialer, host_port: u16, guest_port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, host_port)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(lead(dialer.clone(), stream, guest_port));
            }
        });
        Ok(Self { address, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn lead(dialer: Dialer, mut outside: TcpStream, port: u16) {
    match dialer.dial(port).await {
        Ok(mut guest) => {
            let _ended = tokio::io::copy_bidirectional(&mut outside, &mut guest).await;
        }
        Err(error) => tracing::debug!(port, %error, "no connection into the guest"),
    }
}

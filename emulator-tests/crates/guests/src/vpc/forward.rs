//! A port of the host that leads into a guest.

use super::Dialer;
use super::services::pipe;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// How long to wait after a connection could not be accepted (no file descriptor is free).
const AFTER_FAILURE: Duration = Duration::from_millis(50);

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
            // They end with the listener.
            let mut connections = JoinSet::new();
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        connections.spawn(lead(dialer.clone(), stream, guest_port));
                        while connections.try_join_next().is_some() {}
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        sleep(AFTER_FAILURE).await;
                    }
                }
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
            if let Err(error) = pipe(&mut guest, &mut outside).await {
                tracing::debug!(port, %error, "a connection into the guest ended early");
            }
        }
        Err(error) => {
            tracing::debug!(port, %error, "no connection into the guest");
            // Reset: nothing was there that could have ended in order.
            let _still_there = outside.set_zero_linger();
        }
    }
}

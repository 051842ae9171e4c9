//! What serves the connections that the guest begins.

use super::GuestStream;
use super::dns::Names;
use super::lan::Shared;
use super::stack::Service;
use crate::imds;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long the resolver waits for a question on a connection (RFC 7766 section 6.2.3).
const QUESTION: Duration = Duration::from_secs(30);

/// Serves a connection to its end.
pub(super) async fn serve(shared: Arc<Shared>, service: Service, guest: GuestStream) {
    let setup = shared.setup();
    let ended = match service {
        Service::Tls => gateway(guest, setup.gateway_tls).await,
        Service::Plain => gateway(guest, setup.gateway_plain).await,
        Service::Resolver => {
            let names = shared.stack().names();
            resolve(guest, &names).await
        }
        Service::Metadata => {
            imds::serve(guest, shared.imds()).await;
            Ok(())
        }
    };
    if let Err(error) = ended {
        tracing::debug!(?service, %error, "a guest's connection ended early");
    }
}

/// A pipe to the gateway. If it breaks on one side, it is reset on the other.
async fn gateway(mut guest: GuestStream, address: SocketAddr) -> io::Result<()> {
    let mut gateway = TcpStream::connect(address).await?;
    pipe(&mut guest, &mut gateway).await
}

/// Passes bytes in both directions until both sides have shut down.
pub(super) async fn pipe(guest: &mut GuestStream, host: &mut TcpStream) -> io::Result<()> {
    host.set_nodelay(true)?;
    let passed = tokio::io::copy_bidirectional_with_sizes(guest, host, PIECE, PIECE).await;
    if passed.is_err() {
        // Dropped now, it is reset: the other side must not take it for an end.
        let _still_there = host.set_zero_linger();
    }
    passed.map(drop)
}

/// Bytes that are passed at a time.
const PIECE: usize = 64 << 10;

/// The resolver over TCP: each message after its length in two bytes.
async fn resolve(mut guest: GuestStream, names: &Names) -> io::Result<()> {
    loop {
        let mut message = Vec::new();
        let read = async {
            let length = guest.read_u16().await?;
            message.resize(usize::from(length), 0);
            guest.read_exact(&mut message).await
        };
        match timeout(QUESTION, read).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
            _ => return guest.shutdown().await,
        }
        let Some(answer) = names.answer(&message) else {
            return guest.shutdown().await;
        };
        let Ok(length) = u16::try_from(answer.len()) else {
            return guest.shutdown().await;
        };
        let whole = [&length.to_be_bytes()[..], &answer].concat();
        guest.write_all(&whole).await?;
    }
}

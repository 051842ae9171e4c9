//! A lease: obtained, applied to the interface, kept.

use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use super::dhcp::{Ask, Lease, Reply, decode, encode};
use super::link::Link;
use super::netlink::Routing;
use super::packet::PacketSocket;

/// How long to wait for the first answer; it doubles up to [`LONGEST_WAIT`]. Short, because a link
/// that has just come up may drop the first packet.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(16);

/// Least time between two attempts to renew (RFC 2131, 4.4.5).
const RENEW_AGAIN: Duration = Duration::from_secs(60);

/// Obtains a lease, however long that takes.
pub(crate) fn obtain(link: &Link) -> Lease {
    let mut wait = FIRST_WAIT;
    let mut told = false;
    loop {
        match try_once(link, wait) {
            Ok(Some(lease)) => return lease,
            Ok(None) => {}
            // Once: the interface may be down for long.
            Err(error) if !told => {
                say!("warning: DHCP on {}: {error}", link.name);
                told = true;
                thread::sleep(wait);
            }
            Err(_) => thread::sleep(wait),
        }
        wait = wait.saturating_mul(2).min(LONGEST_WAIT);
    }
}

/// One DISCOVER, and a REQUEST for the first offer.
fn try_once(link: &Link, wait: Duration) -> io::Result<Option<Lease>> {
    let socket = PacketSocket::open(link.index)?;
    let transaction = random()?;
    socket.broadcast(&encode(Ask::Discover, transaction, link.mac))?;
    let offer = |message: &[u8]| match decode(message, transaction, link.mac)? {
        Reply::Offer(lease) => Some(lease),
        _ => None,
    };
    let Some(offer) = socket.receive(Instant::now() + wait, offer)? else {
        return Ok(None);
    };
    let ask = Ask::Request {
        address: offer.address,
        server: offer.server,
    };
    socket.broadcast(&encode(ask, transaction, link.mac))?;
    let answer = |message: &[u8]| match decode(message, transaction, link.mac)? {
        Reply::Acknowledge(lease) => Some(Some(lease)),
        Reply::Refuse => Some(None),
        Reply::Offer(_) => None,
    };
    Ok(socket.receive(Instant::now() + wait, answer)?.flatten())
}

/// Sets the interface up as the lease says, instead of as `before` said.
pub(crate) fn apply(
    routing: &Routing,
    link: &Link,
    lease: &Lease,
    before: Option<&Lease>,
) -> io::Result<()> {
    if let Some(mtu) = lease.mtu
        && let Err(error) = routing.set_mtu(link.index, mtu)
    {
        say!(
            "warning: {} does not take an MTU of {mtu}: {error}",
            link.name
        );
    }
    if let Some(before) = before
        && (before.address, before.prefix) != (lease.address, lease.prefix)
    {
        // It may be gone with the interface.
        let _ = routing.remove_address(link.index, before.address, before.prefix);
    }
    routing.add_address(link.index, lease.address, lease.prefix)?;
    match lease.router {
        Some(router) => routing.set_default_route(link.index, router),
        None => Ok(()),
    }
}

/// Waits until the lease is to be renewed and returns the next one: the same address renewed, or a
/// new one when that was refused or came too late.
pub(crate) fn next(link: &Link, lease: &Lease) -> Lease {
    let start = Instant::now();
    let after = |seconds: u32| Duration::from_secs(u64::from(seconds));
    let until_expiry = after(lease.seconds);
    thread::sleep(after(lease.renew));
    while start.elapsed() < until_expiry {
        let server = if start.elapsed() < after(lease.rebind) {
            lease.server
        } else {
            Ipv4Addr::BROADCAST
        };
        match renew(link, lease.address, server) {
            Ok(Some(Reply::Acknowledge(renewed))) => return renewed,
            Ok(Some(Reply::Refuse)) => {
                say!("the DHCP server takes {} back", lease.address);
                return obtain(link);
            }
            // A host that can't be reached now may be back in a minute.
            Ok(_) | Err(_) => {
                let left = until_expiry.saturating_sub(start.elapsed());
                thread::sleep((left / 2).max(RENEW_AGAIN).min(left));
            }
        }
    }
    say!("warning: the lease of {} ran out", lease.address);
    obtain(link)
}

/// Asks to keep the address, from the address itself.
fn renew(link: &Link, address: Ipv4Addr, server: Ipv4Addr) -> io::Result<Option<Reply>> {
    const WAIT: Duration = Duration::from_secs(4);
    let socket = UdpSocket::bind((address, 68))?;
    socket.set_broadcast(true)?;
    let transaction = random()?;
    socket.send_to(
        &encode(Ask::Renew { address }, transaction, link.mac),
        (server, 67),
    )?;
    let deadline = Instant::now() + WAIT;
    let mut buffer = [0; 2048];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left))?;
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        let reply = buffer
            .get(..length)
            .and_then(|raw| decode(raw, transaction, link.mac));
        if reply.is_some() {
            return Ok(reply);
        }
    }
}

/// A number that others on the link can't guess. Never waits for the kernel's generator.
fn random() -> io::Result<u32> {
    let mut raw = [0; 4];
    File::open("/dev/urandom")?.read_exact(&mut raw)?;
    Ok(u32::from_ne_bytes(raw))
}

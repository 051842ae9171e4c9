//! The router, free of tasks and sockets of the host: frames in, frames out, connections between.

use super::addresses::{LINK_LOCAL_RESOLVER, METADATA};
use super::datagram::Datagram;
use super::device::{MTU, Queue};
use super::dhcp::{self, Dhcp};
use super::dns::{self, Names};
use super::link::{Incoming, Link};
use super::{Addresses, LanSetup};
use crate::imds;
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    EthernetProtocol, HardwareAddress, IpAddress, IpEndpoint, IpListenEndpoint, IpProtocol,
    Ipv4Packet, Ipv4Repr, TcpPacket,
};
use std::net::{Ipv4Addr, SocketAddrV4};

/// Connections with a guest at one time, those that are being closed among them.
pub const MOST_CONNECTIONS: usize = 256;
/// Bytes that a connection holds in each direction.
const BUFFER: usize = 64 << 10;
/// A guest that says nothing for this long is gone. A host with many guests makes them wait.
const SILENCE: Duration = Duration::from_secs(120);
/// How often a guest that says nothing is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long a connection that was shut down waits for the guest to do the same.
const LINGER: Duration = Duration::from_secs(30);
/// Ports that connections into the guest come from.
const EPHEMERAL: std::ops::RangeInclusive<u16> = 32768..=60999;

/// Who a connection from the guest is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// The gateway, over TLS.
    Tls,
    /// The gateway, without.
    Plain,
    /// The instance metadata service.
    Metadata,
    /// The resolver.
    Resolver,
}

/// The router.
pub(super) struct Stack {
    interface: Interface,
    sockets: SocketSet<'static>,
    queue: Queue,
    link: Link,
    private_ip: Ipv4Addr,
    addresses: Addresses,
    dhcp: Dhcp,
    names: Names,
    /// Sockets that nobody holds any more, and when they end at the latest.
    left: Vec<(SocketHandle, Instant)>,
    /// How many sockets there are.
    open: usize,
    /// Connections that the guest has begun, for whoever serves them.
    begun: Vec<(Service, SocketHandle)>,
    next_port: u16,
    ended: bool,
}

/// Why a connection into the guest can't be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// There are [`MOST_CONNECTIONS`].
    #[error("there are {MOST_CONNECTIONS} connections with the guest already")]
    Full,
    /// The network is gone.
    #[error("the guest's network has ended")]
    Ended,
    /// Port 0, or the like.
    #[error("there is no such address")]
    Address,
}

impl Stack {
    pub(super) fn new(setup: &LanSetup) -> Self {
        let link = Link::new(setup);
        let mut queue = Queue::new(link);
        let addresses = Addresses::of(setup.subnet);
        let region = setup.metadata.facts().map(|facts| facts.instance.region);
        let (host, domain) = imds::names(setup.private_ip, region.as_ref());
        Self {
            interface: interface(setup, &mut queue),
            sockets: SocketSet::new(Vec::new()),
            link,
            private_ip: setup.private_ip,
            addresses,
            dhcp: Dhcp::new(setup, MTU, &host, &domain),
            names: Names {
                services: addresses.services,
                own: (format!("{host}.{domain}"), setup.private_ip),
            },
            queue,
            left: Vec::new(),
            open: 0,
            begun: Vec::new(),
            next_port: *EPHEMERAL.start(),
            ended: false,
        }
    }

    /// Takes a frame from the guest.
    pub(super) fn receive(&mut self, now: Instant, frame: &[u8]) {
        match self.link.look(frame) {
            Incoming::Nothing => {}
            Incoming::Arp(answer) => {
                let mut bytes = vec![0; answer.buffer_len()];
                answer.emit(&mut smoltcp::wire::ArpPacket::new_unchecked(&mut bytes[..]));
                self.queue.send(EthernetProtocol::Arp, false, &bytes);
            }
            Incoming::Packet(header, packet) => self.packet(now, &header, packet),
        }
    }

    fn packet(&mut self, now: Instant, header: &Ipv4Repr, packet: &[u8]) {
        if let Some(datagram) = Datagram::read(header, packet)
            && let Some(answered) = self.datagram(&datagram)
        {
            if let Some((answer, broadcast)) = answered {
                self.queue.send(EthernetProtocol::Ipv4, broadcast, &answer);
            }
            return;
        }
        // Who has no address yet has nothing to say but to the DHCP server.
        if header.src_addr.is_unspecified() || header.dst_addr.is_broadcast() {
            return;
        }
        let segment = segment(header, packet);
        let mut begins = None;
        if let Some(segment) = &segment {
            match self.listens(segment) {
                Ok(socket) => begins = socket,
                Err(_) => return,
            }
        }
        self.queue.put(packet);
        self.interface
            .poll_ingress_single(now, &mut self.queue, &mut self.sockets);
        if begins.is_some() || segment.is_some_and(|it| it.is_reset) {
            self.begun.extend(begins);
            self.forget_listening();
        }
    }

    /// What a datagram is answered with, if it is for the DHCP server or the resolver.
    fn datagram(&self, datagram: &Datagram<'_>) -> Option<Option<(Vec<u8>, bool)>> {
        let to = *datagram.to.ip();
        match datagram.to.port() {
            dhcp::SERVER_PORT if to.is_broadcast() || to == self.addresses.router => {
                Some(self.dhcp.answer(datagram))
            }
            dns::PORT if to == self.addresses.resolver || to == LINK_LOCAL_RESOLVER => {
                let answer = self.names.answer(datagram.payload).and_then(|payload| {
                    Datagram {
                        from: datagram.to,
                        to: datagram.from,
                        payload: &payload,
                    }
                    .packet()
                });
                Some(answer.map(|packet| (packet, false)))
            }
            _ => None,
        }
    }

    /// Makes a socket for the first segment of a connection that is served, if this is one; an error
    /// if the segment is to be dropped, as a server drops those that its backlog has no room for.
    fn listens(&mut self, segment: &Segment) -> Result<Option<(Service, SocketHandle)>, Refused> {
        let &Segment { from, to, .. } = segment;
        // Nobody serves it: smoltcp refuses it.
        let Some(service) = self.service(to).filter(|_| segment.is_first) else {
            return Ok(None);
        };
        let earlier = self.sockets.iter().find_map(|(handle, socket)| {
            let smoltcp::socket::Socket::Tcp(socket) = socket else {
                return None;
            };
            let is_same = socket.state() != State::Closed
                && socket.remote_endpoint() == Some(endpoint(from))
                && socket.local_endpoint() == Some(endpoint(to));
            is_same.then(|| (handle, socket.state()))
        });
        match earlier {
            None => {}
            // The guest may use its port again (RFC 9293 section 3.6.1): on this wire, no segment is
            // late.
            Some((handle, State::TimeWait)) => self.forget(handle),
            Some(_) => return Ok(None),
        }
        let mut socket = self.socket().ok_or(Refused::Full)?;
        let at = IpListenEndpoint {
            addr: Some(IpAddress::Ipv4(*to.ip())),
            port: to.port(),
        };
        if socket.listen(at).is_err() {
            return Ok(None);
        }
        Ok(Some((service, self.add(socket))))
    }

    /// Forgets the sockets that wait for a first segment: theirs went elsewhere, or a reset came
    /// after it, which brings a socket back to where it was. Each is for one connection.
    fn forget_listening(&mut self) {
        let waits = |socket: &smoltcp::socket::Socket<'_>| matches!(socket, smoltcp::socket::Socket::Tcp(it) if it.state() == State::Listen);
        let waiting: Vec<SocketHandle> = self
            .sockets
            .iter()
            .filter(|(_, socket)| waits(socket))
            .map(|(handle, _)| handle)
            .collect();
        for handle in waiting {
            self.forget(handle);
        }
    }

    /// Forgets a socket; whoever holds it finds it reset.
    fn forget(&mut self, handle: SocketHandle) {
        let before = self.begun.len() + self.left.len();
        self.begun.retain(|&(_, it)| it != handle);
        self.left.retain(|&(it, _)| it != handle);
        if self.begun.len() + self.left.len() < before {
            self.sockets.remove(handle);
            self.open -= 1;
        } else {
            self.tcp(handle).abort();
        }
    }

    /// Who serves an address.
    fn service(&self, to: SocketAddrV4) -> Option<Service> {
        let services = self.addresses.services;
        let resolver = self.addresses.resolver;
        match (*to.ip(), to.port()) {
            (ip, 443) if ip == services => Some(Service::Tls),
            (ip, 80) if ip == services => Some(Service::Plain),
            (METADATA, 80) => Some(Service::Metadata),
            (ip, dns::PORT) if ip == resolver || ip == LINK_LOCAL_RESOLVER => {
                Some(Service::Resolver)
            }
            _ => None,
        }
    }

    /// Begins a connection into the guest, from an address that the guest is to see.
    pub(super) fn connect(&mut self, from: Ipv4Addr, port: u16) -> Result<SocketHandle, Refused> {
        if self.ended {
            return Err(Refused::Ended);
        }
        let mut socket = self.socket().ok_or(Refused::Full)?;
        let local = self.ephemeral();
        let to = IpEndpoint::new(IpAddress::Ipv4(self.private_ip), port);
        let from = IpEndpoint::new(IpAddress::Ipv4(from), local);
        socket
            .connect(self.interface.context(), to, from)
            .map_err(|_| Refused::Address)?;
        Ok(self.add(socket))
    }

    /// A port that no connection has: there are many more than connections.
    fn ephemeral(&mut self) -> u16 {
        loop {
            let port = self.next_port;
            self.next_port = match port.checked_add(1) {
                Some(next) if EPHEMERAL.contains(&next) => next,
                _ => *EPHEMERAL.start(),
            };
            let taken = self.sockets.iter().any(|(_, socket)| {
                matches!(socket, smoltcp::socket::Socket::Tcp(socket)
                    if socket.local_endpoint().is_some_and(|it| it.port == port))
            });
            if !taken {
                return port;
            }
        }
    }

    /// A new socket, if there is room for one.
    fn socket(&mut self) -> Option<Socket<'static>> {
        if self.ended {
            return None;
        }
        if self.open >= MOST_CONNECTIONS {
            self.forget_waiting();
        }
        if self.open >= MOST_CONNECTIONS {
            return None;
        }
        let buffer = || SocketBuffer::new(vec![0; BUFFER]);
        let mut socket = Socket::new(buffer(), buffer());
        // What there is to send is sent at once, and a round of frames is acknowledged at its end.
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        socket.set_timeout(Some(SILENCE));
        socket.set_keep_alive(Some(KEEP_ALIVE));
        Some(socket)
    }

    fn add(&mut self, socket: Socket<'static>) -> SocketHandle {
        self.open += 1;
        self.sockets.add(socket)
    }

    /// Connections that the guest has begun since the last time.
    pub(super) fn begun(&mut self) -> Vec<(Service, SocketHandle)> {
        std::mem::take(&mut self.begun)
    }

    /// The socket of a handle, which whoever holds it has not left yet.
    pub(super) fn tcp(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Takes a socket back: what was shut down is closed in order, what was not is reset.
    pub(super) fn leave(&mut self, now: Instant, handle: SocketHandle, shut_down: bool) {
        let socket = self.tcp(handle);
        if !shut_down {
            socket.abort();
        }
        self.left.push((handle, now + LINGER));
    }

    /// Makes the frames that are due, as far as there is room, and forgets what is closed.
    pub(super) fn send(&mut self, now: Instant) {
        self.interface.poll_maintenance(now);
        while self
            .interface
            .poll_egress(now, &mut self.queue, &mut self.sockets)
            == PollResult::SocketStateChanged
        {}
        self.forget_closed(now);
    }

    fn forget_closed(&mut self, now: Instant) {
        let sockets = &mut self.sockets;
        let before = self.left.len();
        self.left.retain(|&(handle, end)| {
            let socket: &mut Socket = sockets.get_mut(handle);
            // Closed, and with no reset left to send.
            let gone = socket.state() == State::Closed && socket.remote_endpoint().is_none();
            if !gone && now >= end {
                socket.abort();
            }
            if gone {
                sockets.remove(handle);
            }
            !gone
        });
        self.open -= before - self.left.len();
    }

    /// Makes room: connections that only wait for late segments may go, and those that are closed,
    /// which no one sees to as long as there is no QEMU.
    fn forget_waiting(&mut self) {
        let sockets = &mut self.sockets;
        let before = self.left.len();
        self.left.retain(|&(handle, _)| {
            let state = sockets.get::<Socket>(handle).state();
            let waits = matches!(state, State::TimeWait | State::Closed);
            if waits {
                sockets.remove(handle);
            }
            !waits
        });
        self.open -= before - self.left.len();
    }

    /// When frames are due next, at the latest; `None` if nothing waits but for the guest or for
    /// room.
    pub(super) fn due(&mut self, now: Instant) -> Option<Duration> {
        if !self.queue.has_room() {
            return None;
        }
        let sockets = self.interface.poll_delay(now, &self.sockets);
        let left = self.left.iter().map(|&(_, end)| end).min();
        let left = left.map(|end| if end > now { end - now } else { Duration::ZERO });
        [sockets, left].into_iter().flatten().min()
    }

    /// What the resolver knows.
    pub(super) fn names(&self) -> Names {
        self.names.clone()
    }

    /// Whether there is room for what a frame may be answered with.
    pub(super) fn has_room(&self) -> bool {
        self.queue.has_room()
    }

    /// Frames for QEMU.
    pub(super) fn take(&mut self) -> bytes::BytesMut {
        self.queue.take()
    }

    /// Breaks all connections: the guest is gone, or has another router now.
    pub(super) fn reset(&mut self, setup: &LanSetup) {
        for (_, socket) in self.sockets.iter_mut() {
            if let smoltcp::socket::Socket::Tcp(socket) = socket {
                socket.abort();
            }
        }
        self.queue = Queue::new(self.link);
        self.interface = interface(setup, &mut self.queue);
    }

    /// Breaks all connections, and lets none begin.
    pub(super) fn end(&mut self, setup: &LanSetup) {
        self.reset(setup);
        self.ended = true;
    }
}

/// An interface that has every address: what is not served is refused in the name of whoever it
/// was for.
fn interface(setup: &LanSetup, queue: &mut Queue) -> Interface {
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = setup.seed;
    let mut interface = Interface::new(config, queue, Instant::ZERO);
    let router = IpAddress::Ipv4(Addresses::of(setup.subnet).router);
    interface.update_ip_addrs(|addresses| {
        // There is room for two.
        let _pushed = addresses.push(smoltcp::wire::IpCidr::new(router, setup.subnet.bits()));
    });
    interface.set_any_ip(true);
    interface
}

/// A TCP segment, as far as it decides about sockets.
struct Segment {
    from: SocketAddrV4,
    to: SocketAddrV4,
    /// The first of a connection.
    is_first: bool,
    is_reset: bool,
}

/// The segment in a packet, if there is a sound one.
fn segment(header: &Ipv4Repr, packet: &[u8]) -> Option<Segment> {
    if header.next_header != IpProtocol::Tcp {
        return None;
    }
    let packet = Ipv4Packet::new_checked(packet).ok()?;
    let segment = TcpPacket::new_checked(packet.payload()).ok()?;
    let is_first = segment.syn() && !segment.ack() && !segment.rst() && !segment.fin();
    // All others are smoltcp's to check.
    let (from, to) = (header.src_addr.into(), header.dst_addr.into());
    if is_first && !segment.verify_checksum(&from, &to) {
        return None;
    }
    Some(Segment {
        from: SocketAddrV4::new(header.src_addr, segment.src_port()),
        to: SocketAddrV4::new(header.dst_addr, segment.dst_port()),
        is_first,
        is_reset: segment.rst(),
    })
}

fn endpoint(address: SocketAddrV4) -> IpEndpoint {
    IpEndpoint::new(IpAddress::Ipv4(*address.ip()), address.port())
}

//! A guest: a network stack on a UNIX socket, polled by the test that has it.

use super::{MAC, PRIVATE_IP, ROUTER};
use bytes::{Buf, BytesMut};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant as SmolInstant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// Frames in, frames out.
#[derive(Default)]
pub struct Wire {
    pub incoming: VecDeque<Vec<u8>>,
    pub outgoing: Vec<u8>,
    /// All that came, as long as a test wants to know.
    pub seen: Option<Vec<Vec<u8>>>,
}

pub struct Rx(Vec<u8>);
pub struct Tx<'a>(&'a mut Vec<u8>);

impl RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        self.0.extend_from_slice(&(length as u32).to_be_bytes());
        let start = self.0.len();
        self.0.resize(start + length, 0);
        write(&mut self.0[start..])
    }
}

impl Device for Wire {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _now: SmolInstant) -> Option<(Rx, Tx<'_>)> {
        let frame = self.incoming.pop_front()?;
        Some((Rx(frame), Tx(&mut self.outgoing)))
    }

    fn transmit(&mut self, _now: SmolInstant) -> Option<Tx<'_>> {
        (self.outgoing.len() < 1 << 20).then_some(Tx(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 9001 + 14;
        capabilities
    }
}

pub struct Guest {
    pub interface: Interface,
    pub sockets: SocketSet<'static>,
    pub wire: Wire,
    stream: UnixStream,
    input: BytesMut,
    start: Instant,
    /// That of the last connection.
    pub port: u16,
}

impl Guest {
    /// Connects as QEMU does; with an address, or without one yet.
    pub async fn connect(path: &Path, has_address: bool) -> Self {
        let stream = UnixStream::connect(path).await.unwrap();
        let mut wire = Wire::default();
        let address = HardwareAddress::Ethernet(EthernetAddress(MAC));
        let mut interface = Interface::new(Config::new(address), &mut wire, SmolInstant::ZERO);
        if has_address {
            interface.update_ip_addrs(|all| {
                all.push(IpCidr::new(PRIVATE_IP.into(), 20)).unwrap();
            });
            interface
                .routes_mut()
                .add_default_ipv4_route(ROUTER)
                .unwrap();
        }
        Self {
            interface,
            sockets: SocketSet::new(Vec::new()),
            wire,
            stream,
            input: BytesMut::new(),
            start: Instant::now(),
            port: 40_000,
        }
    }

    /// Goes on until there is something.
    pub async fn until<T>(&mut self, mut there: impl FnMut(&mut Self) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            let now = SmolInstant::from_micros(self.start.elapsed().as_micros() as i64);
            self.interface.poll(now, &mut self.wire, &mut self.sockets);
            if let Some(found) = there(self) {
                // What was said last is to get there.
                let now = SmolInstant::from_micros(self.start.elapsed().as_micros() as i64);
                self.interface.poll(now, &mut self.wire, &mut self.sockets);
                let rest = std::mem::take(&mut self.wire.outgoing);
                self.stream.write_all(&rest).await.unwrap();
                return found;
            }
            assert!(Instant::now() < end, "it takes too long");
            let wait = self.interface.poll_delay(now, &self.sockets);
            let wait = wait.map_or(Duration::from_millis(20), Duration::from);
            let wait = wait.clamp(Duration::from_millis(1), Duration::from_millis(20));
            self.pass(wait).await;
        }
    }

    /// Passes frames, for so long at most.
    async fn pass(&mut self, wait: Duration) {
        let (mut reader, mut writer) = self.stream.split();
        self.input.reserve(1 << 17);
        tokio::select! {
            written = writer.write(&self.wire.outgoing), if !self.wire.outgoing.is_empty() => {
                self.wire.outgoing.drain(..written.unwrap());
            }
            read = reader.read_buf(&mut self.input) => {
                assert_ne!(read.unwrap(), 0, "the router hung up");
            }
            () = tokio::time::sleep(wait) => {}
        }
        while let Some(length) = self.input.first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            if self.input.len() < 4 + length {
                break;
            }
            self.input.advance(4);
            let frame = self.input.split_to(length).to_vec();
            if let Some(seen) = &mut self.wire.seen {
                seen.push(frame.clone());
            }
            self.wire.incoming.push_back(frame);
        }
    }

    /// Sends a frame as it is.
    pub fn put(&mut self, frame: &[u8]) {
        let length = (frame.len() as u32).to_be_bytes();
        self.wire.outgoing.extend_from_slice(&length);
        self.wire.outgoing.extend_from_slice(frame);
    }

    /// Begins a connection.
    pub fn open(&mut self, to: Ipv4Addr, port: u16) -> SocketHandle {
        let mut socket = tcp();
        self.port += 1;
        socket
            .connect(
                self.interface.context(),
                (IpAddress::Ipv4(to), port),
                self.port,
            )
            .unwrap();
        self.sockets.add(socket)
    }

    pub fn tcp(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Waits until a connection is there; false if it was refused.
    pub async fn is_open(&mut self, handle: SocketHandle) -> bool {
        self.until(|guest| match guest.tcp(handle).state() {
            State::Established => Some(true),
            State::Closed => Some(false),
            _ => None,
        })
        .await
    }

    /// Sends all of it.
    pub async fn send(&mut self, handle: SocketHandle, mut data: &[u8]) {
        self.until(|guest| {
            let sent = guest.tcp(handle).send_slice(data).unwrap();
            data = &data[sent..];
            data.is_empty().then_some(())
        })
        .await;
    }

    /// Reads to the end; `None` if it is reset instead.
    pub async fn read_all(&mut self, handle: SocketHandle) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        self.until(|guest| {
            let socket = guest.tcp(handle);
            loop {
                let read = socket.recv(|data| {
                    all.extend_from_slice(data);
                    (data.len(), data.len())
                });
                match read {
                    Ok(0) => return None,
                    Ok(_) => {}
                    Err(smoltcp::socket::tcp::RecvError::Finished) => return Some(true),
                    Err(_) => return Some(false),
                }
            }
        })
        .await
        .then_some(all)
    }

    /// Sends a request on a connection of its own and reads what comes to the end.
    pub async fn ask(&mut self, to: Ipv4Addr, port: u16, request: &str) -> Option<String> {
        let handle = self.open(to, port);
        if !self.is_open(handle).await {
            return None;
        }
        self.send(handle, request.as_bytes()).await;
        let answer = self.read_all(handle).await;
        self.tcp(handle).close();
        answer.map(|answer| String::from_utf8(answer).unwrap())
    }
}

pub fn tcp() -> Socket<'static> {
    let buffer = || SocketBuffer::new(vec![0; 256 << 10]);
    let mut socket = Socket::new(buffer(), buffer());
    socket.set_nagle_enabled(false);
    socket
}

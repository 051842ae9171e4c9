//! Between the link and smoltcp: one packet in, and a queue of frames out.

use super::link::Link;
use bytes::{BufMut, BytesMut};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::EthernetProtocol;

/// The MTU that AWS's VPCs have. A guest with a smaller one says so when it connects.
pub(super) const MTU: u16 = 9001;
/// Bytes that wait for QEMU to take them; beyond, nothing is made that would have to wait, too.
const MOST_QUEUED: usize = 256 << 10;

/// Packets for smoltcp, and frames for QEMU.
pub(super) struct Queue {
    link: Link,
    /// A packet that has come.
    packet: Option<Vec<u8>>,
    /// Frames as QEMU reads them: each after its length.
    frames: BytesMut,
}

impl Queue {
    pub(super) fn new(link: Link) -> Self {
        Self {
            link,
            packet: None,
            frames: BytesMut::new(),
        }
    }

    /// Whether more may be put in.
    pub(super) fn has_room(&self) -> bool {
        self.frames.len() < MOST_QUEUED
    }

    /// Hands smoltcp a packet.
    pub(super) fn put(&mut self, packet: &[u8]) {
        self.packet = Some(packet.to_vec());
    }

    /// Sends a payload to the guest.
    pub(super) fn send(&mut self, kind: EthernetProtocol, broadcast: bool, payload: &[u8]) {
        self.frame(kind, broadcast, payload.len())
            .copy_from_slice(payload);
    }

    /// What QEMU is to be sent.
    pub(super) fn take(&mut self) -> BytesMut {
        std::mem::take(&mut self.frames)
    }

    /// Room for a payload of a frame.
    fn frame(&mut self, kind: EthernetProtocol, broadcast: bool, length: usize) -> &mut [u8] {
        let header = self.link.header(kind, broadcast);
        // Of packets and ARP: below 64 KiB.
        let whole = u32::try_from(header.len() + length).unwrap_or(u32::MAX);
        self.frames.put_u32(whole);
        self.frames.put_slice(&header);
        let start = self.frames.len();
        self.frames.put_bytes(0, length);
        &mut self.frames[start..]
    }
}

impl Device for Queue {
    type RxToken<'a> = Packet;
    type TxToken<'a> = Frame<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Packet, Frame<'_>)> {
        let packet = self.packet.take()?;
        Some((Packet(packet), Frame(self)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Frame<'_>> {
        self.has_room().then_some(Frame(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = usize::from(MTU);
        capabilities
    }
}

/// A packet that has come.
pub(super) struct Packet(Vec<u8>);

impl RxToken for Packet {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

/// Room for a packet.
pub(super) struct Frame<'a>(&'a mut Queue);

impl TxToken for Frame<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        write(self.0.frame(EthernetProtocol::Ipv4, false, length))
    }
}

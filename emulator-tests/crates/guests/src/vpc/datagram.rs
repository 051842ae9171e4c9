//! UDP datagrams, read and written.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr, UDP_HEADER_LEN, UdpPacket, UdpRepr,
};
use std::net::{Ipv4Addr, SocketAddrV4};

/// A datagram.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Datagram<'a> {
    pub(super) from: SocketAddrV4,
    pub(super) to: SocketAddrV4,
    pub(super) payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// The datagram in a packet, if there is a sound one.
    pub(super) fn read(header: &Ipv4Repr, packet: &'a [u8]) -> Option<Self> {
        if header.next_header != IpProtocol::Udp {
            return None;
        }
        let packet = Ipv4Packet::new_checked(packet).ok()?;
        let udp = UdpPacket::new_checked(packet.payload()).ok()?;
        let (from, to) = (header.src_addr, header.dst_addr);
        let ports = UdpRepr::parse(
            &udp,
            &IpAddress::Ipv4(from),
            &IpAddress::Ipv4(to),
            &ChecksumCapabilities::default(),
        )
        .ok()?;
        Some(Self {
            from: SocketAddrV4::new(from, ports.src_port),
            to: SocketAddrV4::new(to, ports.dst_port),
            payload: udp.payload(),
        })
    }

    /// The packet with this datagram in it; `None` if it is too long for one.
    pub(super) fn packet(&self) -> Option<Vec<u8>> {
        let length = UDP_HEADER_LEN + self.payload.len();
        let header = Ipv4Repr {
            src_addr: *self.from.ip(),
            dst_addr: *self.to.ip(),
            next_header: IpProtocol::Udp,
            payload_len: length,
            hop_limit: 64,
        };
        let whole = header.buffer_len() + length;
        u16::try_from(whole).ok()?;
        let mut bytes = vec![0; whole];
        let checksums = ChecksumCapabilities::default();
        let mut packet = Ipv4Packet::new_unchecked(&mut bytes[..]);
        header.emit(&mut packet, &checksums);
        let address = |it: Ipv4Addr| IpAddress::Ipv4(it);
        UdpRepr {
            src_port: self.from.port(),
            dst_port: self.to.port(),
        }
        .emit(
            &mut UdpPacket::new_unchecked(packet.payload_mut()),
            &address(*self.from.ip()),
            &address(*self.to.ip()),
            self.payload.len(),
            |room| room.copy_from_slice(self.payload),
            &checksums,
        );
        Some(bytes)
    }
}

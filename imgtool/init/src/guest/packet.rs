//! UDP before there is an address: whole IP packets through a packet socket (packet(7)).
//!
//! A server may send its offer to the offered address, which the kernel would drop before it is
//! configured.

use std::io;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::ptr;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto,
    socket_with,
};

/// `ETH_P_IP` of linux/if_ether.h.
const ETH_P_IP: u16 = 0x0800;

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
const UDP: u8 = 17;
const IP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;

/// A socket for DHCP on one interface.
pub(crate) struct PacketSocket {
    socket: OwnedFd,
    interface: u32,
}

impl PacketSocket {
    /// On the interface with this index.
    pub(crate) fn open(interface: u32) -> io::Result<Self> {
        let protocol = NonZeroU32::new(u32::from(ETH_P_IP.to_be())).map(Protocol::from_raw);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, protocol)?;
        bind(&socket, &LinkAddress::broadcast(interface))?;
        Ok(Self { socket, interface })
    }

    /// Sends a DHCP message to every server on the link.
    pub(crate) fn broadcast(&self, message: &[u8]) -> io::Result<()> {
        let to = LinkAddress::broadcast(self.interface);
        sendto(&self.socket, &packet(message), SendFlags::empty(), &to)?;
        Ok(())
    }

    /// The next DHCP message that `pick` takes, until `deadline`.
    pub(crate) fn receive<T>(
        &self,
        deadline: Instant,
        mut pick: impl FnMut(&[u8]) -> Option<T>,
    ) -> io::Result<Option<T>> {
        let mut buffer = [0; 2048];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let timeout = Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            poll(
                &mut [PollFd::new(&self.socket, PollFlags::IN)],
                Some(&timeout),
            )?;
            match recv(&self.socket, &mut buffer, RecvFlags::empty()) {
                Ok((_, length)) => {
                    let received = buffer.get(..length).and_then(payload).and_then(&mut pick);
                    if received.is_some() {
                        return Ok(received);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// `struct sockaddr_ll` of linux/if_packet.h.
#[repr(C)]
struct LinkAddress {
    family: u16,
    protocol: u16,
    interface: i32,
    hardware_type: u16,
    packet_type: u8,
    length: u8,
    address: [u8; 8],
}

impl LinkAddress {
    /// Every station on the interface's link.
    fn broadcast(interface: u32) -> Self {
        Self {
            family: AddressFamily::PACKET.as_raw(),
            protocol: ETH_P_IP.to_be(),
            interface: interface.cast_signed(),
            hardware_type: 0,
            packet_type: 0,
            length: 6,
            address: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0],
        }
    }
}

// SAFETY: the pointer is to a `sockaddr_ll`, which the kernel accepts as a socket address, and the
// length is its size.
#[allow(unsafe_code)]
unsafe impl SocketAddrArg for LinkAddress {
    unsafe fn with_sockaddr<R>(
        &self,
        f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        f(
            ptr::from_ref(self).cast(),
            size_of::<Self>() as SocketAddrLen,
        )
    }
}

/// An IP packet with a UDP datagram from 0.0.0.0:68 to 255.255.255.255:67 (RFC 791, RFC 768).
fn packet(message: &[u8]) -> Vec<u8> {
    let udp_length = (UDP_HEADER + message.len()) as u16;
    let mut packet = vec![0; IP_HEADER];
    // Version 4, five words of header; time to live 64.
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&(IP_HEADER as u16 + udp_length).to_be_bytes());
    packet[8] = 64;
    packet[9] = UDP;
    packet[12..16].copy_from_slice(&Ipv4Addr::UNSPECIFIED.octets());
    packet[16..20].copy_from_slice(&Ipv4Addr::BROADCAST.octets());
    let checksum = checksum(&packet);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet.extend(CLIENT_PORT.to_be_bytes());
    packet.extend(SERVER_PORT.to_be_bytes());
    packet.extend(udp_length.to_be_bytes());
    // A checksum of 0 means that there is none.
    packet.extend([0; 2]);
    packet.extend(message);
    packet
}

/// The ones' complement sum of RFC 1071, for an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks_exact(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The UDP payload of a packet to the client's port. Checksums are not looked at: with a virtual
/// network card they may be left to a device that does not exist.
fn payload(packet: &[u8]) -> Option<&[u8]> {
    let version_and_length = *packet.first()?;
    let header = usize::from(version_and_length & 15) * 4;
    let total = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    let packet = packet.get(..total)?;
    // Neither "more fragments" nor an offset.
    let whole = packet.get(6)? & 0x3f == 0 && *packet.get(7)? == 0;
    if version_and_length >> 4 != 4 || header < IP_HEADER || !whole || *packet.get(9)? != UDP {
        return None;
    }
    let (udp, rest) = packet.get(header..)?.split_at_checked(UDP_HEADER)?;
    let ports = (
        u16::from_be_bytes([udp[0], udp[1]]),
        u16::from_be_bytes([udp[2], udp[3]]),
    );
    let length = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
    (ports == (SERVER_PORT, CLIENT_PORT))
        .then(|| rest.get(..length.checked_sub(UDP_HEADER)?))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet as a server would send it.
    fn reply() -> Vec<u8> {
        let mut packet = packet(b"message!");
        packet[20..24].copy_from_slice(&[0, 67, 0, 68]);
        packet
    }

    #[test]
    fn a_reply_gives_its_payload() {
        assert_eq!(payload(&reply()), Some(&b"message!"[..]));
        // Ethernet pads short packets.
        let mut padded = reply();
        padded.extend([0; 20]);
        assert_eq!(payload(&padded), Some(&b"message!"[..]));
    }

    #[test]
    fn other_packets_and_broken_ones_give_nothing() {
        let good = reply();
        for length in 0..good.len() {
            assert_eq!(payload(&good[..length]), None, "{length} bytes");
        }
        for (at, byte) in [
            (0, 0x65),
            (0, 0x44),
            (0, 0x4f),
            (3, 10),
            (6, 0x20),
            (7, 1),
            (9, 6),
        ] {
            let mut packet = good.clone();
            packet[at] = byte;
            assert_eq!(payload(&packet), None, "byte {at}");
        }
        for (at, byte) in [(21, 68), (23, 67), (24, 255), (25, 7)] {
            let mut packet = good.clone();
            packet[at] = byte;
            assert_eq!(payload(&packet), None, "byte {at}");
        }
    }

    #[test]
    fn the_header_sums_to_zero() {
        assert_eq!(checksum(&packet(b"x")[..20]), 0);
        // The example of RFC 1071, section 3.
        assert_eq!(
            checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
            !0xddf2
        );
    }
}

//! Ethernet and ARP: what comes from the guest, and how what goes to it is addressed.

use super::{LanSetup, Prefix};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, Ipv4Packet,
    Ipv4Repr,
};
use std::net::Ipv4Addr;

/// The router's hardware address: locally administered, and none that an instance is given.
const ROUTER: EthernetAddress = EthernetAddress([0x02, 0, 0, 0, 0, 0x01]);
/// Bytes of an Ethernet header.
pub(super) const ETHERNET_HEADER: usize = 14;

/// What a frame is to the router.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming<'a> {
    /// Nothing: not for it, not from the guest, or not understood.
    Nothing,
    /// A question for a hardware address; the answer.
    Arp(ArpRepr),
    /// A packet from the guest, whose header is sound.
    Packet(Ipv4Repr, &'a [u8]),
}

/// The guest's side of the router.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    guest: EthernetAddress,
    private_ip: Ipv4Addr,
    subnet: Prefix,
}

impl Link {
    pub(super) fn new(setup: &LanSetup) -> Self {
        Self {
            guest: EthernetAddress(setup.mac),
            private_ip: setup.private_ip,
            subnet: setup.subnet,
        }
    }

    /// Looks at a frame. As on AWS, whatever has another source than the guest's own addresses is
    /// dropped, and there is no broadcast or multicast but for DHCP and ARP.
    pub(super) fn look<'a>(&self, frame: &'a [u8]) -> Incoming<'a> {
        self.read(frame).unwrap_or(Incoming::Nothing)
    }

    fn read<'a>(&self, bytes: &'a [u8]) -> Option<Incoming<'a>> {
        let frame = EthernetFrame::new_checked(bytes).ok()?;
        if frame.src_addr() != self.guest
            || (frame.dst_addr() != ROUTER && !frame.dst_addr().is_broadcast())
        {
            return None;
        }
        match frame.ethertype() {
            EthernetProtocol::Arp => self.arp(frame.payload()).map(Incoming::Arp),
            EthernetProtocol::Ipv4 => {
                let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
                // No fragments either: nothing here needs them.
                let header = Ipv4Repr::parse(&packet, &ChecksumCapabilities::default()).ok()?;
                let length = usize::from(packet.total_len());
                (header.src_addr == self.private_ip || header.src_addr.is_unspecified())
                    .then(|| Incoming::Packet(header, &frame.payload()[..length]))
            }
            _ => None,
        }
    }

    /// The router has every address of the subnet but the guest's own, and the link-local ones.
    fn arp(&self, payload: &[u8]) -> Option<ArpRepr> {
        let packet = ArpPacket::new_checked(payload).ok()?;
        let ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr,
            source_protocol_addr,
            target_protocol_addr: asked,
            ..
        } = ArpRepr::parse(&packet).ok()?
        else {
            return None;
        };
        // The guest asks for its own to see whether someone else has it.
        let ours = self.subnet.contains(asked) || asked.is_link_local();
        (ours && asked != self.private_ip).then_some(ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Reply,
            source_hardware_addr: ROUTER,
            source_protocol_addr: asked,
            target_hardware_addr: source_hardware_addr,
            target_protocol_addr: source_protocol_addr,
        })
    }

    /// The header of what goes to the guest.
    pub(super) fn header(&self, kind: EthernetProtocol, broadcast: bool) -> [u8; ETHERNET_HEADER] {
        let mut header = [0; ETHERNET_HEADER];
        let mut frame = EthernetFrame::new_unchecked(&mut header[..]);
        frame.set_src_addr(ROUTER);
        frame.set_dst_addr(if broadcast {
            EthernetAddress::BROADCAST
        } else {
            self.guest
        });
        frame.set_ethertype(kind);
        header
    }
}

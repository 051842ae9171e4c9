//! The DHCP server (RFC 2131): one client, one address.

use super::datagram::Datagram;
use super::{Addresses, LanSetup};
use smoltcp::wire::{
    DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress, Ipv4Address,
};
use std::net::{Ipv4Addr, SocketAddrV4};

/// The server's port.
pub(super) const SERVER_PORT: u16 = 67;
/// The client's port.
const CLIENT_PORT: u16 = 68;
/// AWS's leases last an hour.
const LEASE_SECONDS: u32 = 3600;
/// A message is at least this long: some clients take none that is shorter than BOOTP's (RFC 1542
/// section 2.1).
const SHORTEST: usize = 300;

/// Options (RFC 2132) that smoltcp does not write, or writes for few.
const DOMAIN_NAME_SERVER: u8 = 6;
const HOST_NAME: u8 = 12;
const DOMAIN_NAME: u8 = 15;
const INTERFACE_MTU: u8 = 26;

/// What the server gives.
#[derive(Clone, Debug)]
pub(super) struct Dhcp {
    mac: EthernetAddress,
    private_ip: Ipv4Addr,
    mask: Ipv4Addr,
    addresses: Addresses,
    mtu: u16,
    /// `ip-172-31-0-5` and `ec2.internal`.
    host: String,
    domain: String,
}

impl Dhcp {
    /// For the guest of this setup, whose name is `host` in `domain`.
    pub(super) fn new(setup: &LanSetup, mtu: u16, host: &str, domain: &str) -> Self {
        Self {
            mac: EthernetAddress(setup.mac),
            private_ip: setup.private_ip,
            mask: setup.subnet.mask(),
            addresses: Addresses::of(setup.subnet),
            mtu,
            host: host.to_owned(),
            domain: domain.to_owned(),
        }
    }

    /// The packet that answers a message, and whether it is for everyone on the link.
    pub(super) fn answer(&self, message: &Datagram<'_>) -> Option<(Vec<u8>, bool)> {
        let packet = DhcpPacket::new_checked(message.payload).ok()?;
        let asked = DhcpRepr::parse(&packet).ok()?;
        let kind = self.kind(&asked)?;
        let gives = kind != DhcpMessageType::Nak;
        let inform = asked.message_type == DhcpMessageType::Inform;
        let mtu = self.mtu.to_be_bytes();
        let resolver = self.addresses.resolver.octets();
        let options = [
            option(DOMAIN_NAME_SERVER, &resolver),
            option(HOST_NAME, self.host.as_bytes()),
            option(DOMAIN_NAME, self.domain.as_bytes()),
            option(INTERFACE_MTU, &mtu),
        ];
        let answer = DhcpRepr {
            message_type: kind,
            transaction_id: asked.transaction_id,
            secs: 0,
            client_hardware_address: asked.client_hardware_address,
            client_ip: if gives {
                asked.client_ip
            } else {
                Ipv4Address::UNSPECIFIED
            },
            your_ip: if gives && !inform {
                self.private_ip
            } else {
                Ipv4Address::UNSPECIFIED
            },
            server_ip: self.addresses.router,
            router: gives.then_some(self.addresses.router),
            subnet_mask: gives.then_some(self.mask),
            relay_agent_ip: asked.relay_agent_ip,
            broadcast: asked.broadcast,
            requested_ip: None,
            client_identifier: None,
            server_identifier: Some(self.addresses.router),
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            lease_duration: (gives && !inform).then_some(LEASE_SECONDS),
            renew_duration: None,
            rebind_duration: None,
            additional_options: if gives { &options } else { &[] },
        };
        let mut payload = vec![0; answer.buffer_len().max(SHORTEST)];
        answer
            .emit(&mut DhcpPacket::new_unchecked(&mut payload[..]))
            .ok()?;
        // Who has an address is answered there; who has none takes the one that it is given, or
        // asks for a broadcast (RFC 2131 section 4.1).
        let to = match (asked.client_ip, asked.broadcast || !gives) {
            (ip, _) if gives && ip == self.private_ip => ip,
            (_, true) => Ipv4Addr::BROADCAST,
            (_, false) => self.private_ip,
        };
        let packet = Datagram {
            from: SocketAddrV4::new(self.addresses.router, SERVER_PORT),
            to: SocketAddrV4::new(to, CLIENT_PORT),
            payload: &payload,
        }
        .packet()?;
        Some((packet, to.is_broadcast()))
    }

    /// What to answer with (RFC 2131 section 4.3); `None` for what has no answer.
    fn kind(&self, asked: &DhcpRepr<'_>) -> Option<DhcpMessageType> {
        if asked.client_hardware_address != self.mac {
            return None;
        }
        match asked.message_type {
            DhcpMessageType::Discover => Some(DhcpMessageType::Offer),
            DhcpMessageType::Inform => Some(DhcpMessageType::Ack),
            DhcpMessageType::Request => {
                // It has chosen another server.
                let other = |server| server != self.addresses.router;
                if asked.server_identifier.is_some_and(other) {
                    return None;
                }
                let wanted = asked.requested_ip.unwrap_or(asked.client_ip);
                Some(if wanted == self.private_ip {
                    DhcpMessageType::Ack
                } else {
                    DhcpMessageType::Nak
                })
            }
            _ => None,
        }
    }
}

fn option(kind: u8, data: &[u8]) -> DhcpOption<'_> {
    DhcpOption { kind, data }
}

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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use smoltcp::wire::Ipv4Packet;

    const MAC: EthernetAddress = EthernetAddress([0x0a, 0, 0, 0, 0, 5]);
    const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
    const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    fn server() -> Dhcp {
        let subnet: crate::vpc::Prefix = "10.0.0.0/24".parse().unwrap();
        Dhcp {
            mac: MAC,
            private_ip: OWN,
            mask: subnet.mask(),
            addresses: Addresses::of(subnet),
            mtu: 9001,
            host: "ip-10-0-0-5".to_owned(),
            domain: "ec2.internal".to_owned(),
        }
    }

    fn message(kind: DhcpMessageType) -> DhcpRepr<'static> {
        DhcpRepr {
            message_type: kind,
            transaction_id: 0x1234_5678,
            secs: 0,
            client_hardware_address: MAC,
            client_ip: Ipv4Addr::UNSPECIFIED,
            your_ip: Ipv4Addr::UNSPECIFIED,
            server_ip: Ipv4Addr::UNSPECIFIED,
            router: None,
            subnet_mask: None,
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            broadcast: false,
            requested_ip: None,
            client_identifier: None,
            server_identifier: None,
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            lease_duration: None,
            renew_duration: None,
            rebind_duration: None,
            additional_options: &[],
        }
    }

    /// The payload of the packet that answers a message, and where that goes.
    fn answer(message: &DhcpRepr<'_>) -> Option<(Vec<u8>, Ipv4Addr)> {
        let mut payload = vec![0; message.buffer_len()];
        message
            .emit(&mut DhcpPacket::new_unchecked(&mut payload[..]))
            .unwrap();
        let (packet, broadcast) = server().answer(&Datagram {
            from: SocketAddrV4::new(message.client_ip, CLIENT_PORT),
            to: SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT),
            payload: &payload,
        })?;
        let packet = Ipv4Packet::new_checked(&packet[..]).unwrap();
        assert_eq!(broadcast, packet.dst_addr().is_broadcast());
        // After UDP's header.
        Some((packet.payload()[8..].to_vec(), packet.dst_addr()))
    }

    #[test]
    fn each_message_has_its_answer() {
        use DhcpMessageType::{Ack, Decline, Discover, Inform, Nak, Offer, Release, Request};
        let none = Ipv4Addr::UNSPECIFIED;
        let other = Ipv4Addr::new(10, 0, 0, 9);
        for (kind, client, requested, server, expected) in [
            (Discover, none, None, None, Some((Offer, OWN))),
            (Request, none, Some(OWN), Some(ROUTER), Some((Ack, OWN))),
            // After a reboot, and to renew.
            (Request, none, Some(OWN), None, Some((Ack, OWN))),
            (Request, OWN, None, None, Some((Ack, OWN))),
            (
                Request,
                none,
                Some(other),
                None,
                Some((Nak, Ipv4Addr::BROADCAST)),
            ),
            (Request, other, None, None, Some((Nak, Ipv4Addr::BROADCAST))),
            (Request, none, Some(OWN), Some(other), None),
            (Inform, OWN, None, None, Some((Ack, OWN))),
            (Decline, none, Some(OWN), None, None),
            (Release, OWN, None, None, None),
        ] {
            let mut asked = message(kind);
            asked.client_ip = client;
            asked.requested_ip = requested;
            asked.server_identifier = server;
            let what = format!("{kind:?} {client} {requested:?} {server:?}");
            let got = answer(&asked);
            let Some((expected, to)) = expected else {
                assert!(got.is_none(), "{what}");
                continue;
            };
            let (payload, sent_to) = got.unwrap();
            assert!(payload.len() >= SHORTEST, "{what}");
            let packet = DhcpPacket::new_checked(&payload[..]).unwrap();
            let given = DhcpRepr::parse(&packet).unwrap();
            assert_eq!((given.message_type, sent_to), (expected, to), "{what}");
            assert_eq!(given.transaction_id, asked.transaction_id);
            assert_eq!(given.server_identifier, Some(ROUTER));
            let leases = expected != Nak && kind != Inform;
            assert_eq!(given.your_ip, if leases { OWN } else { none }, "{what}");
            assert_eq!(given.lease_duration, leases.then_some(3600), "{what}");
        }
        let mut from_another = message(Discover);
        from_another.client_hardware_address = EthernetAddress([0x0a, 0, 0, 0, 0, 6]);
        assert!(answer(&from_another).is_none());
    }

    #[test]
    fn an_offer_has_all_that_a_guest_needs() {
        let mut asked = message(DhcpMessageType::Discover);
        asked.broadcast = true;
        let (payload, to) = answer(&asked).unwrap();
        assert_eq!(to, Ipv4Addr::BROADCAST);
        let packet = DhcpPacket::new_checked(&payload[..]).unwrap();
        let given = DhcpRepr::parse(&packet).unwrap();
        assert_eq!(given.router, Some(ROUTER));
        assert_eq!(given.subnet_mask, Some(Ipv4Addr::new(255, 255, 255, 0)));
        for (kind, data) in [
            (DOMAIN_NAME_SERVER, &[10, 0, 0, 2][..]),
            (HOST_NAME, b"ip-10-0-0-5"),
            (DOMAIN_NAME, b"ec2.internal"),
            (INTERFACE_MTU, &[0x23, 0x29]),
        ] {
            let found = packet.options().find(|option| option.kind == kind);
            assert_eq!(found.unwrap().data, data, "{kind}");
        }
    }
}

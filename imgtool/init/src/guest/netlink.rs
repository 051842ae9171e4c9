//! Links, addresses and routes, set through rtnetlink (rtnetlink(7), RFC 3549).

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, sendto, socket};

// linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
const IFLA_MTU: u16 = 4;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const IFF_UP: u32 = 1;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_DHCP: u8 = 16;
const RTN_UNICAST: u8 = 1;
const RTNH_F_ONLINK: u32 = 4;
const AF_INET: u8 = 2;

// linux/netlink.h
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_CREATE: u16 = 0x400;
const NLMSG_ERROR: u16 = 2;
const HEADER: usize = 16;

/// A connection to the kernel's routing tables.
pub(crate) struct Routing(OwnedFd);

impl Routing {
    pub(crate) fn open() -> io::Result<Self> {
        // No protocol means NETLINK_ROUTE.
        Ok(Self(socket(AddressFamily::NETLINK, SocketType::RAW, None)?))
    }

    /// Brings an interface up.
    pub(crate) fn up(&self, interface: u32) -> io::Result<()> {
        self.request(RTM_NEWLINK, 0, &link(interface, IFF_UP))
    }

    /// Sets an interface's MTU in bytes.
    pub(crate) fn set_mtu(&self, interface: u32, mtu: u16) -> io::Result<()> {
        let mut body = link(interface, 0);
        attribute(&mut body, IFLA_MTU, &u32::from(mtu).to_ne_bytes());
        self.request(RTM_NEWLINK, 0, &body)
    }

    /// Gives an interface an address. One that it has already is no error.
    pub(crate) fn add_address(
        &self,
        interface: u32,
        address: Ipv4Addr,
        prefix: u8,
    ) -> io::Result<()> {
        let body = self::address(interface, address, prefix);
        self.request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &body)
    }

    /// Takes an address from an interface.
    pub(crate) fn remove_address(
        &self,
        interface: u32,
        address: Ipv4Addr,
        prefix: u8,
    ) -> io::Result<()> {
        self.request(RTM_DELADDR, 0, &self::address(interface, address, prefix))
    }

    /// Makes `gateway` the default route. It is taken to be on the interface's link, even where
    /// the netmask does not say so, as in clouds that give out a /32.
    pub(crate) fn set_default_route(&self, interface: u32, gateway: Ipv4Addr) -> io::Result<()> {
        // struct rtmsg: scope 0 is RT_SCOPE_UNIVERSE.
        let mut body = vec![AF_INET, 0, 0, 0, RT_TABLE_MAIN, RTPROT_DHCP, 0, RTN_UNICAST];
        body.extend(RTNH_F_ONLINK.to_ne_bytes());
        attribute(&mut body, RTA_GATEWAY, &gateway.octets());
        attribute(&mut body, RTA_OIF, &interface.to_ne_bytes());
        self.request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &body)
    }

    /// Sends one request and waits for the kernel's answer.
    fn request(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        let message = message(kind, flags | NLM_F_REQUEST | NLM_F_ACK, body);
        sendto(
            &self.0,
            &message,
            SendFlags::empty(),
            &SocketAddrNetlink::new(0, 0),
        )?;
        let mut buffer = [0; 4096];
        let (_, length) = recv(&self.0, &mut buffer, RecvFlags::empty())?;
        answer(buffer.get(..length).unwrap_or_default())
    }
}

/// struct ifinfomsg; `flags` are set, none is cleared.
fn link(interface: u32, flags: u32) -> Vec<u8> {
    let mut body = vec![0; 4];
    for field in [interface, flags, flags] {
        body.extend(field.to_ne_bytes());
    }
    body
}

/// struct ifaddrmsg with its attributes.
fn address(interface: u32, address: Ipv4Addr, prefix: u8) -> Vec<u8> {
    let mut body = vec![AF_INET, prefix, 0, 0];
    body.extend(interface.to_ne_bytes());
    attribute(&mut body, IFA_LOCAL, &address.octets());
    attribute(&mut body, IFA_ADDRESS, &address.octets());
    body
}

/// Appends an attribute whose value takes four bytes, so that what follows stays aligned.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8; 4]) {
    body.extend(8_u16.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
}

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = (HEADER + body.len()) as u32;
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    // Sequence number and port: there is only one request at a time.
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// What the kernel answered: an error message, whose number is 0 when all is well.
fn answer(message: &[u8]) -> io::Result<()> {
    let (Some(kind), Some(code)) = (message.get(4..6), message.get(HEADER..HEADER + 4)) else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    if u16::from_ne_bytes([kind[0], kind[1]]) != NLMSG_ERROR {
        return Err(io::ErrorKind::InvalidData.into());
    }
    match i32::from_ne_bytes([code[0], code[1], code[2], code[3]]) {
        0 => Ok(()),
        code => Err(Errno::from_raw_os_error(code.saturating_neg() & 0xfff).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers_requests() {
        // As a user this is refused, as root it is what lo is already; both show that the
        // message was understood.
        let routing = Routing::open().unwrap();
        match routing.up(1) {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        }
        let none = routing.up(u32::MAX >> 1).unwrap_err();
        assert!(
            matches!(
                Errno::from_io_error(&none),
                Some(Errno::NODEV | Errno::PERM)
            ),
            "{none}"
        );
    }

    #[test]
    fn short_answers_are_errors() {
        assert!(answer(&[]).is_err());
        assert!(answer(&message(NLMSG_ERROR, 0, &[])).is_err());
        assert!(answer(&message(NLMSG_ERROR, 0, &0_i32.to_ne_bytes())).is_ok());
        let refused = answer(&message(NLMSG_ERROR, 0, &(-1_i32).to_ne_bytes())).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        assert!(answer(&message(NLMSG_ERROR, 0, &i32::MIN.to_ne_bytes())).is_err());
    }
}

//! DHCP messages (RFC 2131; options from RFC 2132).

use std::net::Ipv4Addr;

/// Bytes before the options, the magic cookie included.
const FIXED: usize = 240;

const MAGIC: [u8; 4] = [99, 130, 83, 99];

/// Most DNS servers that are kept: the resolver uses three.
const MAX_DNS: usize = 3;

/// Option codes.
mod option {
    pub(super) const PAD: u8 = 0;
    pub(super) const SUBNET_MASK: u8 = 1;
    pub(super) const ROUTER: u8 = 3;
    pub(super) const DNS: u8 = 6;
    pub(super) const HOST_NAME: u8 = 12;
    pub(super) const DOMAIN_NAME: u8 = 15;
    pub(super) const MTU: u8 = 26;
    pub(super) const REQUESTED_ADDRESS: u8 = 50;
    pub(super) const LEASE_TIME: u8 = 51;
    pub(super) const MESSAGE_TYPE: u8 = 53;
    pub(super) const SERVER_ID: u8 = 54;
    pub(super) const PARAMETER_LIST: u8 = 55;
    pub(super) const MAX_SIZE: u8 = 57;
    pub(super) const RENEWAL_TIME: u8 = 58;
    pub(super) const REBINDING_TIME: u8 = 59;
    pub(super) const CLIENT_ID: u8 = 61;
    pub(super) const END: u8 = 255;
}

/// What a client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// DHCPDISCOVER.
    Discover,
    /// DHCPREQUEST for an offer.
    Request { address: Ipv4Addr, server: Ipv4Addr },
    /// DHCPREQUEST to keep an address.
    Renew { address: Ipv4Addr },
}

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// DHCPOFFER.
    Offer(Lease),
    /// DHCPACK.
    Acknowledge(Lease),
    /// DHCPNAK.
    Refuse,
}

/// An address and what comes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) address: Ipv4Addr,
    /// Length of the subnet mask in bits.
    pub(crate) prefix: u8,
    pub(crate) server: Ipv4Addr,
    pub(crate) router: Option<Ipv4Addr>,
    /// At most [`MAX_DNS`].
    pub(crate) dns: Vec<Ipv4Addr>,
    /// A valid domain name.
    pub(crate) domain: Option<String>,
    /// A valid host name.
    pub(crate) hostname: Option<String>,
    /// In bytes, at least 576.
    pub(crate) mtu: Option<u16>,
    /// In seconds, from 60; `u32::MAX` means for ever.
    pub(crate) seconds: u32,
    /// T1: when to ask the server to renew, in seconds.
    pub(crate) renew: u32,
    /// T2: when to ask any server, in seconds.
    pub(crate) rebind: u32,
}

/// The message that asks; `transaction` is the client's random number.
pub(crate) fn encode(ask: Ask, transaction: u32, mac: [u8; 6]) -> Vec<u8> {
    let mut message = vec![0; FIXED];
    // op BOOTREQUEST, htype Ethernet, hlen.
    message[..3].copy_from_slice(&[1, 1, 6]);
    message[4..8].copy_from_slice(&transaction.to_be_bytes());
    message[28..34].copy_from_slice(&mac);
    message[236..240].copy_from_slice(&MAGIC);
    let mut put = |code: u8, value: &[u8]| {
        message.extend([code, value.len() as u8]);
        message.extend(value);
    };
    put(
        option::MESSAGE_TYPE,
        &[if ask == Ask::Discover { 1 } else { 3 }],
    );
    let [a, b, c, d, e, f] = mac;
    put(option::CLIENT_ID, &[1, a, b, c, d, e, f]);
    put(option::MAX_SIZE, &1500_u16.to_be_bytes());
    put(
        option::PARAMETER_LIST,
        &[
            option::SUBNET_MASK,
            option::ROUTER,
            option::DNS,
            option::HOST_NAME,
            option::DOMAIN_NAME,
            option::MTU,
            option::LEASE_TIME,
            option::RENEWAL_TIME,
            option::REBINDING_TIME,
        ],
    );
    if let Ask::Request { address, server } = ask {
        put(option::REQUESTED_ADDRESS, &address.octets());
        put(option::SERVER_ID, &server.octets());
    }
    if let Ask::Renew { address } = ask {
        // ciaddr
        message[12..16].copy_from_slice(&address.octets());
    }
    message.push(option::END);
    // Some relays drop a message that is shorter than BOOTP's.
    message.resize(message.len().max(300), option::PAD);
    message
}

/// The answer to `transaction`; `None` for anything else, or what makes no sense.
pub(crate) fn decode(message: &[u8], transaction: u32, mac: [u8; 6]) -> Option<Reply> {
    let (fixed, options) = message.split_at_checked(FIXED)?;
    let ours = fixed[..3] == [2, 1, 6]
        && fixed[4..8] == transaction.to_be_bytes()
        && fixed[28..34] == mac
        && fixed[236..240] == MAGIC;
    let kind = ours.then(|| find(options, option::MESSAGE_TYPE))??;
    match kind {
        [2] => Some(Reply::Offer(lease(fixed, options)?)),
        [5] => Some(Reply::Acknowledge(lease(fixed, options)?)),
        [6] => Some(Reply::Refuse),
        _ => None,
    }
}

fn lease(fixed: &[u8], options: &[u8]) -> Option<Lease> {
    let address = Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]);
    if !usable(address) {
        return None;
    }
    let number = |code| {
        find(options, code)
            .and_then(|value| <[u8; 4]>::try_from(value).ok())
            .map(u32::from_be_bytes)
    };
    let prefix = match number(option::SUBNET_MASK) {
        Some(mask) if mask != 0 && mask.count_ones() == mask.leading_ones() => mask.leading_ones(),
        Some(_) => return None,
        // By class, as before there were masks (RFC 2131, 4.4.1 leaves it to the client).
        None => match address.octets()[0] {
            0..128 => 8,
            128..192 => 16,
            192.. => 24,
        },
    };
    let seconds = number(option::LEASE_TIME).unwrap_or(3600).max(60);
    let rebind = number(option::REBINDING_TIME)
        .filter(|&rebind| rebind > 0 && rebind < seconds)
        .unwrap_or(seconds / 8 * 7);
    let renew = number(option::RENEWAL_TIME)
        .filter(|&renew| renew > 0 && renew < rebind)
        .unwrap_or((seconds / 2).min(rebind));
    let name = |code| {
        find(options, code)
            .and_then(|raw| std::str::from_utf8(raw).ok())
            .map(|text| text.trim_end_matches('\0'))
            .filter(|name| valid_name(name))
            .map(str::to_owned)
    };
    Some(Lease {
        address,
        prefix: prefix as u8,
        server: number(option::SERVER_ID)
            .map(Ipv4Addr::from)
            .filter(|&server| usable(server))?,
        router: addresses(options, option::ROUTER).next(),
        dns: addresses(options, option::DNS).take(MAX_DNS).collect(),
        domain: name(option::DOMAIN_NAME),
        hostname: name(option::HOST_NAME).filter(|name| name.len() <= 64),
        mtu: find(options, option::MTU)
            .and_then(|value| <[u8; 2]>::try_from(value).ok())
            .map(u16::from_be_bytes)
            .filter(|&mtu| mtu >= 576),
        seconds,
        renew: renew.max(30),
        rebind: rebind.max(45),
    })
}

/// The first option with this code. What runs over the end ends the list.
fn find(mut options: &[u8], code: u8) -> Option<&[u8]> {
    loop {
        options = match options {
            [option::PAD, rest @ ..] => rest,
            [option::END, ..] => return None,
            [found, length, rest @ ..] => {
                let (value, rest) = rest.split_at_checked(usize::from(*length))?;
                if *found == code {
                    return Some(value);
                }
                rest
            }
            _ => return None,
        };
    }
}

fn addresses(options: &[u8], code: u8) -> impl Iterator<Item = Ipv4Addr> {
    find(options, code)
        .unwrap_or_default()
        .chunks_exact(4)
        .map(|raw| Ipv4Addr::new(raw[0], raw[1], raw[2], raw[3]))
        .filter(|&address| usable(address))
}

/// Whether a machine can have this address.
fn usable(address: Ipv4Addr) -> bool {
    !(address.is_unspecified()
        || address.is_broadcast()
        || address.is_multicast()
        || address.is_loopback())
}

/// Whether a name holds only what host and domain names may (RFC 1123): it goes into files and to
/// the kernel.
pub(crate) fn valid_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..64).contains(&label.len())
            && !label.starts_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.len() < 254 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

    fn message(options: &[u8]) -> Vec<u8> {
        let mut message = vec![0; FIXED];
        message[..3].copy_from_slice(&[2, 1, 6]);
        message[4..8].copy_from_slice(&7_u32.to_be_bytes());
        message[16..20].copy_from_slice(&[10, 0, 2, 15]);
        message[28..34].copy_from_slice(&MAC);
        message[236..].copy_from_slice(&MAGIC);
        message.extend(options);
        message
    }

    /// Kind 5 with a mask, a server, and what else is given.
    fn acknowledged(more: &[u8]) -> Option<Lease> {
        let mut options = vec![53, 1, 5, 0, 1, 4, 255, 255, 255, 0, 54, 4, 10, 0, 2, 2];
        options.extend(more);
        options.push(255);
        match decode(&message(&options), 7, MAC) {
            Some(Reply::Acknowledge(lease)) => Some(lease),
            None => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_acknowledgement_is_read() {
        let lease = acknowledged(&[
            51, 4, 0, 0, 14, 16, 3, 4, 10, 0, 2, 2, 6, 8, 10, 0, 2, 3, 0, 0, 0, 0, 26, 2, 35, 41,
            12, 4, b'h', b'o', b's', b't', 15, 3, b'a', b'.', b'b',
        ])
        .unwrap();
        let expected = Lease {
            address: [10, 0, 2, 15].into(),
            prefix: 24,
            server: [10, 0, 2, 2].into(),
            router: Some([10, 0, 2, 2].into()),
            dns: vec![[10, 0, 2, 3].into()],
            domain: Some("a.b".into()),
            hostname: Some("host".into()),
            mtu: Some(9001),
            seconds: 3600,
            renew: 1800,
            rebind: 3150,
        };
        assert_eq!(lease, expected);
    }

    #[test]
    fn what_a_server_may_not_say_is_left_out() {
        let lease = acknowledged(&[
            51, 4, 0, 0, 0, 1, 26, 2, 0, 10, 12, 5, b'a', b'\n', b'b', b' ', b'c', 58, 4, 255, 255,
            255, 255,
        ])
        .unwrap();
        assert_eq!((lease.mtu, lease.hostname, lease.seconds), (None, None, 60));
        assert_eq!((lease.renew, lease.rebind), (30, 49));
        let endless = acknowledged(&[51, 4, 255, 255, 255, 255]).unwrap();
        assert_eq!(endless.seconds, u32::MAX);
        assert!(endless.renew < endless.rebind && endless.rebind < endless.seconds);
    }

    #[test]
    fn replies_to_others_and_broken_ones_are_ignored() {
        let good = message(&[53, 1, 6, 255]);
        assert_eq!(decode(&good, 7, MAC), Some(Reply::Refuse));
        assert_eq!(decode(&good, 8, MAC), None);
        assert_eq!(decode(&good, 7, [0; 6]), None);
        for length in 0..good.len() - 1 {
            assert_eq!(decode(&good[..length], 7, MAC), None, "{length} bytes");
        }
        // An option that runs over the end, one without a length, a mask with a hole, no server.
        for options in [
            &[53, 200, 5][..],
            &[53],
            &[53, 1, 5, 1, 4, 255, 0, 255, 0, 54, 4, 10, 0, 2, 2],
            &[53, 1, 5, 1, 4, 255, 255, 255, 0],
        ] {
            assert_eq!(decode(&message(options), 7, MAC), None);
        }
    }

    #[test]
    fn any_bytes_are_survived() {
        // A fixed sequence, so that a failure comes again.
        let mut state = 1_u64;
        for _ in 0..20_000 {
            let mut options = Vec::new();
            for _ in 0..40 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                options.push((state >> 56) as u8);
            }
            options.splice(0..0, [53, 1, 5, 54, 4, 10, 0, 2, 2]);
            decode(&message(&options), 7, MAC);
        }
    }

    #[test]
    fn requests_carry_what_they_ask_for() {
        let (address, server) = (Ipv4Addr::new(10, 0, 2, 15), Ipv4Addr::new(10, 0, 2, 2));
        let request = encode(Ask::Request { address, server }, 7, MAC);
        assert_eq!(request.len(), 300);
        assert_eq!(find(&request[FIXED..], 53), Some(&[3][..]));
        assert_eq!(find(&request[FIXED..], 50), Some(&address.octets()[..]));
        assert_eq!(find(&request[FIXED..], 54), Some(&server.octets()[..]));
        let renew = encode(Ask::Renew { address }, 7, MAC);
        assert_eq!(renew[12..16], address.octets());
        assert_eq!(find(&renew[FIXED..], 50), None);
        assert_eq!(
            find(&encode(Ask::Discover, 7, MAC)[FIXED..], 53),
            Some(&[1][..])
        );
    }

    #[test]
    fn names_are_host_names() {
        for good in ["a", "ip-10-0-0-1.ec2.internal", "1"] {
            assert!(valid_name(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "a..b",
            "-a",
            "a b",
            "a\nnameserver 1.2.3.4",
            "é",
            &"a".repeat(64),
        ] {
            assert!(!valid_name(bad), "{bad}");
        }
    }
}

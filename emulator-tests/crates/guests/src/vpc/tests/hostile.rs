//! Frames that no honest guest sends.

use super::*;
use crate::vpc::stack::Stack;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::tcp::State;
use smoltcp::time::Instant;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, IpAddress,
    IpProtocol, Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber, UdpPacket,
};

const ETHERNET: usize = 14;

pub fn frame(from: [u8; 6], kind: EthernetProtocol, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; ETHERNET];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    frame.set_dst_addr(EthernetAddress::BROADCAST);
    frame.set_src_addr(EthernetAddress(from));
    frame.set_ethertype(kind);
    bytes.extend_from_slice(payload);
    bytes
}

fn arp(from: [u8; 6], sender: Ipv4Addr, asked: Ipv4Addr) -> Vec<u8> {
    let request = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: EthernetAddress(from),
        source_protocol_addr: sender,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: asked,
    };
    let mut bytes = vec![0; request.buffer_len()];
    request.emit(&mut ArpPacket::new_unchecked(&mut bytes[..]));
    frame(from, EthernetProtocol::Arp, &bytes)
}

/// A frame with the first segment of a connection.
fn syn(from: Ipv4Addr, to: Ipv4Addr, port: u16) -> Vec<u8> {
    segment((from, 1234), (to, port), TcpControl::Syn, 1)
}

/// A frame with a segment that acknowledges nothing.
fn segment(
    (from, from_port): (Ipv4Addr, u16),
    (to, port): (Ipv4Addr, u16),
    control: TcpControl,
    number: i32,
) -> Vec<u8> {
    let segment = TcpRepr {
        src_port: from_port,
        dst_port: port,
        control,
        seq_number: TcpSeqNumber(number),
        ack_number: None,
        window_len: 1000,
        window_scale: (control == TcpControl::Syn).then_some(2),
        max_seg_size: (control == TcpControl::Syn).then_some(1460),
        sack_permitted: control == TcpControl::Syn,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let header = Ipv4Repr {
        src_addr: from,
        dst_addr: to,
        next_header: IpProtocol::Tcp,
        payload_len: segment.buffer_len(),
        hop_limit: 64,
    };
    let mut bytes = vec![0; header.buffer_len() + segment.buffer_len()];
    let mut packet = Ipv4Packet::new_unchecked(&mut bytes[..]);
    let checksums = ChecksumCapabilities::default();
    header.emit(&mut packet, &checksums);
    segment.emit(
        &mut TcpPacket::new_unchecked(packet.payload_mut()),
        &IpAddress::Ipv4(from),
        &IpAddress::Ipv4(to),
        &checksums,
    );
    frame(MAC, EthernetProtocol::Ipv4, &bytes)
}

fn datagram(to: Ipv4Addr, port: u16, payload: &[u8]) -> Vec<u8> {
    let datagram = datagram::Datagram {
        from: std::net::SocketAddrV4::new(PRIVATE_IP, 68),
        to: std::net::SocketAddrV4::new(to, port),
        payload,
    };
    frame(MAC, EthernetProtocol::Ipv4, &datagram.packet().unwrap())
}

fn stack() -> Stack {
    let (setup, _) = setup("127.0.0.1:1".parse().unwrap());
    Stack::new(&setup)
}

/// How many bytes a frame is answered with, and how many connections it begins.
fn answered(frame: &[u8]) -> (usize, usize) {
    let mut stack = stack();
    stack.receive(Instant::ZERO, frame);
    stack.send(Instant::ZERO);
    (stack.take().len(), stack.begun().len())
}

#[test]
fn only_the_guest_itself_is_answered() {
    let other = [0x0a, 0, 0, 0, 0, 6];
    let neighbour = Ipv4Addr::new(172, 31, 0, 6);
    for (what, frame, answers, begins) in [
        ("the router", arp(MAC, PRIVATE_IP, ROUTER), true, 0),
        ("metadata", arp(MAC, PRIVATE_IP, METADATA), true, 0),
        (
            "its own",
            arp(MAC, Ipv4Addr::UNSPECIFIED, PRIVATE_IP),
            false,
            0,
        ),
        (
            "elsewhere",
            arp(MAC, PRIVATE_IP, Ipv4Addr::new(8, 8, 8, 8)),
            false,
            0,
        ),
        ("of another", arp(other, PRIVATE_IP, ROUTER), false, 0),
        ("served", syn(PRIVATE_IP, SERVICES, 443), true, 1),
        ("refused", syn(PRIVATE_IP, SERVICES, 444), true, 0),
        ("not its address", syn(neighbour, SERVICES, 443), false, 0),
        (
            "no address",
            syn(Ipv4Addr::UNSPECIFIED, SERVICES, 443),
            false,
            0,
        ),
        ("itself", syn(SERVICES, SERVICES, 443), false, 0),
    ] {
        let (length, begun) = answered(&frame);
        assert_eq!((length > 0, begun), (answers, begins), "{what}");
    }
}

#[test]
fn a_segment_that_comes_twice_begins_one_connection() {
    let mut stack = stack();
    for _ in 0..3 {
        stack.receive(Instant::ZERO, &syn(PRIVATE_IP, SERVICES, 443));
    }
    assert_eq!(stack.begun().len(), 1);
}

/// A first segment from a port of the guest's, and what takes it back.
fn begun_and_reset(port: u16) -> [Vec<u8>; 2] {
    [(TcpControl::Syn, 1), (TcpControl::Rst, 2)]
        .map(|(control, number)| segment((PRIVATE_IP, port), (SERVICES, 443), control, number))
}

#[test]
fn what_is_reset_before_it_was_there_takes_no_place() {
    // Before anyone serves it, and afterwards.
    for is_served in [false, true] {
        let mut stack = stack();
        for port in 0..2 * MOST_CONNECTIONS as u16 {
            let [syn, rst] = begun_and_reset(2000 + port);
            stack.receive(Instant::ZERO, &syn);
            stack.send(Instant::ZERO);
            let begun = if is_served { stack.begun() } else { Vec::new() };
            stack.receive(Instant::ZERO, &rst);
            for (_, handle) in begun {
                assert_eq!(stack.tcp(handle).state(), State::Closed, "{port}");
                stack.leave(Instant::ZERO, handle, false);
            }
            stack.send(Instant::ZERO);
        }
        assert_eq!(stack.begun().len(), 0);
        stack.receive(Instant::ZERO, &syn(PRIVATE_IP, SERVICES, 443));
        assert_eq!(stack.begun().len(), 1, "served: {is_served}");
    }
}

#[test]
fn a_first_segment_with_a_wrong_sum_takes_no_place() {
    let mut stack = stack();
    let mut wrong = syn(PRIVATE_IP, SERVICES, 443);
    // Bytes 16 and 17 of the segment.
    wrong[ETHERNET + 20 + 16] ^= 1;
    for _ in 0..2 * MOST_CONNECTIONS {
        stack.receive(Instant::ZERO, &wrong);
    }
    assert_eq!(stack.begun().len(), 0);
    stack.receive(Instant::ZERO, &syn(PRIVATE_IP, SERVICES, 443));
    assert_eq!(stack.begun().len(), 1);
}

#[tokio::test]
async fn a_guest_that_takes_back_three_hundred_connections_gets_the_next_one() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = host(listener.local_addr().unwrap());
    let mut guest = host.guest().await;
    for port in 0..300 {
        for frame in begun_and_reset(2000 + port) {
            guest.put(&frame);
        }
    }
    let handle = guest.open(SERVICES, 443);
    assert!(guest.is_open(handle).await);
}

/// What a DHCP client sends first, and then; the options end with `more`.
fn dhcp(kind: u8, more: &[u8]) -> Vec<u8> {
    let mut payload = vec![1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78];
    payload.resize(28, 0);
    payload.extend_from_slice(&MAC);
    payload.resize(236, 0);
    payload.extend_from_slice(&[0x63, 0x82, 0x53, 0x63, 53, 1, kind]);
    payload.extend_from_slice(more);
    payload.push(255);
    payload.resize(300, 0);
    let datagram = datagram::Datagram {
        from: std::net::SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68),
        to: std::net::SocketAddrV4::new(Ipv4Addr::BROADCAST, 67),
        payload: &payload,
    };
    frame(MAC, EthernetProtocol::Ipv4, &datagram.packet().unwrap())
}

#[test]
fn no_frame_is_too_much() {
    let whole = [
        arp(MAC, PRIVATE_IP, ROUTER),
        syn(PRIVATE_IP, SERVICES, 443),
        syn(PRIVATE_IP, METADATA, 80),
        datagram(
            RESOLVER,
            53,
            b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03sts\x09amazonaws\x03com\0\0\x01\0\x01",
        ),
        datagram(ROUTER, 67, &[1; 300]),
        // DISCOVER, and REQUEST of an address from a server.
        dhcp(1, &[55, 4, 1, 3, 6, 12]),
        dhcp(3, &[50, 4, 172, 31, 0, 5, 54, 4, 172, 31, 0, 1, 55, 1, 26]),
        datagram(Ipv4Addr::new(8, 8, 8, 8), 9, b"x"),
    ];
    for frame in &whole[..whole.len() - 4] {
        let (length, begun) = answered(frame);
        assert!(length > 0 || begun > 0, "{frame:02x?}");
    }
    for frame in &whole[5..7] {
        assert!(answered(frame).0 > 300, "{frame:02x?}");
    }
    let mut random = fastrand::Rng::with_seed(42);
    let mut stack = stack();
    let mut left = Vec::new();
    for round in 0..200_000_i64 {
        let now = Instant::from_millis(round);
        let mut bytes = whole[random.usize(..whole.len())].clone();
        for _ in 0..random.usize(..4) {
            let place = random.usize(ETHERNET..bytes.len());
            bytes[place] = random.u8(..);
        }
        if random.u8(..) < 32 {
            bytes.truncate(random.usize(..=bytes.len()));
        }
        // With sums that are right, more of it is looked at.
        if let Some(payload) = bytes.get_mut(ETHERNET..)
            && let Ok(mut packet) = Ipv4Packet::new_checked(payload)
        {
            packet.fill_checksum();
            let (from, to) = (packet.src_addr().into(), packet.dst_addr().into());
            match packet.next_header() {
                IpProtocol::Tcp => {
                    if let Ok(mut segment) = TcpPacket::new_checked(packet.payload_mut()) {
                        segment.fill_checksum(&from, &to);
                    }
                }
                IpProtocol::Udp => {
                    if let Ok(mut datagram) = UdpPacket::new_checked(packet.payload_mut()) {
                        datagram.fill_checksum(&from, &to);
                    }
                }
                _ => {}
            }
        }
        stack.receive(now, &bytes);
        stack.send(now);
        assert!(stack.take().len() < 1 << 20);
        left.extend(stack.begun());
        if random.u8(..) < 16 && !left.is_empty() {
            let (_, handle) = left.swap_remove(random.usize(..left.len()));
            stack.leave(now, handle, random.bool());
        }
        assert!(left.len() <= MOST_CONNECTIONS);
    }
    // Whoever served those has ended: the guest is served as ever.
    let end = Instant::from_secs(1000);
    for (_, handle) in left {
        stack.leave(end, handle, false);
    }
    stack.send(end);
    assert!(stack.due(end).is_none_or(|it| it.secs() < 1000));
    let from = (PRIVATE_IP, 1025);
    stack.take();
    stack.receive(end, &segment(from, (SERVICES, 443), TcpControl::Syn, 1));
    stack.send(end);
    assert!(!stack.take().is_empty());
    let [(_, handle)] = stack.begun()[..] else {
        panic!("one connection");
    };
    assert_eq!(stack.tcp(handle).state(), State::SynReceived);
}

//! From the guest: to the gateway, and nowhere else.

use super::*;
use smoltcp::iface::SocketHandle;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::tcp::State;
use smoltcp::socket::udp;
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, Icmpv4Packet, Icmpv4Repr, IpProtocol, Ipv4Packet, Ipv4Repr,
};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Sends back what it gets, and `end` once that has ended.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                if tokio::io::copy(&mut reader, &mut writer).await.is_err() {
                    return;
                }
                let _gone = writer.write_all(b"end").await;
            });
        }
    });
    address
}

fn pattern(length: usize) -> Vec<u8> {
    let mut data = vec![0; length];
    fastrand::Rng::with_seed(7).fill(&mut data);
    data
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_mebibytes_pass_each_way_and_each_side_ends_by_itself() {
    let host = host(echo().await);
    let mut guest = host.guest().await;
    let data = pattern(20 << 20);
    let start = Instant::now();
    for port in [443, 80] {
        let handle = guest.open(SERVICES, port);
        assert!(guest.is_open(handle).await);
        let (mut rest, mut back, mut ended) = (&data[..], Vec::new(), false);
        guest
            .until(|guest| {
                let socket = guest.tcp(handle);
                if !rest.is_empty() {
                    rest = &rest[socket.send_slice(rest).unwrap()..];
                } else if !ended {
                    socket.close();
                    ended = true;
                }
                loop {
                    let read = socket.recv(|data| {
                        back.extend_from_slice(data);
                        (data.len(), data.len())
                    });
                    match read {
                        Ok(0) => return None,
                        Ok(_) => {}
                        Err(_) => return Some(()),
                    }
                }
            })
            .await;
        assert!(back.strip_suffix(b"end").unwrap() == data, "other bytes");
    }
    let rate = 80.0 / start.elapsed().as_secs_f64();
    println!("{rate:.0} MiB/s there and back");
}

/// Sends all of some data, and reads it back.
async fn round_trip(guest: &mut Guest, handle: SocketHandle, data: &[u8]) {
    guest.send(handle, data).await;
    let mut back = Vec::new();
    guest
        .until(|guest| {
            let _read = guest.tcp(handle).recv(|it| {
                back.extend_from_slice(it);
                (it.len(), ())
            });
            (back.len() == data.len()).then_some(())
        })
        .await;
    assert!(back == data, "other bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_connections_at_once() {
    let host = host(echo().await);
    let mut guest = host.guest().await;
    let handles: Vec<SocketHandle> = (0..100).map(|_| guest.open(SERVICES, 443)).collect();
    guest
        .until(|guest| {
            handles
                .iter()
                .all(|&handle| guest.tcp(handle).state() == State::Established)
                .then_some(())
        })
        .await;
    for (number, &handle) in handles.iter().enumerate() {
        round_trip(&mut guest, handle, &pattern(1000 + number)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_many_waits_for_others_to_end() {
    let host = host(echo().await);
    let mut guest = host.guest().await;
    let handles: Vec<SocketHandle> = (0..MOST_CONNECTIONS + 10)
        .map(|_| guest.open(SERVICES, 443))
        .collect();
    let open = |guest: &mut Guest, handles: &[SocketHandle]| {
        let is_open = |&&handle: &&SocketHandle| guest.tcp(handle).state() == State::Established;
        handles.iter().filter(is_open).count()
    };
    guest
        .until(|guest| (open(guest, &handles) == MOST_CONNECTIONS).then_some(()))
        .await;
    let (first, rest) = handles.split_at(100);
    for &handle in first {
        if guest.tcp(handle).state() == State::Established {
            guest.tcp(handle).abort();
        }
    }
    // Those that waited have got in, too: after a second or two, when they are tried again.
    let aborted = |guest: &mut Guest| {
        first
            .iter()
            .all(|&it| guest.tcp(it).state() == State::Closed)
    };
    guest
        .until(|guest| {
            (open(guest, rest) == rest.len() && (aborted(guest) || open(guest, first) > 0))
                .then_some(())
        })
        .await;
}

#[tokio::test]
async fn there_is_no_way_out() {
    let host = host(echo().await);
    let mut guest = host.guest().await;
    for (ip, port) in [
        (SERVICES, 22),
        (SERVICES, 81),
        (METADATA, 443),
        (ROUTER, 80),
        (RESOLVER, 443),
        (Ipv4Addr::new(172, 31, 9, 9), 443),
        (Ipv4Addr::new(10, 0, 0, 1), 443),
        (Ipv4Addr::new(8, 8, 8, 8), 443),
        (Ipv4Addr::new(127, 0, 0, 1), 443),
    ] {
        let handle = guest.open(ip, port);
        assert!(!guest.is_open(handle).await, "{ip}:{port}");
    }
    // Datagrams are told that nobody is there.
    for (ip, port) in [(Ipv4Addr::new(8, 8, 8, 8), 53), (SERVICES, 443)] {
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 4], vec![0; 999]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(5353).unwrap();
        socket.send_slice(b"?", (ip, port)).unwrap();
        let handle = guest.sockets.add(socket);
        guest.wire.seen = Some(Vec::new());
        let unreachable = guest
            .until(|guest| {
                let frames = guest.wire.seen.as_ref()?.iter();
                let mut packets = frames.filter_map(|frame| {
                    let frame = EthernetFrame::new_checked(&frame[..]).ok()?;
                    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
                    (packet.next_header() == IpProtocol::Icmp)
                        .then(|| (packet.src_addr(), packet.payload()[..2].to_vec()))
                });
                packets.next()
            })
            .await;
        assert_eq!(unreachable, (ip, vec![3, 3]), "port unreachable");
        guest.sockets.remove(handle);
    }
    // Nobody answers an echo request; what comes after it is answered all the same.
    guest.wire.seen = Some(Vec::new());
    for ip in [Ipv4Addr::new(8, 8, 8, 8), SERVICES, ROUTER] {
        guest.put(&echo_request(ip));
    }
    let handle = guest.open(SERVICES, 444);
    assert!(!guest.is_open(handle).await);
    let protocols: Vec<IpProtocol> = (guest.wire.seen.iter().flatten())
        .filter_map(|frame| {
            let frame = EthernetFrame::new_checked(&frame[..]).ok()?;
            Some(Ipv4Packet::new_checked(frame.payload()).ok()?.next_header())
        })
        .collect();
    assert_eq!(protocols, [IpProtocol::Tcp]);
}

/// A frame with an ICMP echo request.
fn echo_request(to: Ipv4Addr) -> Vec<u8> {
    let checksums = ChecksumCapabilities::default();
    let message = Icmpv4Repr::EchoRequest {
        ident: 1,
        seq_no: 1,
        data: b"?",
    };
    let header = Ipv4Repr {
        src_addr: PRIVATE_IP,
        dst_addr: to,
        next_header: IpProtocol::Icmp,
        payload_len: message.buffer_len(),
        hop_limit: 64,
    };
    let mut bytes = vec![0; header.buffer_len() + message.buffer_len()];
    let mut packet = Ipv4Packet::new_unchecked(&mut bytes[..]);
    header.emit(&mut packet, &checksums);
    message.emit(
        &mut Icmpv4Packet::new_unchecked(packet.payload_mut()),
        &checksums,
    );
    hostile::frame(MAC, EthernetProtocol::Ipv4, &bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_may_be_used_again_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = host(listener.local_addr().unwrap());
    let mut guest = host.guest().await;
    let port = guest.port;
    for round in 0..3 {
        guest.port = port;
        let handle = guest.open(SERVICES, 443);
        assert!(guest.is_open(handle).await);
        let (mut gateway, _) = listener.accept().await.unwrap();
        // The gateway ends first: it is the router that has to wait for late segments.
        gateway.write_all(b"end").await.unwrap();
        gateway.shutdown().await.unwrap();
        assert_eq!(guest.read_all(handle).await.unwrap(), b"end", "{round}");
        guest.tcp(handle).close();
        guest
            .until(|guest| (guest.tcp(handle).state() == State::Closed).then_some(()))
            .await;
        guest.sockets.remove(handle);
    }
    // Each of them was one connection, not one more that nobody has.
    let more = tokio::time::timeout(Duration::from_millis(300), listener.accept()).await;
    assert!(more.is_err(), "another connection came");
}

#[tokio::test]
async fn a_break_on_one_side_is_one_on_the_other() {
    // Nobody listens.
    let host_without = host(nowhere().await);
    let mut guest = host_without.guest().await;
    let handle = guest.open(SERVICES, 443);
    let reset = |guest: &mut Guest| (guest.tcp(handle).state() == State::Closed).then_some(());
    guest.until(reset).await;

    // The gateway breaks off, then the guest does.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = host(listener.local_addr().unwrap());
    let mut guest = host.guest().await;
    let handle = guest.open(SERVICES, 443);
    assert!(guest.is_open(handle).await);
    let (gateway, _) = listener.accept().await.unwrap();
    gateway.set_zero_linger().unwrap();
    drop(gateway);
    guest
        .until(|guest| (guest.tcp(handle).state() == State::Closed).then_some(()))
        .await;
    let handle = guest.open(SERVICES, 443);
    assert!(guest.is_open(handle).await);
    let (mut gateway, _) = listener.accept().await.unwrap();
    guest.tcp(handle).abort();
    guest.until(|_| Some(())).await;
    assert!(gateway.read_u8().await.is_err());

    // The router is gone.
    let handle = guest.open(SERVICES, 443);
    assert!(guest.is_open(handle).await);
    let (mut gateway, _) = listener.accept().await.unwrap();
    drop(host);
    assert!(gateway.read_u8().await.is_err());
}

#[tokio::test]
async fn qemu_may_come_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = host(listener.local_addr().unwrap());
    for _ in 0..3 {
        let mut guest = host.guest().await;
        let handle = guest.open(SERVICES, 443);
        assert!(guest.is_open(handle).await);
        let (mut gateway, _) = listener.accept().await.unwrap();
        guest.send(handle, b"x").await;
        assert_eq!(gateway.read_u8().await.unwrap(), b'x');
        drop(guest);
        let error = gateway.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

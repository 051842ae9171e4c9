//! What the network gives: an address, names, metadata.

use super::*;
use smoltcp::socket::{dhcpv4, dns};
use smoltcp::wire::{DnsQueryType, EthernetFrame, IpAddress, Ipv4Packet, TcpPacket};

#[tokio::test]
async fn a_guest_gets_its_address_by_dhcp() {
    let host = host(nowhere().await);
    let mut guest = Guest::connect(&host.dir.path().join("lan"), false).await;
    let handle = guest.sockets.add(dhcpv4::Socket::new());
    let (address, router, resolvers) = guest
        .until(
            |guest| match guest.sockets.get_mut::<dhcpv4::Socket>(handle).poll() {
                Some(dhcpv4::Event::Configured(given)) => Some((
                    given.address.to_string(),
                    given.router,
                    given.dns_servers.to_vec(),
                )),
                _ => None,
            },
        )
        .await;
    assert_eq!(address, "172.31.0.5/20");
    assert_eq!(router, Some(ROUTER));
    assert_eq!(resolvers, [RESOLVER]);
}

#[tokio::test]
async fn names_are_resolved_by_datagrams_and_connections() {
    let host = host(nowhere().await);
    let mut guest = host.guest().await;
    for resolver in [RESOLVER, LINK_LOCAL_RESOLVER] {
        for (name, address) in [
            ("sqs.us-east-1.amazonaws.com", Some(SERVICES)),
            ("vault.s3.us-east-1.amazonaws.com", Some(SERVICES)),
            ("ip-172-31-0-5.ec2.internal", Some(PRIVATE_IP)),
            ("crates.io", None),
        ] {
            let socket = dns::Socket::new(&[IpAddress::Ipv4(resolver)], vec![]);
            let handle = guest.sockets.add(socket);
            let socket: &mut dns::Socket = guest.sockets.get_mut(handle);
            let query = socket
                .start_query(guest.interface.context(), name, DnsQueryType::A)
                .unwrap();
            let found = guest
                .until(|guest| {
                    let socket: &mut dns::Socket = guest.sockets.get_mut(handle);
                    match socket.get_query_result(query) {
                        Ok(found) => Some(Some(found[0])),
                        Err(dns::GetQueryResultError::Pending) => None,
                        Err(dns::GetQueryResultError::Failed) => Some(None),
                    }
                })
                .await;
            assert_eq!(found, address.map(IpAddress::Ipv4), "{name}");
            guest.sockets.remove(handle);
        }
    }
    // Two questions on one connection.
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend_from_slice(b"\x03sts\x09amazonaws\x03com\x00\x00\x01\x00\x01");
    let whole = [&(query.len() as u16).to_be_bytes()[..], &query].concat();
    let handle = guest.open(RESOLVER, 53);
    assert!(guest.is_open(handle).await);
    guest.send(handle, &[&whole[..], &whole].concat()).await;
    guest.tcp(handle).close();
    let answer = guest.read_all(handle).await.unwrap();
    let (first, second) = answer.split_at(answer.len() / 2);
    assert_eq!(first, second);
    assert_eq!(usize::from(first[1]), first.len() - 2);
    assert!(first.ends_with(&SERVICES.octets()));
}

/// The hop limits of the packets with data that came, and forgets them.
fn hops(guest: &mut Guest) -> Vec<u8> {
    let frames = guest.wire.seen.replace(Vec::new()).unwrap_or_default();
    let packets = frames.iter().filter_map(|frame| {
        let frame = EthernetFrame::new_checked(&frame[..]).ok()?;
        let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
        let segment = TcpPacket::new_checked(packet.payload()).ok()?;
        (!segment.payload().is_empty()).then(|| packet.hop_limit())
    });
    packets.collect()
}

#[tokio::test]
async fn metadata_is_told_to_who_has_a_token() {
    let host = host(nowhere().await);
    let mut guest = host.guest().await;
    let put = "PUT /latest/api/token HTTP/1.1\r\nHost: 169.254.169.254\r\n\
               X-aws-ec2-metadata-token-ttl-seconds: 60\r\nConnection: close\r\n\r\n";
    hops(&mut guest);
    let answer = guest.ask(METADATA, 80, put).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(hops(&mut guest), [1], "the answer goes no further");
    let token = answer.rsplit("\r\n").next().unwrap();

    let get = |path: &str, token: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{token}\r\n")
    };
    let header = format!("X-aws-ec2-metadata-token: {token}\r\n");
    let id = get("/latest/meta-data/instance-id", &header);
    let answer = guest.ask(METADATA, 80, &id).await.unwrap();
    assert!(answer.ends_with("\r\n\r\ni-01111111111111111"), "{answer}");
    assert!(hops(&mut guest).iter().all(|&hops| hops == 64));
    let without = get("/latest/meta-data/instance-id", "");
    let answer = guest.ask(METADATA, 80, &without).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"));

    // Options and tags hold at once.
    if let Some(facts) = &mut *host.told.0.lock().unwrap() {
        facts.instance.metadata.http_tokens = "optional".to_owned();
        facts.instance.metadata.hop_limit = 3;
        facts.instance.metadata.tags = "enabled".to_owned();
        facts.instance.tags.insert("Name".into(), "web".into());
    }
    let tag = get("/latest/meta-data/tags/instance/Name", "");
    let answer = guest.ask(METADATA, 80, &tag).await.unwrap();
    assert!(answer.ends_with("\r\n\r\nweb"), "{answer}");
    hops(&mut guest);
    guest.ask(METADATA, 80, put).await.unwrap();
    assert_eq!(hops(&mut guest), [3]);
}
